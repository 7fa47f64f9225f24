// Writes a snapshot anew from the events of one that is being read: the values' raw bytes as they
// are, the rest in the version that was asked for. What that version does not know is refused by
// name; nothing is decoded or converted. Pure; holds no value.
#pragma once

#include "keyferry/rdb/choice.hpp"
#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry::rdb {

// The release that a snapshot of this dialect is from, at least.
TargetTraits oldest_reader_of(Dialect dialect);
// The newest dialect that such a server reads.
Dialect newest_dialect_of(const TargetTraits& target);

class RdbCopy {
 public:
  // is_base: it is the first part of a multi-part append-only file.
  explicit RdbCopy(bool is_base) : is_base_(is_base) {}

  // Begins with the magic of the version for `target`, or of `source` itself without one.
  void begin(Bytes& out, Dialect source, const TargetTraits* target);

  // Another snapshot's keys follow in the same file.
  void go_on(Dialect source);

  // What is lost with this key in the new version: nothing means that it can be taken.
  Choice::Loss judge(const Event& key) const;

  // Appends what the event becomes. `consumed`: the bytes that the reader took for it. Events that
  // are judged otherwise than "nothing" must be left out, a big value with all its elements.
  void take(const Event& event, ByteView consumed, Bytes& out);

  // The end of the snapshot, with its checksum.
  void end(Bytes& out);

  Dialect dialect() const { return written_; }
  // Whether function libraries have a place in it.
  bool has_functions() const;

 private:
  void aux(ByteView name, ByteView text, Bytes& out);
  void head_of_key(const Event& event, Bytes& out);

  bool is_base_;
  bool is_same_ = true;  // the version that is read is the one that is written
  Dialect source_;
  Dialect written_;
  TargetTraits target_;
  std::uint64_t crc_ = 0;
};

}  // namespace keyferry::rdb
