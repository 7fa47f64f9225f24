// RedisSink: one of several into the same target (sink/shared_target). Emptying it means removing
// the keys of this shard's slots: by hand, behind everything before and before everything after. Of
// several sources none may empty it.
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/resp/word.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
namespace {

constexpr Millis record_poll{5};

bool is_flush(const Command& command) {
  return command.info != nullptr && command.info->flushes && command.refusal == nullptr;
}

}  // namespace

bool RedisSink::is_flush_of_a_shard(const Command& command) const {
  return shared != nullptr && is_flush(command);
}

// Where the stretch of the batch that begins with command `from` ends: a flush is the last of its.
Offset RedisSink::stretch_end(const Batch& batch, std::size_t from) const {
  for (std::size_t i = from; i < batch.commands.size() && shared != nullptr; ++i) {
    if (batch.commands[i].group == GroupMark::none && is_flush(batch.commands[i]))
      return batch.commands[i].end;
  }
  return batch.end;
}

// Why the keys of the shard cannot be told from others; nullptr when they can.
const char* RedisSink::why_not_flush() const {
  if (!shared->by_slots) return "would_empty_what_others_brought";
  if (shared->contested.any()) return "flush_while_slots_move";
  const bool renames =
      transform != nullptr && (transform->remap().maps_keys() ||
                               transform->remap().maps_databases() || transform->has_script());
  return renames ? "flush_of_a_shard_with_other_names" : nullptr;
}

// Functions and scripts belong to the server. A library that is loaded later wins, like a key; none
// of several sources may take all of them away. A script that stays does no harm.
std::optional<Route> RedisSink::route_of_several(const CommandInfo* info,
                                                 std::span<const ByteView> args) const {
  if (!is_of_several() || info == nullptr || args.size() < 2) return std::nullopt;
  if (info->name == "SCRIPT" && is_word(args[1], "FLUSH"))
    return Route{Route::Kind::drop, 0, "scripts_of_others"};
  const bool flushes =
      is_word(args[1], "FLUSH") || (is_word(args[1], "RESTORE") && is_word(args.back(), "FLUSH"));
  if (info->name != "FUNCTION" || !flushes) return std::nullopt;
  return Route{Route::Kind::refuse, 0, "would_empty_what_others_brought"};
}

// `end`: of the flush in the stream; slots that have come further are left alone.
Task<Error> RedisSink::remove_shared(Offset end, std::optional<std::int32_t> db) {
  std::bitset<slot_count> slots = shared->slots;
  for (std::size_t slot = 0; cluster_ && end > 0 && slot < slot_count; ++slot) {
    Unit unit;
    unit.slot = static_cast<Slot>(slot);
    unit.end = end;
    bool doubtful = false;
    if (cluster_->has(unit, doubtful)) slots.reset(slot);
  }
  Backoff backoff(Millis(50), Millis(1000));
  const TimePoint begin = Clock::now();
  std::uint64_t removed = 0;
  Error error;
  do {
    if (error) co_await sleep_for(backoff.next());
    error = Error();
    if (nodes_.is_cluster()) error = co_await nodes_.refresh();
    const std::vector<Endpoint> masters = nodes_.map().masters();
    for (std::size_t i = 0; i < masters.size() && !error && !stopping_; ++i)
      error = co_await remove_shared_at(masters[i], db, slots, removed);
    if (error) stats_.last_error = error.what;
  } while (error && !stopping_ &&
           elapsed_ms(begin, Clock::now()) < options_.target.reconnect_max_s * 1000);
  if (stopping_) co_return Error(Errc::cancelled, "stopped");
  if (!error) log_info("keys of the shard's slots were removed: keys={}", removed);
  co_return error;
}

Task<Error> RedisSink::remove_shared_at(Endpoint node, std::optional<std::int32_t> only,
                                        std::bitset<slot_count> slots, std::uint64_t& removed) {
  Bytes keyspace = make_command({"INFO", "keyspace"});
  auto reply = co_await call_once(node, 0, std::move(keyspace));
  if (!reply) co_return reply.error();
  for (const DatabaseKeys& found : read_keyspace(reply->text)) {
    const std::int32_t db = found.db;
    if (only && *only != db) continue;
    std::string cursor = "0";
    do {
      Bytes scan = make_command({"SCAN", cursor, "COUNT", "1000"});
      auto page = co_await call_once(node, db, std::move(scan));
      if (!page) co_return page.error();
      if (page->items.size() != 2)
        co_return Error(Errc::unreachable, "SCAN on the target: " + escaped(page->text));
      cursor = page->items[0].text;
      // One key each: those of a page are of many slots.
      Bytes wire = db == 0 ? Bytes() : make_command({"SELECT", std::to_string(db)});
      std::uint32_t keys = 0;
      for (const RespValue& key : page->items[1].items) {
        if (is_own_key(key.text) || !slots[slot_of(key.text)]) continue;
        append_command(wire, {"UNLINK", key.text});
        ++keys;
      }
      if (keys == 0) continue;
      if (db != 0) append_command(wire, {"SELECT", "0"});
      const std::uint32_t replies = keys + (db == 0 ? 0 : 2);
      auto answer = co_await nodes_.deliver(node, std::move(wire), replies,
                                            Millis(options_.target.reply_timeout_ms));
      if (!answer) co_return answer.error();
      if (!answer->empty()) co_return Error(Errc::unreachable, *answer);
      removed += keys;
    } while (cursor != "0" && !stopping_);
  }
  co_return Error();
}

// FLUSHALL and FLUSHDB in the stream of one shard. What comes behind may only be sent when no start
// would carry the flush out again.
Task<Error> RedisSink::flush_shared(const Command& command, ByteView name) {
  Error error = co_await idle();
  if (error || stream_void_) co_return error;
  std::optional<std::int32_t> db;
  if (name.size() == ByteView("FLUSHDB").size()) db = command.db;
  error = co_await remove_shared(command.end, db);
  if (!error && db) suspects_.clear_database(*db);
  if (!error && !db) suspects_.clear();
  ++stats_.applied;
  co_return error;
}

// Suspect keys of other databases hold the rest of the record back until they are healed, for which
// the stream has to go on. A start from there carries the flush out again in the slots whose own
// record does not say that they are further: what came behind it there comes again as well.
bool RedisSink::is_recorded_beside_suspects() const {
  if (suspects_.empty()) return false;
  return cluster_ ? cluster_->is_recorded_clean() : serial_->is_recorded_but_suspects();
}

Task<Error> RedisSink::record_up_to(Offset end, std::int32_t db) {
  if (!claim_) co_return Error();
  if (serial_) serial_->note_offset(end, db);
  if (cluster_) cluster_->note_offset(end, db);
  while (!stopping_ && !stream_void_) {
    checkpoint();
    if (is_recorded() || is_recorded_beside_suspects()) co_return Error();
    co_await room_.wait_for(record_poll);
  }
  co_return failure_;
}

}  // namespace keyferry
