// RedisSink: exactly once on a standalone target. The claim, the record's generations, and what
// makes a key suspect; sink/serial_lane does the transactions.
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/command/written_keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

std::vector<std::string> RedisSink::own_keys_in_target() const {
  // An earlier run may have left them.
  if (!claim_) {
    if (nodes_.is_cluster()) return {};
    const OwnKeys keys = Claim(executor_, options_).keys();
    return {keys.record, keys.lease, keys.fence};
  }
  return {claim_->keys().record, claim_->keys().lease, claim_->keys().fence};
}

Task<Error> RedisSink::take_claim() {
  const Endpoint node = nodes_.map().masters().front();
  const HostPort host{node.host, node.port};
  claim_ = std::make_unique<Claim>(executor_, options_);
  Error error = co_await claim_->take(host);
  if (error) co_return with_context("target " + to_string(node), std::move(error));
  bind_serial_events();
  serial_ = std::make_unique<SerialLane>(executor_, options_, host, *claim_, serial_events_);
  events_.greet = [this](Lane& lane, Connection& connection) {
    return greet_lane(lane, connection);
  };
  if (const auto& found = claim_->found()) {
    generation_.generation = found->generation;
    log_info("the target knows this link: generation={} state={} offset={} judged={}",
             found->generation, found->state == Record::State::complete ? "complete" : "loading",
             found->offset, found->judged);
  }
  co_return Error();
}

// What an earlier run of this link left in the target.
std::optional<Record> RedisSink::remains() const {
  if (!claim_) return std::nullopt;
  if (!cluster_) return claim_->found();
  if (plan_.verdict == ResumePlan::Verdict::unknown_here) return std::nullopt;
  return plan_.start;
}

std::optional<Record> RedisSink::resumable() const {
  if (!claim_ || options_.restart) return std::nullopt;
  std::optional<Record> found = remains();
  if (!found || found->state != Record::State::complete) return std::nullopt;
  return found;
}

void RedisSink::bind_serial_events() {
  serial_events_.completed = [this](const LaneBatch& batch, const Answered& answered) {
    acknowledge(batch.ticket, answered, batch.received);
  };
  serial_events_.doubtful = [this](const Unit& unit) { doubt(unit); };
  serial_events_.inspect = [this](const Unit& unit, const std::string& error) {
    return explains(unit, error);
  };
  serial_events_.any_suspect = [this] { return !suspects_.empty(); };
  serial_events_.oldest_suspect = [this] { return suspects_.oldest(); };
  serial_events_.healed = [this](const Unit& unit) { note_healed(unit); };
  serial_events_.refused = [this](HeldUnit held, const std::string& error, bool executed) {
    return give_up_unit(std::move(held), error, executed);
  };
  serial_events_.retried = [this](const std::string& error) {
    count(judge_reply(error));
    stats_.last_error = error;
  };
  serial_events_.disconnected = [this](const Error& error) {
    if (stopping_) return;
    stats_.last_error = error.what;
    log_warn("link to the target lost, trying again: error=\"{}\"", error.what);
  };
  serial_events_.lost = [this](const std::optional<Record>& found) {
    if (stream_void_ || stopping_) return;
    stream_void_ = true;
    discard_stream();
    if (on_lost) on_lost(found);
  };
}

// A snapshot lane may only write into the generation that it belongs to: a target that was replaced
// by an older or empty one is synced again.
Task<Error> RedisSink::greet_lane(Lane& lane, Connection& connection) {
  // What is asked before the generation is written tells nothing about it.
  const bool is_asked_behind = is_loading_;
  const std::uint64_t generation = generation_.generation;
  auto record = co_await claim_->greet(connection, lane.client_id);
  if (!record) co_return record.error();
  const std::optional<Record>& found = *record;
  const bool stands = found && found->generation == generation_.generation;
  const bool is_asked_late = !is_asked_behind || generation != generation_.generation;
  if (stands || !is_loading_ || is_asked_late) co_return Error();
  serial_events_.lost(found);
  co_return Error(Errc::unreachable, "the target lost the beginning of the snapshot");
}

Task<Error> RedisSink::write_record(Record record) {
  if (cluster_) co_return co_await cluster_->write_everywhere(record);
  co_return co_await claim_->write(record);
}

