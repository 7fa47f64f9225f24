// Export: one of several into the same files. Every key has one place in them, whichever shard it
// is of: behind all that was done to it before, and what would touch the keys of others is not
// taken.
#include "keyferry/base/log.hpp"
#include "keyferry/cluster/slot_import.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/export.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

constexpr std::size_t held_max_bytes = 4 * 1024 * 1024;
constexpr std::int64_t held_max_ms = 30000;

bool is_removal(const CommandInfo* info) {
  static const CommandInfo* const del = find_command("DEL");
  static const CommandInfo* const unlink = find_command("UNLINK");
  return info == del || info == unlink;
}

// Of functions, what cannot be told to be the same as another shard's.
bool is_function_restore(const CommandInfo& info, std::span<const ByteView> args) {
  return info.name == "FUNCTION" && args.size() > 1 && is_word(args[1], "RESTORE");
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

// The reader asks only for keys that it can step over: of the others the whole value comes.
bool Export::is_stray(const rdb::Event& event) {
  using Kind = rdb::Event::Kind;
  if (role_ == nullptr) return false;
  if (event.kind == Kind::element || event.kind == Kind::big_key_end) return in_stray_;
  if (event.kind != Kind::key && event.kind != Kind::big_key) return false;
  in_stray_ = !role_->slots[slot_of(event.key)] && !is_own_key(event.key);
  if (in_stray_) ++foreign_keys_;
  return in_stray_;
}

// A key that arrives (RESTORE-ASKING: Redis 3.0 to 8.4 cluster.c migrateCommand), or one of a slot
// that is not the shard's, may have a past in the streams of others.
void Export::judge_command(const Batch& batch, const Command& command, Piece& piece) {
  static const CommandInfo* const arrival = find_command("RESTORE-ASKING");
  if (command.info == nullptr || command.info->kind != CommandKind::write) return;
  const auto args = batch.args_of(command);
  for_each_key(*command.info, args, [&](std::size_t at) {
    if (is_own_key(args[at])) return;
    const Slot slot = slot_of(args[at]);
    piece.is_mixed = piece.is_mixed || (piece.slot && *piece.slot != slot);
    piece.slot = slot;
    if (held_.holds(slot)) piece.must_wait = true;
    if (role_->slots[slot] && command.info != arrival) return;
    piece.must_wait = true;
    // Nothing came to the slot since it became another one's: it is what was left there.
    if (!is_removal(command.info)) role_->lost.reset(slot);
    piece.is_left_over = piece.is_left_over || role_->lost[slot];
  });
}

Export::Piece Export::judge_piece(const Batch& batch, std::size_t first) {
  Piece piece;
  piece.last = first;
  while (batch.commands[first].group == GroupMark::first &&
         batch.commands[piece.last].group != GroupMark::last &&
         piece.last + 1 < batch.commands.size())
    ++piece.last;
  for (std::size_t i = first; i <= piece.last; ++i)
    judge_command(batch, batch.commands[i], piece);
  return piece;
}

// Takes out of the batch what has to wait; each slot of it is let go by a coroutine of its own.
Task<Error> Export::hold_back(Batch& batch) {
  std::vector<Command>& commands = batch.commands;
  std::size_t kept = 0;
  for (std::size_t at = 0; at < commands.size();) {
    const Piece piece = judge_piece(batch, at);
    if (piece.is_left_over)
      co_return begin_anew("a master dropped keys of a slot that had become another one's");
    if (piece.must_wait && piece.is_mixed)
      co_return begin_anew("a transaction writes to several slots, one of which is on the move");
    if (piece.must_wait) {
      const bool is_first = held_.add(*piece.slot, batch, at, piece.last);
      if (is_first) scope_.spawn(release(*piece.slot));
      at = piece.last + 1;
    } else {
      for (; at <= piece.last; ++at)
        commands[kept++] = commands[at];
    }
  }
  commands.resize(kept);
  TimePoint begin = Clock::now();
  while (held_.bytes() > held_max_bytes && !finished_) {
    if (elapsed_ms(begin, Clock::now()) > held_max_ms)
      co_return begin_anew("a slot moves, and too much waits for its former master");
    turn_.give();
    co_await halt_.wait_for(Millis(5));
    co_await turn_.take();
    if (paused_) begin = Clock::now();  // so are the others
  }
  co_return Error();
}

Task<Error> Export::release(Slot slot) {
  while (!finished_) {
    co_await halt_.wait_for(Millis(1));  // what comes together waits together
    std::unique_ptr<Batch> batch = held_.take(slot);
    Error error = co_await role_->wait_for_others(slot);
    if (finished_) break;
    // What is held back now would follow what never comes.
    if (error) co_return error;
    co_await turn_.take();
    batch->end = feed_.taken;
    error = take_batch(*batch);
    turn_.give();
    if (error) co_return error;
    if (held_.release(slot)) break;
  }
  if (finished_) held_.clear();
  on_progress();
  co_return Error();
}

Error Export::begin_anew(const std::string& why) {
  role_->begin_anew(why);
  return {Errc::cancelled, "begun anew"};
}

// Behind filter and mapping: what is left would be carried out on the keys of all shards.
Error Export::judge_commands(const Batch& batch) {
  for (const Command& command : batch.commands) {
    if (command.info == nullptr || command.refusal != nullptr) continue;
    const auto args = batch.args_of(command);
    // Their keys come from two sides, and what the former master drops in the end is not said.
    if (read_slot_import(args)) return begin_anew("slots move to a master as a whole");
    if (!command.info->flushes && !is_function_restore(*command.info, args)) continue;
    return begin_anew(fmt::format("{} at one of the masters", escaped(args[0])));
  }
  return Error();
}

Task<Error> Export::end_part() {
  FileSink::end_part(feed_, full_sync_.position.offset);
  if (role_ == nullptr) co_return co_await sink_.end_snapshot();
  if (foreign_keys_ > 0)
    log_warn("keys of slots that are not the master's were left out: {}", foreign_keys_);
  turn_.give();
  Error error = co_await role_->snapshot_done();
  co_await turn_.take();
  co_return error;
}

void Export::reconnect_source() {
  psync_.reconnect();
  observer_.reconnect();
}

}  // namespace keyferry
