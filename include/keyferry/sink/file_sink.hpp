// Target files on disk: a snapshot and the stream behind it, in the format that the name of the
// file asks for. Collects what FileDump makes of them, writes it in the pool, syncs it as often as
// it is asked to, and begins further files by size. Pipeline thread only.
//
//   x.resp, x.jsonl   one file; x.2.resp, x.3.resp ... when it is rotated
//   x.rdb             written as x.rdb.part and renamed when it is complete
//   x.manifest        x.1.base.rdb, x.1.incr.aof, x.2.incr.aof ...: an append-only file of
//                     Redis >= 7.0. Another snapshot begins another base; the manifest before it
//                     is kept as x.1.manifest
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "keyferry/net/task.hpp"
#include "keyferry/rdb/aof_manifest.hpp"
#include "keyferry/sink/file_dump.hpp"
#include "keyferry/sink/output_file.hpp"

namespace keyferry {

// A stream that goes into the files, and the snapshot before it.
struct FileFeed {
  DumpStats stats;
  std::uint64_t bytes = 0;
  Offset taken = 0;    // in the buffer
  Offset written = 0;  // handed to the operating system
  Offset synced = 0;   // on disk for good
};

class FileSink {
 public:
  // Options outlive the sink.
  explicit FileSink(const Options& options);

  // Makes sure that the files can be written and nothing is lost by it. Errors: usage, disk.
  Error open();
  bool has_stream() const { return dump_.has_stream(); }

  // For each source that is read; stays where it is until drop_feeds().
  FileFeed& add_feed();
  void drop_feeds() { feeds_.clear(); }

  // --- the snapshots, one after the other
  Task<Error> begin_snapshot();
  Error take(FileFeed& feed, const rdb::Event& event, ByteView consumed, rdb::Dialect dialect,
             const rdb::HashTemplates& templates);
  // All of it was taken; the stream begins at `offset`.
  static void end_part(FileFeed& feed, Offset offset) { feed.taken = offset; }
  // All of them were.
  Task<Error> end_snapshot();

  // --- the streams
  void take(FileFeed& feed, const Batch& batch);

  // More has been collected than should be kept in memory.
  bool is_full() const { return buffer_.size() >= buffer_max_bytes; }
  // Writes what was collected.
  Task<Error> write();
  // Writes it and makes it survive a crash.
  Task<Error> sync();
  // Behind the last byte.
  Task<Error> finish();

  // The file being written.
  const std::string& path() const { return current_; }

 private:
  static constexpr std::size_t buffer_max_bytes = 256 * 1024;

  std::vector<Offset> offsets(Offset FileFeed::*which) const;
  void reach(Offset FileFeed::*which, const std::vector<Offset>& offsets);
  Task<Error> in_pool(std::function<Error(OutputFile&)> work);
  Task<Error> create(std::string path, bool may_replace);
  Task<Error> begin_next_file();
  Task<Error> write_manifest();
  std::string numbered(std::uint64_t number) const;
  std::string beside(const std::string& name) const;
  Error open_append_only();

  const Options& options_;
  std::string path_;
  FileFormat format_;
  bool may_replace_;
  FileDump dump_;
  std::shared_ptr<OutputFile> file_ = std::make_shared<OutputFile>();  // shared with the pool
  std::string current_;
  Bytes buffer_;
  std::uint64_t number_ = 1;            // of the file being written
  std::uint64_t base_ = 0;              // of the last base
  std::string kept_manifest_;           // name that an older manifest will be kept under
  std::vector<AofManifestFile> parts_;  // of the manifest
  bool has_manifest_ = false;           // of this run's last base
  bool is_first_snapshot_ = true;
  bool is_first_part_ = true;  // no snapshot before in the same place
  bool in_stream_ = false;
  bool finished_ = false;
  std::int64_t file_stream_bytes_ = 0;  // of the stream, in this file
  std::deque<FileFeed> feeds_;
};

}  // namespace keyferry
