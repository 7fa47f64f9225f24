// ClusterStream: a slot that stays half moved. Its keys lie on two nodes, so it refuses
// transactions (TRYAGAIN), and relative commands could not be told from repeated ones after a
// crash. After delivery.migrating_max_s they go one by one: the slot's record says first which
// command comes next and what its key's value is; whoever finds that record later knows by the
// value whether the command took place (house contract: checkpoint/slot_record, "intent").
#include "keyferry/base/checksum.hpp"
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/cluster_stream.hpp"
#include "keyferry/sink/late.hpp"

namespace keyferry {
namespace {

constexpr Millis retry_pause{50};
// Then the usual way is tried again.
constexpr int by_hand_units_max = 64;
// RDB version and CRC64 behind a DUMP payload: the two nodes may differ in the first.
constexpr std::size_t dump_footer_bytes = 10;

// The one key of a unit that is one command with one key; nullopt for any other.
std::optional<ByteView> only_key(const Unit& unit) {
  std::vector<ByteView> args;
  if (unit.is_group || unit.joins_next || unit.replies != 1) return std::nullopt;
  if (parse_command(unit.wire, args).status != CommandParse::Status::command) return std::nullopt;
  const CommandInfo* info = find_command(args[0]);
  if (info == nullptr) return std::nullopt;
  std::optional<ByteView> key;
  std::size_t keys = 0;
  for_each_key(*info, args, [&](std::size_t at) {
    key = args[at];
    ++keys;
  });
  return keys == 1 ? key : std::nullopt;
}

// As ReplyScanner::lowest_integer().
std::int64_t lowest_integer(const RespValue& reply) {
  std::int64_t lowest =
      reply.kind == RespValue::Kind::integer ? reply.integer : ReplyScanner::no_integer;
  for (const RespValue& item : reply.items)
    lowest = std::min(lowest, lowest_integer(item));
  return lowest;
}

}  // namespace

// To the node that has the key, or takes it; one redirection is followed.
Task<Result<RespValue>> ClusterStream::ask_slot(Slot slot, std::int32_t db, Bytes command) {
  NodeLane& lane = *lanes_[slots_.lane(slot)];
  auto reply = co_await ask_in(lane, db, false, command);
  if (!reply) co_return reply;
  const Judgement judgement = reply->is_error() ? judge_reply(reply->text) : Judgement();
  if (judgement.refresh_map && on_stale_map) on_stale_map();
  const bool asks = judgement.verdict == Verdict::ask;
  if (!asks && judgement.verdict != Verdict::moved) co_return reply;
  Endpoint node = judgement.to;
  if (node.host.empty()) node.host = lane.node().host;
  co_return co_await ask_in(*lanes_[lane_for(node)], db, asks, std::move(command));
}

// Database 0 is selected again behind it, and before the answer is known.
Task<Result<RespValue>> ClusterStream::ask_in(NodeLane& lane, std::int32_t db, bool asking,
                                              Bytes command) {
  Bytes wire;
  std::size_t before = 0;
  if (db != 0) append_command(wire, {"SELECT", std::to_string(db)});
  if (asking) append_command(wire, {"ASKING"});
  before += (db != 0 ? 1 : 0) + (asking ? 1 : 0);
  wire += command;
  if (db != 0) append_command(wire, {"SELECT", "0"});
  auto replies = co_await lane.ask(std::move(wire), before + 1 + (db != 0 ? 1 : 0));
  if (!replies) co_return replies.error();
  co_return std::move((*replies)[before]);
}

// Of the key's value, 0 when there is none.
Task<Result<std::uint64_t>> ClusterStream::digest_of(Slot slot, std::int32_t db, Bytes key) {
  Bytes command = make_command({"DUMP", key});
  auto reply = co_await ask_slot(slot, db, std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::unreachable, reply->text);
  co_return digest_of_dump(*reply);
}

std::uint64_t digest_of_dump(const RespValue& reply) {
  if (reply.is_null() || reply.text.size() < dump_footer_bytes) return 0;
  return crc64(0, ByteView(reply.text).substr(0, reply.text.size() - dump_footer_bytes));
}

SlotRecord ClusterStream::slot_record(Slot slot) const {
  SlotRecord record;
  record.generation = record_.generation;
  record.offset = slots_[slot].recorded;
  record.judged = events_.any_suspect() ? std::min(record.offset, clean_) : record.offset;
  record.replid = record_.replid;
  return record;
}

Task<Error> ClusterStream::write_slot_record(Slot slot, SlotRecord record) {
  Bytes text;
  append_slot_record(text, record);
  Bytes command = make_command({"SET", slot_record_key(link_, slot), text});
  auto reply = co_await ask_slot(slot, 0, std::move(command));
  if (!reply) co_return reply.error();
  co_return reply->is_error() ? Error(Errc::unreachable, reply->text) : Error();
}

void ClusterStream::begin_by_hand(Slot slot) {
  Trouble& trouble = troubles_[slot];
  if (!std::exchange(trouble.by_hand, true))
    log_warn("slot {} of the target has been half moved for {} s: goes on command by command", slot,
             elapsed_ms(trouble.refused_since.value_or(Clock::now()), Clock::now()) / 1000);
  slots_[slot].step = SlotState::Step::by_hand;
  scope_.spawn(go_by_hand(slot));
}

// Until a command that needs more than one key, or a failure; then the usual way is tried again.
Task<Error> ClusterStream::go_by_hand(Slot slot) {
  const std::uint64_t epoch = epoch_;
  SlotState& state = slots_[slot];
  Error error;
  bool is_behind = false;  // the record
  int i = 0;
  for (; i < by_hand_units_max && !error && state.size() > 0 && !state.is_moving; ++i) {
    const Unit& unit = slots_.unit(state.at(0));
    const std::optional<ByteView> key = only_key(unit);
    if (!key) break;
    is_behind = is_behind || unit.needs_record;
    if (unit.needs_record) {
      error = co_await run_with_intent(slot, Bytes(*key));
    } else {
      auto reply = co_await ask_slot(slot, unit.db, Bytes(unit.wire));
      if (epoch != epoch_) co_return Error();
      error = reply ? take_answer(slot, *reply) : reply.error();
    }
    if (epoch != epoch_ || stopping_) co_return Error();
    flush_answered();
  }
  while (is_behind) {
    Error failed = co_await write_slot_record(slot, slot_record(slot));
    if (epoch != epoch_ || stopping_) co_return Error();
    if (!failed) break;
    co_await look_.wait_for(retry_pause);
    if (epoch != epoch_ || stopping_) co_return Error();
  }
  if (error) log_debug("slot {} by hand: {}", slot, error.what);
  Trouble& trouble = troubles_[slot];
  trouble.error = error.what;
  trouble.refused_since = Clock::now();
  if (i > 1) trouble.backoff.reset();
  if (state.is_moving) {
    reopen(slot);
  } else {
    trouble.not_before = Clock::now() + trouble.backoff.next();
    state.step = SlotState::Step::waiting;
  }
  look_.notify();
  co_return Error();
}

// The first unit of the slot. Does not end before it is known whether it took place. Errors: it did
// not.
Task<Error> ClusterStream::run_with_intent(Slot slot, Bytes key) {
  const std::uint64_t epoch = epoch_;
  const std::uint64_t at = slots_[slot].at(0);
  const std::int32_t db = slots_.unit(at).db;
  auto before = co_await digest_of(slot, db, key);
  if (!before) co_return before.error();
  if (epoch != epoch_) co_return Error();
  SlotRecord record = slot_record(slot);
  record.intent.emplace();
  record.intent->offset = slots_.unit(at).end;
  record.intent->digest = *before;
  record.intent->key = key;
  record.intent->db = db;
  Error error = co_await write_slot_record(slot, std::move(record));
  if (error || epoch != epoch_) co_return error;
  auto reply = co_await ask_slot(slot, db, Bytes(slots_.unit(at).wire));
  if (epoch != epoch_) co_return Error();
  if (reply) co_return take_answer(slot, *reply);
  // Its connection was lost. The next one kills it before it asks.
  while (!stopping_) {
    auto now = co_await digest_of(slot, db, key);
    if (epoch != epoch_) co_return Error();
    if (now && *now == *before) co_return reply.error();
    if (now) break;
    co_await look_.wait_for(retry_pause);
    if (epoch != epoch_) co_return Error();
  }
  if (stopping_) co_return Error();
  events_.doubtful(slots_.unit(at));
  note_recorded(slot, slots_.unit(at).end);
  slots_.answer(slot);
  co_return Error();
}

// As NodeLane::judge_unit.
Error ClusterStream::take_answer(Slot slot, const RespValue& reply) {
  const std::uint64_t at = slots_[slot].at(0);
  const Unit& unit = slots_.unit(at);
  const Offset end = unit.end;
  const bool needs_record = unit.needs_record;
  const std::string error = reply.is_error() ? reply.text : std::string();
  const Judgement judgement = judge_reply(error);
  if (!error.empty() && judgement.verdict != Verdict::refused) {
    events_.retried(error);
    return Error(Errc::unreachable, error);
  }
  const bool explained = (!error.empty() || events_.any_suspect()) && events_.inspect(unit, error);
  if (error.empty() || explained) {
    if (unit.sets_ttl &&
        (is_late(unit, slots_.received(at), Clock::now()) || lowest_integer(reply) <= 0))
      events_.doubtful(unit);
    if (unit.is_copy) events_.healed(unit);
    slots_.answer(slot);
  } else if (!needs_record && is_replayed(unit)) {
    events_.doubtful(unit);
    slots_.answer(slot);
  } else {
    HeldUnit held = slots_.held(at);
    slots_.remove(slot, 0);
    events_.refused(std::move(held), error, false);
  }
  if (needs_record) note_recorded(slot, end);
  return Error();
}

// Before the records are made a plan of: did what was intended take place?
Task<Error> ClusterStream::settle_intents(FoundRecords& found) {
  for (std::size_t i = 0; i < slot_count; ++i) {
    auto& record = found.slots[i];
    if (!record || !record->intent || record->intent->offset <= record->offset) continue;
    const Slot slot = static_cast<Slot>(i);
    auto digest = co_await digest_of(slot, record->intent->db, record->intent->key);
    if (!digest) co_return digest.error();
    const bool took_place = *digest != record->intent->digest;
    log_info("slot {}: the command that ends at {} {}", slot, record->intent->offset,
             took_place ? "took place" : "did not take place");
    if (took_place) record->offset = record->intent->offset;
    record->intent.reset();
    Error error = co_await write_slot_record(slot, *record);
    if (error) co_return error;
  }
  co_return Error();
}

}  // namespace keyferry
