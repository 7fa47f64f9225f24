// Pipeline: one of several of a link. A slot that comes from another shard brings an order with it:
// what the other shard wrote to it comes first, however far behind its pipeline is.
#include "keyferry/base/log.hpp"
#include "keyferry/cluster/slot_import.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {

// Slots that move here as a whole: their keys come once more, in plain commands, and what is
// written meanwhile comes from both sides; in the end the former owner deletes them all. So all of
// their keys are copied anew behind that. A move that began before our snapshot is only known by
// its end.
Task<Error> Pipeline::meet_imports(const Batch& batch) {
  for (const Command& command : batch.commands) {
    if (command.info == nullptr || command.info->kind != CommandKind::never) continue;
    const auto import = read_slot_import(batch.args_of(command));
    if (!import) continue;
    const Bytes job(import->job);
    ShardSlots slots = import->slots;
    if (slots.any()) {
      imports_[job] = slots;
    } else if (const auto known = imports_.find(job); known != imports_.end()) {
      slots = known->second;  // they may have been copied before any of it came
      imports_.erase(known);
    }
    Error error = co_await role->take_import(slots);
    if (error) co_return error;
  }
  co_return Error();
}

// Slots of the batch that are not the shard's own, or into which keys come from another one: those
// arrive by RESTORE-ASKING (Redis 3.0 to 8.4 cluster.c migrateCommand).
ShardSlots Pipeline::foreign_slots(const Batch& batch) {
  static const CommandInfo* const arrival = find_command("RESTORE-ASKING");
  ShardSlots out;
  const SharedTarget& own = role->target;
  for (const Command& command : batch.commands) {
    const auto args = batch.args_of(command);
    const CommandInfo* info = command.info;
    if (info == nullptr) info = sink_.nodes().learnt().find(args[0]);
    if (info == nullptr || info->kind != CommandKind::write) continue;
    for_each_key(*info, args, [&](std::size_t at) {
      const Slot slot = slot_of(args[at]);
      if (own.slots[slot] && (info != arrival || !own.contested[slot])) return;
      if (!is_own_key(args[at])) out.set(slot);
    });
  }
  return out;
}

Task<Error> Pipeline::enter_slots(ShardSlots slots, TimePoint since) {
  if (slots.none()) co_return Error();
  Error error = co_await role->wait_for_others(slots, since);
  // What is held back here comes again at the next start.
  if (error.is(Errc::cancelled)) left_behind_ = true;
  co_return error;
}

// A key of the snapshot whose slot is not ours alone: once per slot and snapshot.
bool Pipeline::meets_foreign_slot(const rdb::Event& event) {
  const bool begins_key =
      event.kind == rdb::Event::Kind::key || event.kind == rdb::Event::Kind::big_key;
  if (!is_shard() || !begins_key || is_own_key(event.key)) return false;
  const Slot slot = slot_of(event.key);
  return !role->target.slots[slot] && !entered_[slot];
}

Task<Error> Pipeline::enter_slot_of(const rdb::Event& event) {
  ShardSlots slots;
  slots.set(slot_of(event.key));
  Error error = co_await enter_slots(slots, snapshot_began_);
  if (!error) entered_ |= slots;
  co_return error;
}

// Whether the others are ready as well.
bool Pipeline::may_end(bool reached) {
  if (role == nullptr) return reached;
  role->is_ready = reached;
  return reached && role->may_end();
}

bool Pipeline::has_recorded(Offset offset) {
  if (!in_stream_) return false;
  sink_.checkpoint();
  return (sink_.is_exactly_once() ? sink_.recorded_offset() : watermark_.applied()) >= offset;
}

bool Pipeline::suspect(std::int32_t db, ByteView key) {
  if (!sink_.is_exactly_once() || !in_stream_) return false;
  if (!is_own_key(key)) sink_.suspects().add(db, key);
  return !sink_.suspects().overflowed();
}

void Pipeline::reconnect_source() {
  psync_.reconnect();
  observer_.reconnect();
  copier_.reconnect();
}

}  // namespace keyferry
