// ClusterStream: the records in the target, and whether its nodes are what they were.
#include <array>

#include <fmt/compile.h>

#include "keyferry/base/log.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/sink/cluster_stream.hpp"

namespace keyferry {
namespace {

constexpr std::size_t slots_at_once = 512;
constexpr Millis retry_pause{50};
constexpr int rounds_max = 5;
constexpr std::size_t record_max_bytes = 256;

}  // namespace

Task<Result<ResumePlan>> ClusterStream::read_records() {
  Error error = co_await nodes_.refresh();
  if (error) co_return error;
  if (nodes_.map().covered_slots() != slot_count)
    co_return Error(Errc::unreachable, "the target cluster does not cover all slots");
  known_.clear();
  Reading reading;
  SlotsOfNodes& wanted = reading.moved;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const std::uint16_t owner = nodes_.map().owner_of(static_cast<Slot>(slot));
    wanted[nodes_.map().masters()[owner]].push_back(static_cast<Slot>(slot));
  }
  // The node that gave the map may not know the latest moves.
  for (int round = 0; round < rounds_max && !wanted.empty(); ++round) {
    const SlotsOfNodes asked = std::exchange(wanted, SlotsOfNodes());
    for (const auto& [node, slots] : asked) {
      error = co_await read_node(reading, node, slots);
      if (error) co_return with_context("target " + to_string(node), std::move(error));
    }
  }
  if (!wanted.empty()) co_return Error(Errc::unreachable, "slots of the target are being moved");
  error = co_await read_asking(reading);
  if (error) co_return error;
  adopt_map();
  error = co_await settle_intents(reading.found);
  if (error) co_return error;
  co_return plan_resume(reading.found);
}

// Our own connections from before are closed first: nothing of theirs may arrive behind what is
// read here.
Task<Error> ClusterStream::read_node(Reading& reading, Endpoint node, std::vector<Slot> slots) {
  NodeLane& lane = *lanes_[lane_for(node)];
  Connection connection(executor_);
  const HostPort host{node.host, node.port};
  Error error = co_await connection.open(options_.target, host, "records");
  if (!error) error = co_await claim_.kill_own(connection, lane.client_id);
  if (!error) error = co_await claim_.kill_own(connection, lane.asker_id);
  if (!error) error = co_await identify(node, connection);
  for (std::size_t from = 0; from < slots.size() && !error; from += slots_at_once) {
    const std::size_t count = std::min(slots_at_once, slots.size() - from);
    const auto first = slots.begin() + static_cast<std::ptrdiff_t>(from);
    std::vector<Slot> some(first, first + static_cast<std::ptrdiff_t>(count));
    error = co_await read_slots(reading, connection, node, std::move(some));
  }
  co_return error;
}

Task<Error> ClusterStream::read_slots(Reading& reading, Connection& connection, Endpoint node,
                                      std::vector<Slot> slots) {
  const std::uint16_t index = lane_for(node);
  Bytes wire;
  for (const Slot slot : slots) {
    append_command(wire, {"GET", node_record_key(link_, slot)});
    append_command(wire, {"GET", slot_record_key(link_, slot)});
  }
  auto replies = co_await connection.call_all(std::move(wire), 2 * slots.size(),
                                              Millis(options_.target.reply_timeout_ms));
  if (!replies) co_return replies.error();
  for (std::size_t i = 0; i < replies->size(); ++i) {
    const RespValue& reply = (*replies)[i];
    const Slot slot = slots[i / 2];
    const bool is_node_record = i % 2 == 0;
    reading.found.owner[slot] = index;
    Judgement judgement = reply.is_error() ? judge_reply(reply.text) : Judgement();
    if (judgement.to.host.empty()) judgement.to.host = node.host;
    if (judgement.verdict == Verdict::moved) {
      nodes_.assign(slot, judgement.to);
      if (is_node_record) reading.moved[judgement.to].push_back(slot);
    } else if (judgement.verdict == Verdict::ask) {
      std::vector<Slot>& asking = reading.asking[judgement.to];
      if (asking.empty() || asking.back() != slot) asking.push_back(slot);
    } else if (Error error = take_record(reading, reply, slot, is_node_record)) {
      co_return error;
    }
  }
  co_return Error();
}

