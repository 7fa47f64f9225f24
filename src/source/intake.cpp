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
      spool_->unread_bytes(), pressure.buffered_bytes.value_or(-1), pressure.limit_bytes,
      left ? fmt::format("{}s", *left) : "unknown");
}

Task<void> Intake::restart(FullSync full_sync) {
  restart_ = std::move(full_sync);
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
  return memory_bytes_ + spooling_bytes_ + (spool_ != nullptr ? spool_->unread_bytes() : 0);
}

Task<Result<Intake::Item>> Intake::pop() {
  while (true) {
    if (closed_) co_return Item(Closed());
    if (restart_) {
      ends_ = false;
      chunks_.clear();
      memory_bytes_ = 0;
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

Task<void> Intake::drained() {
  while (!closed_ && pending_bytes() > 0)
    co_await room_.wait_for(Millis(20));
}

}  // namespace keyferry
