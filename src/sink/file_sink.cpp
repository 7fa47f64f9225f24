#include "keyferry/sink/file_sink.hpp"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view manifest_end = ".manifest";
constexpr const char* part_end = ".part";

}  // namespace

FileSink::FileSink(const Options& options)
    : options_(options),
      path_(options.target.uri.path),
      format_(file_format_of(path_)),
      may_replace_(options.target_before == TargetBefore::flush),
      dump_(format_, options) {}

Error FileSink::open() {
  const fs::path folder = fs::path(path_).parent_path();
  std::error_code ec;
  if (!fs::is_directory(folder, ec)) return {Errc::usage, folder.string() + " is no folder"};
  if (format_ == FileFormat::append_only) return open_append_only();
  if (may_replace_ || !fs::exists(path_, ec)) return Error();
  return {Errc::usage, path_ + " is there already (target.before: flush replaces it)"};
}

// Behind a set of files that is there already another base is begun.
Error FileSink::open_append_only() {
  std::error_code ec;
  if (!fs::exists(path_, ec)) return Error();
  if (options_.target_before != TargetBefore::keep) {
    return {Errc::usage, path_ +
                             " is there already, and what it names is never removed: "
                             "target.before must be keep"};
  }
  std::ifstream in(path_, std::ios::binary);
  const Bytes text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  const auto manifest = parse_aof_manifest(text);
  if (!manifest) return with_context(path_, manifest.error());
  base_ = manifest->last_sequence;
  number_ = manifest->last_sequence + 1;
  kept_manifest_ = beside(fmt::format(".{}{}", base_, manifest_end));
  return Error();
}

// "x.2.resp.gz" for "x.resp.gz".
std::string FileSink::numbered(std::uint64_t number) const {
  if (number == 1) return path_;
  const std::string plain(without_compression(path_));
  const std::size_t dot = plain.rfind('.');
  return fmt::format("{}.{}{}", plain.substr(0, dot), number, path_.substr(dot));
}

// "x<end>" for "x.manifest".
std::string FileSink::beside(const std::string& end) const {
  return path_.substr(0, path_.size() - manifest_end.size()) + end;
}

Task<Error> FileSink::in_pool(std::function<Error(OutputFile&)> work) {
  std::function<Error()> job = [file = file_, work = std::move(work)] { return work(*file); };
  co_return co_await run_in_pool(std::move(job));
}

Task<Error> FileSink::create(std::string path, bool may_replace) {
  current_ = std::move(path);
  std::function<Error(OutputFile&)> work = [path = current_, may_replace,
                                            kind = compression_by_name(path_)](OutputFile& file) {
    return file.create(path, kind, may_replace);
  };
  co_return co_await in_pool(std::move(work));
}

FileFeed& FileSink::add_feed() {
  if (!feeds_.empty()) dump_.share();
  return feeds_.emplace_back();
}

std::vector<Offset> FileSink::offsets(Offset FileFeed::*which) const {
  std::vector<Offset> out;
  for (const FileFeed& feed : feeds_)
    out.push_back(feed.*which);
  return out;
}

void FileSink::reach(Offset FileFeed::*which, const std::vector<Offset>& offsets) {
  for (std::size_t i = 0; i < offsets.size(); ++i)
    feeds_[i].*which = offsets[i];
}

Task<Error> FileSink::begin_snapshot() {
  in_stream_ = finished_ = false;
  is_first_part_ = true;
  const bool is_first = std::exchange(is_first_snapshot_, false);
  // What another file was to get. Behind what is in the same one, its rest has to come.
  const bool is_fresh = format_ == FileFormat::rdb || format_ == FileFormat::append_only;
  if (is_fresh) buffer_.clear();
  if (format_ == FileFormat::rdb) co_return co_await create(path_ + part_end, true);
  if (format_ == FileFormat::append_only) {
    if (!is_first) {
      Error error = co_await finish();
      if (error) co_return error;
      if (std::exchange(has_manifest_, false))
        kept_manifest_ = beside(fmt::format(".{}{}", base_, manifest_end));
      ++number_;
    }
    base_ = number_;
    co_return co_await create(beside(fmt::format(".{}.base.rdb", base_)), true);
  }
  if (is_first) co_return co_await create(numbered(1), may_replace_);
  dump_.flush_all(buffer_);
  co_return Error();
}