Task<Error> ClusterStream::read_asking(Reading& reading) {
  for (const auto& [node, slots] : reading.asking) {
    Bytes wire;
    for (const Slot slot : slots) {
      append_command(wire, {"ASKING"});
      append_command(wire, {"GET", node_record_key(link_, slot)});
      append_command(wire, {"ASKING"});
      append_command(wire, {"GET", slot_record_key(link_, slot)});
    }
    Connection connection(executor_);
    const HostPort host{node.host, node.port};
    Error error = co_await connection.open(options_.target, host, "records");
    if (error) co_return error;
    auto replies = co_await connection.call_all(std::move(wire), 4 * slots.size(),
                                                Millis(options_.target.reply_timeout_ms));
    if (!replies) co_return replies.error();
    for (std::size_t i = 1; i < replies->size() && !error; i += 2)
      error = take_record(reading, (*replies)[i], slots[i / 4], i % 4 == 1);
    if (error) co_return error;
  }
  co_return Error();
}

Error ClusterStream::take_record(Reading& reading, const RespValue& reply, Slot slot,
                                 bool is_node_record) {
  if (reply.is_null()) return Error();
  if (reply.is_error()) return Error(Errc::unreachable, reply.text);
  if (is_node_record) {
    auto record = parse_node_record(reply.text);
    if (!record) return Error(Errc::usage, record.error().what);
    FoundRecords::Node at;
    at.at = reading.found.owner[slot];
    at.record = std::move(*record);
    reading.found.nodes.push_back(std::move(at));
  } else {
    auto record = parse_slot_record(reply.text);
    if (!record) return Error(Errc::usage, record.error().what);
    reading.found.slots[slot] = std::move(*record);
  }
  return Error();
}

Task<Error> ClusterStream::identify(const Endpoint& node, Connection& connection) {
  const Bytes command = make_command({"INFO"});
  const std::uint64_t epoch = epoch_;
  auto info = co_await connection.call(command, Millis(options_.target.reply_timeout_ms));
  if (!info) co_return info.error();
  if (info->is_error()) co_return Error(Errc::unreachable, "INFO: " + info->text);
  const ServerIdentity identity = read_identity(info->text);
  if (identity.role != "master") {
    if (on_stale_map) on_stale_map();
    co_return Error(Errc::unreachable, "is a replica now");
  }
  if (epoch != epoch_) co_return Error(Errc::cancelled, "the stream is being set up anew");
  const Identity now{identity.run_id, identity.replid};
  const auto known = known_.find(node);
  const std::string former(info_field(info->text, "master_replid2"));
  bool was_ours = false;
  for (const auto& [other, id] : known_)
    was_ours = was_ours || (other != node && id.replid == former);
  const bool changed = known != known_.end() &&
                       (known->second.run_id != now.run_id || known->second.replid != now.replid);
  if (changed || (known == known_.end() && was_ours)) {
    log_warn("target {} is not what it was: {}", to_string(node),
             changed ? "it was restarted or replaced" : "a replica was promoted");
    events_.lost(std::nullopt);
    co_return Error(Errc::cancelled, "the target may have lost what it had");
  }
  known_[node] = now;
  co_return Error();
}

Task<Error> ClusterStream::greet(NodeLane& lane, Connection& connection) {
  Error error = co_await claim_.greet_node(connection, lane.client_id);
  if (!error) error = co_await identify(lane.node(), connection);
  if (error || highest_db == 0) co_return error;
  const Millis limit(options_.target.reply_timeout_ms);
  co_return co_await check_database(connection, highest_db, limit);
}

