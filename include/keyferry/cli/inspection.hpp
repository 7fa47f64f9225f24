// Reads one snapshot from the pieces it comes in and tells a summary or a JSON writer about it:
// every element of every value is decoded, so a damaged one is found. Pure but for the writer's
// output; where the bytes come from is inspect.cpp's.
#pragma once

#include <cstdio>

#include "keyferry/cli/snapshot_summary.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/rdb/snapshot_json.hpp"

namespace keyferry {

class Inspection {
 public:
  enum class Form { summary, json };

  Inspection(Form form, std::FILE* out)
      : form_(form), reader_(value_max_bytes), json_(out), out_(out) {}

  // Takes what can be taken from the start of the unread bytes; how many it took. The rest is
  // offered again with more behind it. Nothing is taken once the snapshot has ended or failed.
  std::size_t take(ByteView unread);
  // From the start of the unread bytes: how many are surely needed to go on.
  std::size_t need_bytes() const { return reader_.need_bytes(); }
  bool ended() const { return ended_; }
  const Error& error() const { return error_; }

  // No more bytes come: prints the summary, or the last JSON line. `surplus` bytes were left behind
  // the snapshot. The error if there is one, also when the snapshot has not ended.
  Error finish(std::uint64_t surplus);

 private:
  // Values above this are decoded as they come; those up to it are held whole (and their strings
  // judged whole: base64 or not).
  static constexpr std::size_t value_max_bytes = std::size_t{1} << 20;

  void on_event(const rdb::Event& event);
  void on_key(const rdb::Event& event);
  void begin_key(const rdb::Event& event, bool is_whole);
  void on_element(const rdb::Element& element);
  void end_key(ByteView key, std::uint64_t bytes);
  void read_elements(const rdb::Event& event);

  Form form_;
  rdb::RdbReader reader_;
  rdb::ElementReader elements_;
  rdb::Element element_;
  SnapshotSummary summary_;
  SnapshotJson json_;
  std::FILE* out_;
  KeyFacts facts_;
  std::uint64_t value_at_ = 0;
  std::uint64_t keys_ = 0;
  bool checksum_disabled_ = false;
  bool ended_ = false;
  Error error_;
};

}  // namespace keyferry
