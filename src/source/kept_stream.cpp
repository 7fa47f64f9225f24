#include "keyferry/source/kept_stream.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t unwritten_max_bytes = 4 * 1024 * 1024;
constexpr std::int64_t write_max_bytes = 1024 * 1024;
// Less than this waits a moment for more: each write costs a hop to the pool.
constexpr std::int64_t little_bytes = 64 * 1024;
constexpr Millis gather_interval{2};
constexpr Millis retry_interval{1000};
constexpr std::int64_t warn_every_ms = 10000;
constexpr std::int64_t smallest_segment_bytes = 64 * 1024;
// After a failure, before the disk is tried again.
constexpr std::int64_t rest_ms = 60000;

}  // namespace

std::int64_t KeptStream::segment_bytes_for(std::int64_t max_bytes) {
  return std::clamp(max_bytes / 8, smallest_segment_bytes, StreamLog::default_segment_bytes);
}

struct KeptStream::Done {
  Offset first = 0;
  Offset end = 0;
  std::int64_t disk_bytes = 0;
};

KeptStream::KeptStream(const asio::any_io_executor& executor, std::shared_ptr<StreamLog> log,
                       std::int64_t max_bytes, std::int64_t retain_bytes)
    : log_(std::move(log)),
      max_bytes_(max_bytes),
      retain_bytes_(retain_bytes),
      write_bytes_(std::min(write_max_bytes, segment_bytes_for(max_bytes))),
      wake_(executor) {
  for (const std::string& replid : log_->histories()) {
    if (!std::exchange(is_on_, true)) histories_.clear();
    histories_.push_back({log_->first(), replid});
  }
  kept_from_ = needed_from_ = log_->first();
  written_ = received_ = log_->end();
  disk_bytes_ = log_->disk_bytes();
}

bool KeptStream::may_begin(TimePoint now) const {
  return !is_on_ && !history().empty() && !(failed_at_ && elapsed_ms(*failed_at_, now) < rest_ms);
}

bool KeptStream::has_room() const {
  return unwritten_bytes_ < unwritten_max_bytes;
}

// A history goes on under another name when the source fails over, so what was received under one
// name is the past of all later ones.
bool KeptStream::follows(const std::string& replid, Offset offset) const {
  return is_on_ && offset >= std::max(kept_from_, trimming_to_) && offset <= received_ &&
         std::any_of(histories_.begin(), histories_.end(),
                     [&](const History& history) { return history.replid == replid; });
}

void KeptStream::begin(Offset offset) {
  forget(history());
  is_on_ = true;
  histories_.front().from = offset;
  kept_from_ = written_ = received_ = needed_from_ = offset;
}

void KeptStream::forget(const std::string& replid) {
  histories_ = std::vector<History>(1, History{0, replid});
  ++epoch_;
  is_on_ = is_full_ = false;
  unwritten_.clear();
  unwritten_bytes_ = 0;
  disk_bytes_ = 0;
  trimming_to_ = 0;
  must_start_over_ = true;
  wake_.notify();
}

void KeptStream::continue_as(const std::string& replid) {
  if (history() == replid) return;
  if (!is_on_) histories_.clear();
  histories_.push_back({received_, replid});
}

void KeptStream::add(SlabRef slab, ByteView bytes) {
  KEYFERRY_ASSERT(is_on_);
  unwritten_.push_back({std::move(slab), bytes});
  unwritten_bytes_ += static_cast<std::int64_t>(bytes.size());
  received_ += static_cast<Offset>(bytes.size());
  wake_.notify();
}

Task<Result<std::size_t>> KeptStream::read(Offset from, char* data, std::size_t size) {
  KEYFERRY_ASSERT(from >= kept_from_ && from < written_);
  const auto n = std::make_shared<std::size_t>(0);
  // Not beyond what is known to be written: later bytes may be taken back.
  const std::size_t most = std::min(size, static_cast<std::size_t>(written_ - from));
  std::function<Error()> work = [log = log_, from, data, most, n] {
    if (from < log->first() || from >= log->end())
      return Error(Errc::disk, "kept stream: what was kept is gone");
    auto read = log->read(from, data, most);
    if (!read) return read.error();
    *n = *read;
    return Error();
  };
  Error error = co_await run_in_pool(std::move(work));
  if (error && error.is(Errc::corrupt)) {
    forget(history());
    co_await start_over();
    error.what += "; what was kept has been removed, start again";
  }
  if (error) co_return error;
  co_return *n;
}

