// Writes a snapshot as JSON lines: one object per key, and one each for what is no key. The form is
// described in the README ("Look into a snapshot"); it is binary safe: text that is valid UTF-8 is
// a JSON string, any other bytes are {"base64": "..."}. Streams: holds no value, but a string that
// is given whole.
#pragma once

#include <cstdio>
#include <span>

#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry {

class SnapshotJson {
 public:
  // null: the text stays here until it is taken.
  explicit SnapshotJson(std::FILE* out) : file_(out) {}
  ~SnapshotJson() { flush(); }
  SnapshotJson(const SnapshotJson&) = delete;
  SnapshotJson& operator=(const SnapshotJson&) = delete;

  void header(rdb::Dialect dialect);
  void aux(ByteView name, ByteView text);
  void function(ByteView source);
  // is_whole: a string's parts are kept until end_key, to see whether they are UTF-8; else they go
  // out as base64 at once.
  void begin_key(const rdb::Event& event, const rdb::ValueType& type, bool is_whole);
  void element(const rdb::Element& element);
  // The value of a module, which has no elements.
  void raw_value(ByteView value);
  void end_key(std::uint64_t bytes);
  // A command of the stream behind the snapshot.
  void command(std::int32_t db, std::span<const ByteView> args);
  void end(bool checksum_disabled, std::uint64_t keys, std::uint64_t surplus);
  void flush();
  // The text so far, without a file; the next one begins empty.
  Bytes& output() { return out_; }

 private:
  enum class Group { none, group, pending, consumers, owned, nacked };

  void text(ByteView bytes);
  void string_part(ByteView bytes);
  void base64(ByteView bytes, bool is_last);
  void stream_element(const rdb::Element& element);
  void stream_info(const rdb::Element& element);
  void stream_group(const rdb::Element& element);
  void next_group_part(Group part);
  void close_groups();
  void id(rdb::StreamId id);
  void comma();
  void score(double score);

  std::FILE* file_;
  Bytes out_;
  rdb::DataType data_ = rdb::DataType::string;
  bool is_whole_ = true;
  bool first_ = true;       // in the innermost list
  bool in_base64_ = false;  // a string's parts are being written
  Bytes kept_;              // a string's parts; or up to two bytes that wait for base64
  Group group_ = Group::none;
  bool groups_begun_ = false;
  bool first_consumer_ = true;
  bool in_items_ = false;
};

}  // namespace keyferry