Task<Error> ClusterStream::greet_asker(NodeLane& lane, Connection& connection) {
  Error error = co_await claim_.greet_node(connection, lane.asker_id);
  if (!error) error = co_await identify(lane.node(), connection);
  if (error || highest_db == 0) co_return error;
  const Millis limit(options_.target.reply_timeout_ms);
  co_return co_await check_database(connection, highest_db, limit);
}

// Once per transaction: nothing is allocated here.
void ClusterStream::append_record_command(Bytes& out, Slot slot, Offset end) const {
  const Offset answered = slots_[slot].recorded;
  const Offset judged =
      events_.any_suspect() ? std::min(answered, clean_) : std::max(answered, clean_);
  std::array<char, record_max_bytes> text;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto last = fmt::format_to(text.data(), FMT_COMPILE("{} generation={} judged={} {}:{}"),
                                   slot_record_magic, record_.generation, std::min(judged, end),
                                   record_.replid, end);
  const std::string& tag = slot_tag(slot);
  constexpr ByteView head = "keyferry:{";
  constexpr ByteView tail = ":slot";
  const std::size_t key_bytes = head.size() + tag.size() + 2 + link_.size() + tail.size();
  fmt::format_to(std::back_inserter(out),
                 FMT_COMPILE("*3\r\n$3\r\nSET\r\n${}\r\n{}{}}}:{}{}\r\n${}\r\n"), key_bytes, head,
                 tag, link_, tail, last - text.data());
  out.append(text.data(), last).append("\r\n");
}

std::int32_t ClusterStream::db_at(Offset offset) const {
  std::int32_t db = dbs_.empty() ? 0 : dbs_.front().second;
  for (const auto& [behind, selected] : dbs_) {
    if (behind > offset) break;
    db = selected;
  }
  return db;
}

Offset ClusterStream::clean_offset() {
  const Offset applied = std::min(watermark_.applied(), noted_);
  clean_ = std::max(clean_, std::min(applied, events_.oldest_suspect()));
  while (dbs_.size() > 1 && dbs_[1].first <= clean_)
    dbs_.pop_front();
  return clean_;
}

Offset ClusterStream::furthest_recorded() {
  Offset furthest = std::max({noted_, clean_, furthest_start_});
  for (std::size_t slot = 0; slot < slot_count; ++slot)
    furthest = std::max(furthest, slots_[static_cast<Slot>(slot)].recorded);
  return furthest;
}

void ClusterStream::checkpoint() {
  if (!begun_) return;
  const Offset clean = clean_offset();
  lowest_recorded_ = clean;
  for (const auto& lane : lanes_) {
    lane->record_due = is_due(*lane, clean);
    if (record_slot(*lane)) lowest_recorded_ = std::min(lowest_recorded_, lane->recorded);
  }
  keep_.notify();
}

bool ClusterStream::is_recorded() const {
  if (!begun_) return true;
  for (const auto& [node, index] : lane_of_node_) {
    if (record_slot(*lanes_[index]) && lanes_[index]->recorded < noted_) return false;
  }
  return true;
}

bool ClusterStream::is_recorded_clean() const {
  if (!begun_) return true;
  for (const auto& [node, index] : lane_of_node_) {
    if (record_slot(*lanes_[index]) && lanes_[index]->recorded < clean_) return false;
  }
  return true;
}

// One of the node's slots, the same as long as it can be.
std::optional<Slot> ClusterStream::record_slot(const NodeLane& lane) const {
  std::optional<Slot> found;
  std::size_t left = lane.record_shift;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    if (slots_.lane(static_cast<Slot>(slot)) != lane.index()) continue;
    found = static_cast<Slot>(slot);
    if (left-- == 0) break;
  }
  return found;
}

NodeRecord ClusterStream::node_record(const NodeLane& lane, Offset offset) const {
  NodeRecord out;
  out.record = record_;
  out.record.judged = out.record.offset = offset;
  out.record.db = db_at(offset);
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const auto of_node = static_cast<Slot>(slot);
    if (slots_.lane(of_node) != lane.index()) continue;
    out.slots.set(slot);
    out.recorded[slot] = slots_[of_node].recorded != 0;
  }
  return out;
}