Task<Error> RedisSink::begin_generation(const std::string& replid, Offset offset) {
  if (!claim_) {
    copies_.reset();
    suspects_.clear();
    co_return Error();
  }
  discard_stream();
  crossing_ = Crossing();
  crossing_known_ = true;
  ++generation_.generation;
  generation_.state = Record::State::loading;
  generation_.owns_target = target_was_empty_;
  generation_.options = transform != nullptr ? transform->fingerprint() : 0;
  generation_.replid = replid;
  generation_.offset = generation_.judged = offset;
  stream_void_ = is_loading_ = false;
  const Record record = generation_;
  Error error = co_await write_record(record);
  is_loading_ = !error;  // from here on the target must know it
  co_return error;
}

Task<Error> RedisSink::complete_generation(const std::string& replid, Offset offset,
                                           std::int32_t db) {
  // Void: the target has lost what was loaded, and another full sync has been asked for.
  if (!claim_ || stream_void_) co_return Error();
  generation_.state = Record::State::complete;
  generation_.replid = replid;
  generation_.offset = generation_.judged = offset;
  generation_.db = db;
  const Record record = generation_;
  Error error = co_await write_record(record);
  if (stream_void_) co_return Error();
  is_loading_ = false;
  plan_ = ResumePlan();
  if (!error) begin_stream(record);
  co_return error;
}

void RedisSink::begin_stream(Record record) {
  if (!claim_) return;
  discard_stream();
  stream_void_ = is_loading_ = false;
  applied_before_ = record.offset;
  quiet_tail_ = QuietTail();
  end_.reset();
  generation_ = record;
  if (cluster_) {
    applied_before_ = 0;  // slot by slot
    generation_.offset = record.judged;
    cluster_->begin(generation_, plan_.verdict == ResumePlan::Verdict::go_on ? &plan_ : nullptr);
  } else {
    serial_->begin(std::move(record));
  }
}

// Shards wait for each other's records, and these for what the source says it has sent.
void RedisSink::note_end(const Batch& batch) {
  const StreamPoint end{batch.end, batch.db};
  end_ = end;
  const bool is_shard = shared != nullptr && shared->by_slots;
  note_offset(is_shard ? end : quiet_tail_.recordable(batch.effects, end, batch.received));
}

void RedisSink::note_everything() {
  if (end_) note_offset(*end_);
}

void RedisSink::note_offset(StreamPoint point) {
  if (serial_) serial_->note_offset(point.offset, point.db);
  if (cluster_) cluster_->note_offset(point.offset, point.db);
}

bool RedisSink::go_back_to(Offset offset) {
  if (stream_void_ || !is_idle()) return false;
  if (serial_ && serial_->furthest_recorded() > offset) return false;
  if (cluster_ && cluster_->furthest_recorded() > offset) return false;
  give_back_copies();
  quiet_tail_ = QuietTail();
  end_.reset();
  return true;
}

Offset RedisSink::recorded_offset() const {
  if (cluster_) return cluster_->recorded_offset();
  return serial_ ? serial_->recorded_offset() : 0;
}

void RedisSink::enter_history(const std::string& replid) {
  if (is_loading_) return;
  if (serial_) serial_->enter_history(replid);
  if (cluster_) cluster_->enter_history(replid);
}

// What is queued will come again, or belongs to a history that is over.
void RedisSink::discard_stream() {
  ++epoch_;
  if (serial_) serial_->discard();
  if (cluster_) cluster_->discard();
  for (const auto& lane : lanes_)
    lane->discard();
  for (LaneBatch& batch : building_)
    batch = LaneBatch();
  for (Loading& loading : loading_)
    loading = Loading();
  for (const auto& [slot, hold] : holds_)
    lane_of_slot_[slot] = lane_for(slot);
  holds_.clear();
  watermark_.reset(watermark_.applied());
  outstanding_units_ = 0;
  outstanding_bytes_ = 0;
  copies_.reset();
  suspects_.clear();
  room_.notify();
}

void RedisSink::checkpoint() {
  if (suspects_.overflowed()) {
    log_warn("more suspect keys than can be remembered: keys={}", suspects_.size());
    if (!claim_) {
      suspects_.clear();
      copies_.reset();
      if (on_lost) on_lost(std::nullopt);
    } else if (cluster_) {
      lose_cluster(true);
    } else {
      serial_events_.lost(std::nullopt);
    }
  }
  if (serial_) serial_->checkpoint();
  if (cluster_) cluster_->checkpoint();
}

