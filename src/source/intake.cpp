#include "keyferry/source/intake.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"

namespace keyferry {

bool must_spool(const SourcePressure& pressure) {
  if (!pressure.buffered_bytes) return true;  // the source does not say: assume the worst
  return pressure.limit_bytes > 0 && *pressure.buffered_bytes >= pressure.limit_bytes / 4;
}

std::optional<std::int64_t> seconds_left(const SourcePressure& pressure) {
  if (!pressure.buffered_bytes || pressure.limit_bytes <= 0 || pressure.growth_bytes_per_s <= 0)
    return std::nullopt;
  return std::max<std::int64_t>(0, pressure.limit_bytes - *pressure.buffered_bytes) /
         pressure.growth_bytes_per_s;
}

Intake::Intake(const asio::any_io_executor& executor, SlabBudget& budget, Spool* spool,
               std::int64_t memory_max_bytes)
    : budget_(budget),
      spool_(spool),
      memory_max_bytes_(memory_max_bytes),
      more_(executor),
      room_(executor) {}

Task<Error> Intake::push(Chunk chunk, std::function<SourcePressure()> pressure) {
  const auto size = static_cast<std::int64_t>(chunk.bytes.size());
  while (!closed_) {
    if (kept_ != nullptr && chunk.at && may_keep(chunk)) {
      if (keep(chunk)) co_return Error();
      if (kept_->is_full()) warn_full(pressure());
      co_await room_.wait_for(Millis(100));
      continue;
    }
    // Once bytes are on disk, all later ones go behind them.
    const bool behind_spool = spool_ != nullptr && spool_->unread_bytes() > 0;
    if (!behind_spool && memory_bytes_ < memory_max_bytes_) {
      memory_bytes_ += size;
      chunks_.push_back(std::move(chunk));
      more_.notify();
      co_return Error();
    }
    if (spool_ != nullptr && (behind_spool || must_spool(pressure()))) {
      if (spool_->room_bytes() >= size) co_return co_await spool_chunk(chunk);
      warn_full(pressure());
    }
    co_await room_.wait_for(Millis(100));
  }
  co_return Error(Errc::cancelled, "intake closed");
}

void Intake::keep_streams(KeptStream& kept) {
  kept_ = &kept;
  memory_end_ = kept.received();
  kept.on_progress = [this] {
    more_.notify();
    room_.notify();
  };
  kept.is_needed = [this] { return kept_ahead_bytes() > 0; };
}

// Whether the chunk belongs to a stream that is kept, or that can be from here on.
bool Intake::may_keep(const Chunk& chunk) {
  if (!kept_->is_on()) {
    const bool behind_spool = spool_ != nullptr && spool_->unread_bytes() > 0;
    if (behind_spool || !kept_->may_begin(Clock::now())) return false;
    kept_->begin(*chunk.at);
    memory_end_ = *chunk.at;
  }
  KEYFERRY_ASSERT(*chunk.at == kept_->received());
  return true;
}

bool Intake::keep(Chunk& chunk) {
  if (!kept_->has_room()) return false;
  const auto size = static_cast<std::int64_t>(chunk.bytes.size());
  const bool follows = kept_ahead_bytes() == 0;
  kept_->add(chunk.slab, chunk.bytes);
  if (follows && memory_bytes_ < memory_max_bytes_) {
    memory_bytes_ += size;
    memory_end_ += size;
    chunks_.push_back(std::move(chunk));
  }
  more_.notify();
  return true;
}

// What was received behind what is in memory.
Offset Intake::kept_ahead_bytes() const {
  return kept_ != nullptr && kept_->is_on() ? kept_->received() - memory_end_ : 0;
}

bool Intake::rewind(const ReplicationPosition& position) {
  if (kept_ == nullptr || !kept_->follows(position.replid, position.offset)) return false;
  chunks_.clear();
  memory_bytes_ = 0;
  memory_end_ = position.offset;
  restart_.emplace();
  restart_->position.replid = kept_->history();
  restart_->position.offset = position.offset;
  restart_keeps_ = true;
  more_.notify();
  return true;
}

Task<Error> Intake::spool_chunk(const Chunk& chunk) {
  if (spool_->written_bytes() == 0)
    log_info("the target is slower than the source: spooling to disk");
  spooling_bytes_ = static_cast<std::int64_t>(chunk.bytes.size());
  Error error = co_await spool_->append(chunk.bytes);
  spooling_bytes_ = 0;
  more_.notify();
  co_return error;
}

// The spool is full, so reading stops; the source will cut the link when its own buffer is full as
// well.
void Intake::warn_full(const SourcePressure& pressure) {
  const TimePoint now = Clock::now();
  if (warned_full_ && now - *warned_full_ < std::chrono::seconds(10)) return;
  warned_full_ = now;
  const auto left = seconds_left(pressure);
  log_warn(
      "spool is full, reading stops: spool_bytes={} source_buffered_bytes={} source_limit_bytes={} "
      "source_cuts_in={}",
      pending_bytes() - memory_bytes_, pressure.buffered_bytes.value_or(-1), pressure.limit_bytes,
      left ? fmt::format("{}s", *left) : "unknown");
}

Task<void> Intake::restart(FullSync full_sync) {
  restart_ = std::move(full_sync);
  restart_keeps_ = false;
  more_.notify();
  while (restart_ && !closed_)
    co_await room_.wait();
}

void Intake::end() {
  ends_ = true;
  more_.notify();
}

void Intake::close() {
  closed_ = true;
  more_.notify();
  room_.notify();
}

bool Intake::is_idle() const {
  return !restart_ && pending_bytes() == 0;
}

std::int64_t Intake::pending_bytes() const {
  return memory_bytes_ + spooling_bytes_ + (spool_ != nullptr ? spool_->unread_bytes() : 0) +
         kept_ahead_bytes();
}

Task<Result<Intake::Item>> Intake::pop() {
  while (true) {
    if (closed_) co_return Item(Closed());
    if (restart_) {
      ends_ = false;
      chunks_.clear();
      memory_bytes_ = 0;
      if (kept_ != nullptr && !restart_keeps_) kept_->forget(restart_->position.replid);
      if (spool_ != nullptr && spool_->unread_bytes() > 0) {
        Error error = co_await spool_->clear();
        if (error) co_return error;
      }
      Item item = std::move(*restart_);
      restart_.reset();
      room_.notify();
      co_return item;
    }
    if (!chunks_.empty()) {
      Item item = std::move(chunks_.front());
      chunks_.pop_front();
      memory_bytes_ -= static_cast<std::int64_t>(std::get<Chunk>(item).bytes.size());
      room_.notify();
      co_return item;
    }
    if (kept_ahead_bytes() > 0 && memory_end_ < kept_->written()) {
      auto item = co_await pop_kept();
      if (restart_) continue;
      co_return item;
    }
    if (spool_ != nullptr && spool_->unread_bytes() > 0) co_return co_await pop_spooled();
    if (std::exchange(ends_, false)) co_return Item(Ended());
    co_await more_.wait();
  }
}

Task<Result<Intake::Item>> Intake::pop_spooled() {
  Chunk chunk;
  chunk.slab = make_slab(budget_);
  auto read = co_await spool_->read(chunk.slab->tail(), chunk.slab->size());
  if (!read) co_return read.error();
  chunk.bytes = chunk.slab->commit(*read);
  chunk.received = Clock::now();
  room_.notify();
  co_return Item(std::move(chunk));
}

Task<Result<Intake::Item>> Intake::pop_kept() {
  Chunk chunk;
  chunk.slab = make_slab(budget_);
  auto read = co_await kept_->read(memory_end_, chunk.slab->tail(), chunk.slab->size());
  if (!read) co_return read.error();
  chunk.bytes = chunk.slab->commit(*read);
  chunk.received = Clock::now();
  if (!restart_) memory_end_ += static_cast<Offset>(*read);
  room_.notify();
  co_return Item(std::move(chunk));
}

Task<void> Intake::drained() {
  while (!closed_ && pending_bytes() > 0)
    co_await room_.wait_for(Millis(20));
}

}  // namespace keyferry
