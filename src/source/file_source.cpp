#include "keyferry/source/file_source.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr std::size_t smallest_read_bytes = 64 * 1024;

// A file does not mind waiting for the target.
SourcePressure no_pressure() {
  SourcePressure out;
  out.buffered_bytes = 0;
  return out;
}

}  // namespace

FileSource::FileSource(const asio::any_io_executor& executor, const EndOptions& options,
                       SlabBudget& budget, Intake& intake, PsyncState& state)
    : executor_(executor),
      options_(options),
      budget_(budget),
      intake_(intake),
      state_(state),
      halt_(executor) {}

Error FileSource::open() {
  auto files = find_files(options_.uri);
  if (!files) return files.error();
  files_ = std::move(*files);
  return Error();
}

// Standard input cannot be read twice.
Task<Error> FileSource::check(FileCheckRules rules) {
  if (files_.is_standard_input) co_return Error();
  log_info("looking through the files: count={} bytes={}", files_.files.size(),
           files_.size_bytes());
  std::function<Error()> work = [files = files_, rules, stop = stops_check_] {
    return check_files(files, rules, *stop);
  };
  co_return co_await run_in_pool(std::move(work));
}

Task<Error> FileSource::run() {
  Error error;
  while (!stopping_ && !error) {
    again_ = false;
    error = co_await read_all();
    while (!error && !stopping_ && !again_)
      co_await halt_.wait();
    if (again_ && files_.is_standard_input) {
      error = Error(Errc::history_lost,
                    "the target has lost data, and standard input cannot be read again");
    }
  }
  state_.link_up = false;
  intake_.close();
  co_return stopping_ ? Error() : error;
}

Task<Error> FileSource::read_all() {
  has_begun_ = false;
  finished_bytes_ = 0;
  starts_.clear();
  reader_ = std::make_shared<FileReader>();
  state_.wire_bytes = 0;
  std::size_t index = 0;
  if (resume_) {
    Error error = co_await find_start(index);
    if (error) co_return error;
  }
  for (; index < files_.files.size() && reading_ && !stopping_ && !again_; ++index) {
    Error error = co_await read_file(index);
    if (error) co_return error;
    finished_bytes_ += reader_->file_bytes_read();
    reader_ = std::make_shared<FileReader>();
  }
  if (stopping_ || again_) co_return Error();
  // Files without a byte.
  if (!has_begun_) {
    Error error = co_await begin(false);
    if (error) co_return error;
  }
  intake_.end();
  co_return Error();
}

Task<Error> FileSource::read_file(std::size_t index) {
  const bool goes_on = resume_.has_value();
  if (!std::exchange(resume_, std::nullopt)) {
    if (Error error = reader_->open(files_.files[index])) co_return error;
  }
  bool is_first = true;
  SlabRef slab = make_slab(budget_);
  while (reading_ && !stopping_ && !again_) {
    if (slab->tail_size() < smallest_read_bytes) slab = make_slab(budget_);
    auto piece = co_await read_piece(slab->tail(), slab->tail_size());
    if (!piece) co_return piece.error();
    if (piece->at_end) break;
    if (piece->size == 0) continue;
    Intake::Chunk chunk;
    chunk.slab = slab;
    chunk.bytes = slab->commit(piece->size);
    chunk.received = Clock::now();
    if (!has_begun_) {
      Error error = co_await begin(!goes_on && content_of(chunk.bytes) == FileContent::snapshot);
      if (error) co_return error;
    } else if (is_first) {
      chunk.begins_file = true;
    }
    if (std::exchange(is_first, false) && starts_.size() <= index)
      starts_.resize(index + 1, static_cast<std::int64_t>(state_.wire_bytes));
    state_.source_bytes += piece->size;
    state_.wire_bytes += piece->size;
    state_.last_read = chunk.received;
    Error error = co_await intake_.push(std::move(chunk), no_pressure);
    if (error) co_return stopping_ || again_ ? Error() : error;
  }
  co_return Error();
}

