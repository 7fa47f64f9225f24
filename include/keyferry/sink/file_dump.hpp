// What goes into target files: a snapshot and the commands behind it as RESP, JSON lines or RDB.
// Pure: events and batches in, bytes out; file_sink brings them to disk.
#pragma once

#include <optional>

#include "keyferry/command/batch.hpp"
#include "keyferry/config/file_format.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/rdb/rdb_copy.hpp"
#include "keyferry/rdb/rewrite.hpp"
#include "keyferry/rdb/snapshot_json.hpp"
#include "keyferry/sink/libraries.hpp"

namespace keyferry {

struct DumpStats {
  std::uint64_t keys = 0;
  std::uint64_t rewritten_keys = 0;  // written as element commands
  std::uint64_t commands = 0;
  std::uint64_t filtered = 0;
  std::uint64_t failed = 0;
  std::uint64_t losses = 0;
  std::string last_error;
};

class FileDump {
 public:
  // Options outlive it.
  FileDump(FileFormat format, const Options& options);

  // Whether commands behind the snapshot have a place in it.
  bool has_stream() const { return format_ != FileFormat::rdb; }

  // A snapshot of this dialect begins.
  void begin_snapshot(rdb::Dialect dialect, Bytes& out);
  // The snapshot of another node of the same cluster follows in the same place.
  void go_on_with_snapshot(rdb::Dialect dialect);
  // Several nodes' streams come, all of which tell of function libraries.
  void share() { is_shared_ = true; }
  // What is taken from now on counts there.
  void count_in(DumpStats& stats) { stats_ = &stats; }
  // `consumed`: the bytes that the reader took for the event. Error data_refused: the value has no
  // place in the file, and the options do not allow to do without it.
  Error take(const rdb::Event& event, ByteView consumed, const rdb::HashTemplates& templates,
             Bytes& out);
  // The snapshot is complete; commands follow that run in database `db` first.
  void end_snapshot(Bytes& out);
  // Before the stream, or when another file begins: nothing is selected there.
  void begin_stream();
  // `now_s`: for annotations in append-only files.
  void take(const Batch& batch, std::int64_t now_s, Bytes& out);
  // All data are gone: another snapshot follows.
  void flush_all(Bytes& out);

 private:
  bool is_known(const rdb::Event& event, Error& error);
  Error put_key(const rdb::Event& key, const rdb::HashTemplates& templates, Bytes& out);
  Error put_foreign(const rdb::Event& key, rdb::Choice choice, const rdb::HashTemplates& templates,
                    Bytes& out);
  Error begin_key(const rdb::Event& key, Bytes& out);
  Error add_element(const rdb::Element& element, Bytes& out);
  Error end_key(const rdb::Event& key, Bytes& out);
  Error put_json(const rdb::Event& key, const rdb::HashTemplates& templates);
  Error take_json(const rdb::Event& event, const rdb::HashTemplates& templates, Bytes& out);
  Error take_rdb(const rdb::Event& event, ByteView consumed, Bytes& out);
  Error take_resp(const rdb::Event& event, const rdb::HashTemplates& templates, Bytes& out);
  rdb::Choice choose(const rdb::Event& key, std::size_t bytes) const;
  Error lose(const rdb::Event& key, rdb::Choice::Loss loss);
  Error lose(const std::string& what, bool is_fatal);
  void select(std::int32_t db, Bytes& out);
  bool is_wanted(const Batch& batch, const Command& command);

  FileFormat format_;
  const Options& options_;
  std::optional<rdb::TargetTraits> release_;
  rdb::TargetTraits target_;
  rdb::Dialect dialect_;
  rdb::RdbCopy copy_;
  SnapshotJson json_{nullptr};
  rdb::ChoiceRules rules_;
  std::optional<rdb::Rewriter> rewriter_;
  bool skipping_ = false;  // the elements that come are not wanted
  std::uint64_t value_bytes_ = 0;
  bool in_line_ = false;  // of JSON: a value comes in parts
  std::int32_t selected_db_ = -1;
  std::int64_t annotated_s_ = 0;
  bool is_shared_ = false;
  bool goes_on_ = false;  // not the first snapshot in its place
  Libraries libraries_;
  bool has_functions_ = false;  // the file may hold some
  DumpStats* stats_ = nullptr;
};

}  // namespace keyferry