void ClusterStream::note_recorded(Slot slot, Offset end) {
  Offset& recorded = slots_[slot].recorded;
  if (recorded == 0) lanes_[slots_.lane(slot)]->has_unlisted = true;
  recorded = end;
}

// Where the node stands still because of one slot, others may have their first records.
bool ClusterStream::is_due(const NodeLane& lane, Offset offset) {
  return lane.recorded < offset || (lane.recorded == offset && lane.has_unlisted);
}

Bytes ClusterStream::node_record_command(const NodeLane& lane, const NodeRecord& record) const {
  Bytes text;
  append_node_record(text, record);
  const Slot slot = record_slot(lane).value_or(0);
  return make_command({"SET", node_record_key(link_, slot), text});
}

// Reads and writes the records of one node by hand, as long as it has a lane.
Task<Error> ClusterStream::keep_records(NodeLane& lane) {
  while (!stopping_ && !lane.is_stopping()) {
    bool again = false;
    if (begun_ && lane.is_connected()) {
      again = co_await read_slots_of(lane);
      if (lane.record_due && begun_ && !running_everywhere_) {
        lane.record_due = false;
        if (!co_await write_node_record(lane)) again = true;
      }
    }
    if (stopping_ || lane.is_stopping()) break;
    if (again) {
      co_await keep_.wait_for(retry_pause);
    } else {
      co_await keep_.wait();
    }
  }
  co_return Error();
}

Task<bool> ClusterStream::write_node_record(NodeLane& lane) {
  const Offset offset = clean_offset();
  const std::uint64_t epoch = epoch_;
  if (!is_due(lane, offset) || !record_slot(lane)) co_return true;
  Bytes command = node_record_command(lane, node_record(lane, offset));
  lane.has_unlisted = false;
  auto reply = co_await lane.ask(std::move(command), 1);
  if (epoch != epoch_) co_return true;
  if (reply && !reply->front().is_error()) {
    lane.recorded = std::max(lane.recorded, offset);
    co_return true;
  }
  const std::string what = reply ? reply->front().text : reply.error().what;
  log_debug("record of target {} cannot be written now: {}", to_string(lane.node()), what);
  const Judgement judgement = judge_reply(reply ? what : "");
  // The slot is on the move.
  if (judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask) ++lane.record_shift;
  if (judgement.refresh_map && on_stale_map) on_stale_map();
  lane.record_due = lane.has_unlisted = true;
  co_return false;
}

// True: some could not be read now.
Task<bool> ClusterStream::read_slots_of(NodeLane& lane) {
  std::vector<Slot> slots;
  for (const Slot slot : to_read_) {
    if (slots_.lane(slot) == lane.index()) slots.push_back(slot);
    if (slots.size() == slots_at_once) break;
  }
  if (slots.empty()) co_return false;
  const std::uint64_t epoch = epoch_;
  Bytes wire;
  for (const Slot slot : slots)
    append_command(wire, {"GET", slot_record_key(link_, slot)});
  auto replies = co_await lane.ask(std::move(wire), slots.size());
  if (epoch != epoch_) co_return false;
  if (!replies) co_return true;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Slot slot = slots[i];
    const RespValue& reply = (*replies)[i];
    if (slots_.lane(slot) != lane.index() || !to_read_.contains(slot)) continue;
    if (!reply.is_error()) {
      settle_record(slot, reply);
      if (epoch != epoch_) co_return false;
      continue;
    }
    Judgement judgement = judge_reply(reply.text);
    if (judgement.to.host.empty()) judgement.to.host = lane.node().host;
    if (judgement.verdict == Verdict::moved) {
      nodes_.assign(slot, judgement.to);
      slots_.assign(slot, lane_for(judgement.to));
      if (on_stale_map) on_stale_map();
      keep_.notify();
    } else if (judgement.verdict == Verdict::ask) {
      co_await read_elsewhere(slot, judgement.to);
      if (epoch != epoch_) co_return false;
    }
  }
  co_return to_read_.contains(slots.front());
}