Task<Error> KeptStream::run() {
  while (!closed_) {
    if (must_start_over_) {
      co_await start_over();
    } else if (unwritten_.empty()) {
      co_await wake_.wait();
    } else if (disk_bytes_ + std::min(unwritten_bytes_, write_bytes_) > max_bytes_) {
      co_await make_room();
    } else {
      co_await write();
    }
  }
  co_return Error();
}

void KeptStream::close() {
  closed_ = true;
  wake_.notify();
}

Task<void> KeptStream::start_over() {
  must_start_over_ = false;
  std::function<Error()> work = [log = log_, at = written_] {
    log->begin(at);
    return Error();
  };
  Error none = co_await run_in_pool(std::move(work));
}

// What has gathered, in one piece; all of it or nothing.
Task<void> KeptStream::write() {
  const std::uint64_t epoch = epoch_;
  if (unwritten_bytes_ < little_bytes) co_await wake_.wait_for(gather_interval);
  if (epoch != epoch_ || closed_) co_return;
  std::size_t pieces = 0;
  const auto bytes = gather(pieces);
  const auto behind = std::find_if(histories_.rbegin(), histories_.rend(),
                                   [this](const History& h) { return h.from <= written_; });
  trimming_to_ = std::max(trimming_to_, needed_from_ - retain_bytes_);
  const auto done = std::make_shared<Done>();
  std::function<Error()> work = [log = log_, replid = behind->replid, bytes, done,
                                 keep_from = trimming_to_] {
    Error error = log->append(replid, *bytes);
    if (!error) log->trim(keep_from);
    *done = Done{log->first(), log->end(), log->disk_bytes()};
    return error;
  };
  Error error = co_await run_in_pool(std::move(work));
  if (epoch != epoch_) co_return;
  if (error) {
    failed(error);
    if (is_on_) co_await wake_.wait_for(retry_interval);
    co_return;
  }
  unwritten_.erase(unwritten_.begin(), unwritten_.begin() + static_cast<std::ptrdiff_t>(pieces));
  unwritten_bytes_ -= static_cast<std::int64_t>(bytes->size());
  note(*done);
}

// The first pieces, all of one name.
std::shared_ptr<Bytes> KeptStream::gather(std::size_t& pieces) const {
  const auto next = std::find_if(histories_.begin(), histories_.end(),
                                 [this](const History& h) { return h.from > written_; });
  std::int64_t most = write_bytes_;
  if (next != histories_.end()) most = std::min(most, next->from - written_);
  auto bytes = std::make_shared<Bytes>();
  for (const Piece& piece : unwritten_) {
    if (pieces > 0 && bytes->size() + piece.bytes.size() > static_cast<std::size_t>(most)) break;
    bytes->append(piece.bytes);
    ++pieces;
  }
  return bytes;
}

// Gives up what was kept for a target that loses writes; if that is not enough, the reader waits
// for the target.
Task<void> KeptStream::make_room() {
  const auto done = std::make_shared<Done>();
  trimming_to_ = std::max(trimming_to_, needed_from_);
  std::function<Error()> work = [log = log_, done, keep_from = trimming_to_] {
    log->trim(keep_from);
    *done = Done{log->first(), log->end(), log->disk_bytes()};
    return Error();
  };
  const std::uint64_t epoch = epoch_;
  Error none = co_await run_in_pool(std::move(work));
  if (epoch != epoch_) co_return;
  note(*done);
  is_full_ = disk_bytes_ + std::min(unwritten_bytes_, write_bytes_) > max_bytes_;
  if (is_full_) co_await wake_.wait_for(Millis(100));
}

void KeptStream::note(const Done& done) {
  kept_from_ = done.first;
  trimming_to_ = 0;
  written_ = done.end;
  disk_bytes_ = done.disk_bytes;
  if (on_progress) on_progress();
}

void KeptStream::failed(const Error& error) {
  const TimePoint now = Clock::now();
  const bool needed = is_needed && is_needed();
  if (!needed || !warned_at_ || elapsed_ms(*warned_at_, now) > warn_every_ms) {
    warned_at_ = now;
    log_warn("the received stream cannot be kept on disk: error=\"{}\"; {}", error.what,
             needed ? "reading stops until it can"
                    : "until it can, only the source's backlog covers a restart");
  }
  if (needed) return;
  failed_at_ = now;
  forget(history());
  if (on_progress) on_progress();
}

}  // namespace keyferry