Error FileSink::take(FileFeed& feed, const rdb::Event& event, ByteView consumed,
                     rdb::Dialect dialect, const rdb::HashTemplates& templates) {
  const std::size_t before = buffer_.size();
  dump_.count_in(feed.stats);
  if (event.kind == rdb::Event::Kind::header) {
    if (std::exchange(is_first_part_, false)) {
      dump_.begin_snapshot(dialect, buffer_);
    } else {
      dump_.go_on_with_snapshot(dialect);
    }
  }
  Error error = dump_.take(event, consumed, templates, buffer_);
  feed.bytes += buffer_.size() - before;
  return error;
}

Task<Error> FileSink::end_snapshot() {
  dump_.end_snapshot(buffer_);
  Error error = co_await write();
  if (error) co_return error;
  if (format_ == FileFormat::rdb) {
    std::function<Error(OutputFile&)> work = [path = path_](OutputFile& file) {
      return file.finish_as(path);
    };
    error = co_await in_pool(std::move(work));
    finished_ = true;
    current_ = path_;
  } else if (format_ == FileFormat::append_only) {
    std::function<Error(OutputFile&)> work = [](OutputFile& file) { return file.finish(); };
    error = co_await in_pool(std::move(work));
    parts_.clear();
    parts_.push_back({fs::path(current_).filename().string(), base_, 'b'});
    if (!error) error = co_await begin_next_file();
  } else {
    error = co_await sync();
  }
  in_stream_ = true;
  file_stream_bytes_ = 0;
  const std::vector<Offset> taken = offsets(&FileFeed::taken);
  reach(&FileFeed::written, taken);
  reach(&FileFeed::synced, taken);
  co_return error;
}

// A file of commands, behind a base or behind one that has become too large.
Task<Error> FileSink::begin_next_file() {
  dump_.begin_stream();
  file_stream_bytes_ = 0;
  if (format_ != FileFormat::append_only)
    co_return co_await create(numbered(number_), may_replace_);
  Error error = co_await create(beside(fmt::format(".{}.incr.aof", number_)), true);
  if (error) co_return error;
  parts_.push_back({fs::path(current_).filename().string(), number_, 'i'});
  co_return co_await write_manifest();
}

Task<Error> FileSink::write_manifest() {
  has_manifest_ = true;
  const std::string kept = std::exchange(kept_manifest_, "");
  if (!kept.empty()) log_info("another base begins: the files so far are kept in {}", kept);
  std::function<Error(OutputFile&)> work = [path = path_, kept,
                                            text = aof_manifest_text(parts_)](OutputFile&) {
    if (!kept.empty() && std::rename(path.c_str(), kept.c_str()) != 0)
      return Error(Errc::disk, path + ": it cannot be renamed to " + kept);
    return replace_file(path, text);
  };
  co_return co_await in_pool(std::move(work));
}

void FileSink::take(FileFeed& feed, const Batch& batch) {
  const std::size_t before = buffer_.size();
  dump_.count_in(feed.stats);
  dump_.take(batch, unix_now_ms() / 1000, buffer_);
  feed.bytes += buffer_.size() - before;
  file_stream_bytes_ += static_cast<std::int64_t>(buffer_.size() - before);
  feed.taken = batch.end;
}

Task<Error> FileSink::write() {
  const std::vector<Offset> taken = offsets(&FileFeed::taken);
  if (!buffer_.empty()) {
    const auto bytes = std::make_shared<Bytes>(std::exchange(buffer_, Bytes()));
    std::function<Error(OutputFile&)> work = [bytes](OutputFile& file) {
      return file.write(*bytes);
    };
    Error error = co_await in_pool(std::move(work));
    if (error) co_return error;
  }
  reach(&FileFeed::written, taken);
  const bool is_due = in_stream_ && options_.target_file_rotate_bytes > 0 &&
                      file_stream_bytes_ >= options_.target_file_rotate_bytes;
  if (!is_due) co_return Error();
  Error error = co_await finish();
  if (error) co_return error;
  finished_ = false;
  ++number_;
  co_return co_await begin_next_file();
}

Task<Error> FileSink::sync() {
  Error error = co_await write();
  if (error || finished_) co_return error;
  const std::vector<Offset> written = offsets(&FileFeed::written);
  std::function<Error(OutputFile&)> work = [](OutputFile& file) { return file.sync(); };
  error = co_await in_pool(std::move(work));
  if (!error) reach(&FileFeed::synced, written);
  co_return error;
}

Task<Error> FileSink::finish() {
  if (std::exchange(finished_, true)) co_return Error();
  const std::vector<Offset> written = offsets(&FileFeed::written);
  std::function<Error(OutputFile&)> work = [](OutputFile& file) { return file.finish(); };
  Error error = co_await in_pool(std::move(work));
  if (!error) reach(&FileFeed::synced, written);
  co_return error;
}

}  // namespace keyferry