// A slot on the move, whose record is on the other side already, if there is one.
Task<void> ClusterStream::read_elsewhere(Slot slot, Endpoint node) {
  const std::uint64_t epoch = epoch_;
  NodeLane& lane = *lanes_[lane_for(node)];
  Bytes wire = make_command({"ASKING"});
  append_command(wire, {"GET", slot_record_key(link_, slot)});
  auto replies = co_await lane.ask(std::move(wire), 2);
  if (epoch != epoch_ || !replies || !to_read_.contains(slot)) co_return;
  const RespValue& reply = replies->back();
  if (!reply.is_error()) settle_record(slot, reply);
}

void ClusterStream::settle_record(Slot slot, const RespValue& reply) {
  Offset found = 0;
  if (!reply.is_null()) {
    auto record = parse_slot_record(reply.text);
    const bool is_ours = record && record->generation == record_.generation;
    // An intent of ours is finished before the slot goes any other way.
    if (is_ours && !record->intent) found = record->offset;
  }
  SlotState& state = slots_[slot];
  const bool took_place = state.in_doubt && found >= state.transaction_end;
  if (found != state.recorded && !took_place) {
    log_warn("the record of slot {} says {}, not {}", slot, found, state.recorded);
    events_.lost(std::nullopt);
    return;
  }
  to_read_.erase(slot);
  if (took_place) settle_doubt(slot, found);
  state.in_doubt = false;
  flush_answered();
  reopen(slot);
}

// Units that the record covers were executed, but nobody has read how they were answered.
void ClusterStream::settle_doubt(Slot slot, Offset found) {
  SlotState& state = slots_[slot];
  note_recorded(slot, found);
  while (state.size() > 0 && slots_.unit(state.at(0)).end <= found) {
    events_.doubtful(slots_.unit(state.at(0)));
    slots_.answer(slot);
  }
}

Task<Result<RespValue>> ClusterStream::call_node(NodeLane& lane, Bytes command) {
  auto replies = co_await lane.ask(std::move(command), 1);
  if (!replies) co_return replies.error();
  co_return std::move(replies->front());
}