// Tells the Intake what comes now.
Task<Error> FileSource::begin(bool has_snapshot) {
  has_begun_ = true;
  state_.replid = files_.id;
  state_.link_up = state_.ever_linked = true;
  Intake::FullSync start;
  start.position.replid = files_.id;
  start.position.offset = state_.full_sync_offset;
  if (!state_.snapshot_wire_bytes) {
    ++state_.full_syncs;
    start.frame.emplace();
    start.frame->is_absent = !has_snapshot;
  }
  log_info("reading files: count={} bytes={} offset={}", files_.files.size(), files_.size_bytes(),
           start.position.offset);
  co_await intake_.restart(std::move(start));
  co_return Error();
}

Task<Result<FileReader::Piece>> FileSource::read_piece(char* out, std::size_t size) {
  const auto piece = std::make_shared<FileReader::Piece>();
  std::function<Error()> work = [reader = reader_, out, size, piece] {
    auto read = reader->read(out, size);
    if (!read) return read.error();
    *piece = *read;
    return Error();
  };
  Error error = co_await run_in_pool(std::move(work));
  if (error) co_return error;
  co_return *piece;
}

// Opens the file that holds the stream behind resume_ there. Another history begins anew.
Task<Error> FileSource::find_start(std::size_t& index) {
  if (resume_->replid != files_.id) {
    log_warn("the files are not those that the target has been given so far: all of them are read");
    resync();
    again_ = false;
    co_return Error();
  }
  const bool is_one = files_.files.size() == 1;
  auto left = static_cast<std::uint64_t>(resume_->offset);
  const auto snapshot = std::make_shared<std::uint64_t>(0);
  std::function<Error()> measure = [file = files_.files.front(), snapshot] {
    auto size = snapshot_bytes(file);
    if (!size) return size.error();
    *snapshot = *size;
    return Error();
  };
  Error error = co_await run_in_pool(std::move(measure));
  if (error) co_return error;
  if (is_one) left += *snapshot;
  if (!is_one && *snapshot > 0) index = 1;
  while (index + 1 < files_.files.size() && left >= files_.files[index].size_bytes)
    left -= files_.files[index++].size_bytes;
  for (std::size_t i = 0; i < index; ++i)
    finished_bytes_ += files_.files[i].size_bytes;
  const auto skipped = left;
  starts_.assign(index + 1, -static_cast<std::int64_t>(skipped));
  std::function<Error()> open = [reader = reader_, file = files_.files[index], skipped] {
    Error failed = reader->open(file);
    return failed ? failed : reader->skip(skipped);
  };
  co_return co_await run_in_pool(std::move(open));
}

void FileSource::stop() {
  stopping_ = true;
  *stops_check_ = true;
  halt_.notify();
}

void FileSource::go_on_at(const ReplicationPosition& position) {
  resume_ = position;
  state_.replid = position.replid;
  state_.full_sync_offset = position.offset;
  state_.snapshot_wire_bytes = 0;
  again_ = true;
  halt_.notify();
}

void FileSource::resync() {
  resume_.reset();
  state_.full_sync_offset = 0;
  state_.snapshot_wire_bytes.reset();
  again_ = true;
  halt_.notify();
}

std::string FileSource::place_of(Offset offset) const {
  const auto before = static_cast<std::int64_t>(state_.snapshot_wire_bytes.value_or(0));
  const std::int64_t at = offset - state_.full_sync_offset + before;
  std::size_t index = starts_.empty() ? 0 : starts_.size() - 1;
  while (index > 0 && starts_[index] > at)
    --index;
  const std::int64_t start = starts_.empty() ? 0 : starts_[index];
  return fmt::format("{} at byte {}", files_.files.at(index).name, at - start);
}

std::uint64_t FileSource::file_bytes_read() const {
  return finished_bytes_ + (reader_ ? reader_->file_bytes_read() : 0);
}

}  // namespace keyferry