Task<Error> RedisSink::let_go() {
  if (claim_ && crossing_done_) {
    Bytes command = make_command({"DEL", crossing_key()});
    auto ignored = co_await claim_->ask(std::move(command));
  }
  if (claim_) co_await claim_->let_go();
  co_return Error();
}

void RedisSink::heal(KeyCopies copies) {
  for (const KeyCopy& copy : copies.keys)
    suspects_.copied(copy.db, copy.key, copies.at);
  copies_ = std::move(copies);
}

void RedisSink::give_back_copies() {
  if (!copies_) return;
  std::vector<Suspects::Key> keys;
  for (const KeyCopy& copy : copies_->keys)
    keys.emplace_back(copy.db, copy.key);
  suspects_.give_back(keys);
  copies_.reset();
}

// The unit's keys, by their names at the source; none for a command that nobody knows.
template <class Use>
void RedisSink::for_each_key_of(const Unit& unit, Use use) const {
  std::vector<ByteView> args;
  ByteView rest = unit.source_wire();
  do {
    args.clear();
    const CommandParse parsed = parse_command(rest, args);
    if (parsed.status != CommandParse::Status::command) return;
    rest.remove_prefix(parsed.size);
    Command command;
    command.info = find_command(args[0]);
    const CommandInfo* info = info_of(command, args);
    if (info != nullptr) for_each_key(*info, args, [&](std::size_t at) { use(args[at]); });
  } while (unit.is_group && !rest.empty());
}

// Its effect, or that of what came before it, is not what it was at the source: so are its keys. A
// copy whose answer got lost is made once more.
void RedisSink::doubt(const Unit& unit) {
  // A copy counts for no command of the source.
  const Offset behind = unit.commands == 0 ? Suspects::whenever : unit.end;
  for_each_key_of(unit, [&](ByteView key) { suspect(unit.source_db(), key, behind); });
  doubt_elsewhere(unit, behind);
}

// What MOVE and COPY ... DB write in another database than theirs.
void RedisSink::doubt_elsewhere(const Unit& unit, Offset behind) {
  std::vector<ByteView> args;
  if (parse_command(unit.source_wire(), args).status != CommandParse::Status::command) return;
  const CommandInfo* info = find_command(args[0]);
  if (info == nullptr || (info->name != "MOVE" && info->name != "COPY")) return;
  for (const WrittenKey& written : written_keys(*info, args, unit.source_db()))
    suspect(written.db, written.key, behind);
}

// Whether a key of the unit is suspect. What it did to its other keys is then as doubtful.
bool RedisSink::explains(const Unit& unit, const std::string& error) {
  if (unit.is_copy) return false;
  std::size_t keys = 0;
  for_each_key_of(unit, [&](ByteView) { ++keys; });
  if (error.empty() && keys < 2) return false;  // it changed no key but the suspect one
  bool any = false;
  for_each_key_of(unit, [&](ByteView key) {
    any = any || suspects_.contains(unit.source_db(), key);
    // What comes from two sides may come in any order for a moment.
    any = any || (shared != nullptr && shared->contested[slot_of(key)]);
  });
  if (any && (keys > 1 || !error.empty())) doubt(unit);
  return any;
}

// Refused for good. When it was executed the record has passed it, so it must be on disk before the
// link may end.
bool RedisSink::give_up_unit(HeldUnit held, const std::string& error, bool executed) {
  const bool go_on = options_.errors_policy == ErrorPolicy::skip;
  if (executed && !go_on) {
    stats_.failed += held.unit.commands;
    ++stats_.errors[std::string(judge_reply(error).kind)];
    scope_.spawn(end_behind(std::move(held), error));
    return false;
  }
  give_up(std::move(held), error, judge_reply(error).kind, redacted(options_.target.uri));
  return go_on;
}

Task<Error> RedisSink::end_behind(HeldUnit held, std::string error) {
  const std::string what = fmt::format("target {} refused {} (database {}): {}; kept in {}",
                                       redacted(options_.target.uri), describe(held.unit),
                                       held.unit.db, error, dead_letter_.path());
  stats_.last_error = what;
  stats_.remember_dead_letter(what);
  Error disk = co_await dead_letter_.append(held.unit.db, held.unit.wire);
  if (disk) co_return disk;
  fail(Error(Errc::data_refused, what));
  co_return Error();
}

}  // namespace keyferry