// Also looks at who the nodes are: those that are here when a snapshot begins must be the ones that
// are here when it is complete.
Task<Error> ClusterStream::write_everywhere(Record record) {
  const TimePoint begin = Clock::now();
  const bool begins = record.state == Record::State::loading;
  if (begins) known_.clear();
  record_ = record;
  while (!stopping_) {
    Error error = co_await nodes_.refresh();
    if (!error) adopt_map();
    const std::vector<Endpoint> masters = nodes_.map().masters();
    for (std::size_t i = 0; i < masters.size() && !error; ++i) {
      NodeLane& lane = *lanes_[lane_for(masters[i])];
      Connection connection(executor_);
      const HostPort host{masters[i].host, masters[i].port};
      error = co_await connection.open(options_.target, host, "records");
      if (!error) error = co_await identify(masters[i], connection);
      if (error || !record_slot(lane)) continue;
      Bytes command = node_record_command(lane, node_record(lane, record.offset));
      auto reply =
          co_await connection.call(std::move(command), Millis(options_.target.reply_timeout_ms));
      if (!reply) error = reply.error();
      if (reply && reply->is_error()) error = Error(Errc::unreachable, reply->text);
    }
    if (!error) co_return Error();
    if (error.is(Errc::cancelled)) co_return error;
    if (elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000)
      co_return Error(Errc::unreachable, "the record cannot be written: " + error.what);
    log_debug("record cannot be written now: {}", error.what);
    co_await look_.wait_for(retry_pause);
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Whether the node has executed what ends at `end`. mixed: only some of its slots have.
bool ClusterStream::has_run(const NodeLane& lane, Offset end, bool& mixed) {
  if (starts_.empty() || end > furthest_start_) return false;
  std::size_t done = 0;
  std::size_t all = 0;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    if (slots_.lane(static_cast<Slot>(slot)) != lane.index()) continue;
    ++all;
    if (starts_[slot].from >= end) ++done;
  }
  mixed = done > 0 && done < all;
  return done == all;
}

Task<Result<std::string>> ClusterStream::run_everywhere(Bytes wire, Offset end, bool flushes,
                                                        std::int32_t db) {
  running_everywhere_ = true;
  Backoff backoff(Millis(20), Millis(1000));
  const TimePoint begin = Clock::now();
  const std::uint64_t epoch = epoch_;
  std::string refusal;
  std::set<Endpoint> done;
  for (bool all = false; !all && !stopping_;) {
    all = true;
    const std::vector<Endpoint> masters = nodes_.map().masters();
    for (std::size_t i = 0; i < masters.size() && epoch == epoch_; ++i) {
      if (done.contains(masters[i])) continue;
      auto answer = co_await run_on(*lanes_[lane_for(masters[i])], wire, end, flushes, db);
      const std::string error = answer ? *answer : std::string();
      const Judgement judgement = judge_reply(error);
      if (answer && (error.empty() || judgement.verdict == Verdict::refused)) {
        if (!error.empty()) refusal = error;
        done.insert(masters[i]);
        continue;
      }
      all = false;
      if (answer) events_.retried(error);
      if (on_stale_map) on_stale_map();
    }
    if (epoch != epoch_) break;
    if (!all && elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000) {
      running_everywhere_ = false;
      co_return Error(Errc::unreachable, "a command for all nodes cannot be carried out");
    }
    if (!all) co_await look_.wait_for(backoff.next());
  }
  running_everywhere_ = false;
  if (epoch != epoch_ || stopping_) co_return Error(Errc::cancelled, "stopped");
  co_return refusal;
}

// Empty: done.
Task<Result<std::string>> ClusterStream::run_on(NodeLane& lane, Bytes wire, Offset end,
                                                bool flushes, std::int32_t db) {
  bool mixed = false;
  const std::uint64_t epoch = epoch_;
  if (has_run(lane, end, mixed) || !record_slot(lane)) co_return std::string();
  if (!flushes) {
    auto reply = co_await call_node(lane, std::move(wire));
    if (!reply) co_return reply.error();
    co_return reply->is_error() ? reply->text : std::string();
  }
  if (mixed) {
    log_warn("a slot with an older state has come to target {} before a flush",
             to_string(lane.node()));
    events_.lost(std::nullopt);
    co_return Error(Errc::cancelled, "lost");
  }
  auto answer = co_await flush_on(lane, std::move(wire), end, db);
  if (!answer) co_return answer.error();
  if (answer->is_error()) co_return answer->text;
  if (epoch != epoch_) co_return Error(Errc::cancelled, "stopped");
  lane.recorded = std::max(lane.recorded, end);
  for (std::size_t slot = 0; slot < slot_count && db == 0; ++slot) {  // their records are gone
    const Slot of_node = static_cast<Slot>(slot);
    if (slots_.lane(of_node) == lane.index()) slots_[of_node].recorded = 0;
  }
  co_return std::string();
}

// One transaction with the node's record, which lies in database 0.
Task<Result<RespValue>> ClusterStream::flush_on(NodeLane& lane, Bytes wire, Offset end,
                                                std::int32_t db) {
  Bytes all = make_command({"MULTI"});
  if (db != 0) append_command(all, {"SELECT", std::to_string(db)});
  all += wire;
  if (db != 0) append_command(all, {"SELECT", "0"});
  NodeRecord record = node_record(lane, end);
  if (db == 0) record.recorded.reset();
  all += node_record_command(lane, record);
  all += make_command({"EXEC"});
  auto replies = co_await lane.ask(std::move(all), db != 0 ? 6 : 4);
  if (!replies) co_return replies.error();
  for (RespValue& reply : *replies) {
    if (reply.is_error()) co_return std::move(reply);
  }
  for (RespValue& item : replies->back().items) {
    if (item.is_error()) co_return std::move(item);
  }
  co_return std::move(replies->back());
}

}  // namespace keyferry
