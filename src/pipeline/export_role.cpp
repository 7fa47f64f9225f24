// Export: one of several into the same files. Every key has one place in them, whichever shard it
// is of: behind all that was done to it before, and what would touch the keys of others is not
// taken.
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/export.hpp"

namespace keyferry {
namespace {

bool is_removal(const CommandInfo* info) {
  static const CommandInfo* const del = find_command("DEL");
  static const CommandInfo* const unlink = find_command("UNLINK");
  return info == del || info == unlink;
}

// Of functions, what cannot be told to be the same as another shard's.
bool is_function_restore(const CommandInfo& info, std::span<const ByteView> args) {
  constexpr ByteView upper = "RESTORE";
  if (info.name != "FUNCTION" || args.size() < 2) return false;
  return std::equal(args[1].begin(), args[1].end(), upper.begin(), upper.end(),
                    [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 32 : a) == b; });
}

}  // namespace

// Keys that a master has without owning their slots are what a move has left.
bool Export::wants_key(const rdb::Event& key) {
  if (role_ != nullptr && !role_->slots[slot_of(key.key)] && !is_own_key(key.key)) {
    ++foreign_keys_;
    return false;
  }
  return !transform_.filter().is_active() || rules_.wants(key, reader_->dialect());
}

// A key that arrives (RESTORE-ASKING: Redis 3.0 to 8.4 cluster.c migrateCommand), or one of a slot
// that is not the shard's, may have a past in the streams of others.
Export::Meeting Export::judge_slots(const Batch& batch) {
  static const CommandInfo* const arrival = find_command("RESTORE-ASKING");
  Meeting out = Meeting::nobody;
  for (const Command& command : batch.commands) {
    if (command.info == nullptr || command.info->kind != CommandKind::write) continue;
    const auto args = batch.args_of(command);
    for_each_key(*command.info, args, [&](std::size_t at) {
      const Slot slot = slot_of(args[at]);
      if (is_own_key(args[at]) || (role_->slots[slot] && command.info != arrival)) return;
      // Nothing came to the slot since it became another one's: it is what was left there.
      if (!is_removal(command.info)) role_->lost.reset(slot);
      if (role_->lost[slot]) out = Meeting::impossible;
      if (out == Meeting::nobody) out = Meeting::others;
    });
  }
  return out;
}

Task<Error> Export::meet_others(const Batch& batch) {
  const Meeting meeting = judge_slots(batch);
  if (meeting == Meeting::nobody) co_return Error();
  if (meeting == Meeting::impossible) {
    role_->begin_anew("a master dropped keys of a slot that had become another one's");
    co_return Error(Errc::cancelled, "begun anew");
  }
  give_turn();
  Error error = co_await role_->wait_for_others();
  co_await take_turn();
  co_return error;
}

// Behind filter and mapping: what is left would be carried out on the keys of all shards.
Error Export::judge_commands(const Batch& batch) {
  for (const Command& command : batch.commands) {
    if (command.info == nullptr || command.refusal != nullptr) continue;
    const auto args = batch.args_of(command);
    if (!command.info->flushes && !is_function_restore(*command.info, args)) continue;
    role_->begin_anew(fmt::format("{} at one of the masters", escaped(args[0])));
    return {Errc::cancelled, "begun anew"};
  }
  return Error();
}

Task<Error> Export::end_part() {
  FileSink::end_part(feed_, full_sync_.position.offset);
  if (role_ == nullptr) co_return co_await sink_.end_snapshot();
  if (foreign_keys_ > 0 && role_->is_late) {
    role_->begin_anew("a master that joined the cluster has keys already");
    co_return Error(Errc::cancelled, "begun anew");
  }
  if (foreign_keys_ > 0)
    log_warn("keys of slots that are not the master's were left out: {}", foreign_keys_);
  give_turn();
  Error error = co_await role_->snapshot_done();
  co_await take_turn();
  co_return error;
}

void Export::reconnect_source() {
  psync_.reconnect();
  observer_.reconnect();
}

}  // namespace keyferry
