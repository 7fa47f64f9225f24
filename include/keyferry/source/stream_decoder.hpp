// Replication stream bytes -> Batches: parses commands in place, follows SELECT and MULTI, keeps a
// group whole, eats what is only between master and replica. Pure; pipeline thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "keyferry/base/error.hpp"
#include "keyferry/command/batch.hpp"
#include "keyferry/command/command_table.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/source/byte_window.hpp"

namespace keyferry {

class StreamDecoder {
 public:
  explicit StreamDecoder(SlabBudget& budget) : window_(budget) {}

  // Starts a stream at `offset` with database `db` selected. `rest`: bytes that were received
  // behind the snapshot.
  void start(Offset offset, std::int32_t db);

  // The next bytes as they came. Errors: Errc::corrupt with the stream offset; then the decoder is
  // of no more use.
  Error feed(SlabRef slab, ByteView bytes, TimePoint received);

  // From now on the bytes are those of append-only files: annotations may stand between commands,
  // and from the first one behind `until` (seconds since 1970) on everything is left out.
  void read_annotations(std::optional<std::int64_t> until);
  // One file ends and the next begins, with database 0. Error corrupt: it ends inside a command or
  // group.
  Error begin_file();
  // Whether the bytes so far end inside a command or group; those are in no batch.
  bool is_torn() const { return in_group_ || window_.unread_bytes() > 0; }
  // Where what is whole ends, then: in front of an open group.
  Offset whole_offset() const { return in_group_ ? group_offset_ : offset_; }
  // `until` was reached.
  bool has_ended() const { return has_ended_; }

  // What has been decoded since the last call and may go on: whole commands, whole groups. nullptr:
  // nothing.
  std::unique_ptr<Batch> take();

  // A GETACK came since the last call: where the stream stood behind it.
  bool take_getack(Offset& end);

  std::int32_t db() const { return db_; }    // selected there
  Offset offset() const { return offset_; }  // behind the last whole command decoded
  // Behind everything it was given.
  Offset received() const { return offset_ + static_cast<Offset>(window_.unread_bytes()); }
  // Behind the last whole command, or group, that was taken and has an effect.
  StreamPoint effects() const { return effects_; }

 private:
  Error accept(ByteView wire);
  enum class Annotation { none, taken, need_more, corrupt };
  Annotation take_annotation(std::size_t& need);
  void open_batch();
  void note_effects(Batch& whole);
  const CommandInfo* info_of(ByteView name);
  void hold_slab();

  ByteWindow window_;
  CommandProgress progress_;  // of the command at the start of window_
  Offset offset_ = 0;
  std::int32_t db_ = 0;
  StreamPoint effects_;
  TimePoint received_;

  std::unique_ptr<Batch> batch_;
  std::size_t likely_commands_ = 0;  // in the next batch: as many as in the last one
  std::size_t likely_args_ = 0;
  std::size_t args_before_ = 0;  // size of batch_->args before the command being looked at
  std::size_t group_start_ = 0;  // index of the open group's MULTI in batch_->commands
  bool in_group_ = false;
  Offset group_offset_ = 0;    // stream offset before the open group's MULTI
  std::int32_t group_db_ = 0;  // selected there

  std::string last_name_;  // most streams repeat one name
  const CommandInfo* last_info_ = nullptr;
  bool has_annotations_ = false;
  std::optional<std::int64_t> until_;
  bool has_ended_ = false;

  bool getack_ = false;
  Offset getack_end_ = 0;
};

}  // namespace keyferry
