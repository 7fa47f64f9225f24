// RedisSink: exactly once on a cluster target. Takes the right to write there, plans groups slot by
// slot, and begins again where the records say when a node is not what it was;
// sink/cluster_stream does the transactions.
#include "keyferry/base/log.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {
namespace {

constexpr Millis replan_pause{200};

}  // namespace

Task<Error> RedisSink::take_cluster_claim() {
  claim_ = std::make_unique<Claim>(executor_, options_);
  Error error = co_await claim_->take(nodes_);
  if (error) co_return with_context("target", std::move(error));
  bind_serial_events();
  serial_events_.lost = [this](const std::optional<Record>&) { lose_cluster(false); };
  serial_events_.disconnected = [this](const Error& failure) {
    if (stopping_) return;
    stats_.last_error = failure.what;
    log_warn("link to the target lost, trying again: error=\"{}\"", failure.what);
    refresh_wanted_ = true;
    watch_.notify();
  };
  cluster_ = std::make_unique<ClusterStream>(executor_, options_, nodes_, *claim_, serial_events_,
                                             watermark_);
  cluster_->on_stale_map = [this] {
    refresh_wanted_ = true;
    watch_.notify();
  };
  events_.greet = [this](Lane& lane, Connection& connection) {
    return greet_cluster_lane(lane, connection);
  };
  // Right behind a change not every node knows the latest map.
  const TimePoint begin = Clock::now();
  auto plan = co_await cluster_->read_records();
  while (!plan && plan.error().is(Errc::unreachable) && !stopping_ &&
         elapsed_ms(begin, Clock::now()) < options_.target.connect_timeout_ms) {
    co_await sleep_for(replan_pause);
    plan = co_await cluster_->read_records();
  }
  if (!plan) co_return plan.error();
  plan_ = std::move(*plan);
  plan_.start.offset = std::max(plan_.start.offset, plan_.highest);
  generation_.generation = plan_.start.generation;
  if (plan_.verdict == ResumePlan::Verdict::go_on) {
    log_info("the target knows this link: generation={} from={} furthest={}",
             plan_.start.generation, plan_.start.judged, plan_.highest);
  } else if (plan_.verdict == ResumePlan::Verdict::copy_again) {
    log_info("the target knows this link, but cannot be gone on from: {}", plan_.reason);
    plan_.start.state = Record::State::loading;
  }
  co_return Error();
}

// A snapshot lane may only write to nodes that are what they were when the snapshot began.
Task<Error> RedisSink::greet_cluster_lane(Lane& lane, Connection& connection) {
  Error error = co_await claim_->greet_node(connection, lane.client_id);
  if (error || !is_loading_) co_return error;
  const Endpoint node{lane.target().host, lane.target().port};
  co_return co_await cluster_->identify(node, connection);
}

// A node may have lost what it had acknowledged; or nothing of the stream can be trusted any more.
void RedisSink::lose_cluster(bool everything) {
  if (stream_void_ || stopping_) return;
  stream_void_ = true;
  const bool copy_again = everything || is_loading_;
  discard_stream();
  if (!copy_again) {
    scope_.spawn(replan());
  } else if (on_lost) {
    on_lost(std::nullopt);
  }
}

// Until every master can be read: then it is known where the stream must begin again.
Task<Error> RedisSink::replan() {
  const TimePoint begin = Clock::now();
  while (!stopping_) {
    auto plan = co_await cluster_->read_records();
    if (stopping_ || !stream_void_) break;
    if (plan) {
      plan_ = std::move(*plan);
      const bool usable = plan_.verdict == ResumePlan::Verdict::go_on &&
                          plan_.start.generation == generation_.generation;
      if (!usable) log_warn("the target cannot be gone on from: {}", plan_.reason);
      plan_.start.offset = std::max(plan_.start.offset, plan_.highest);
      std::optional<Record> start;
      if (usable) start = plan_.start;
      if (on_lost) on_lost(start);
      break;
    }
    if (plan.error().is(Errc::usage)) co_return plan.error();
    stats_.last_error = plan.error().what;
    if (elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000)
      co_return plan.error();
    log_debug("the target's records cannot be read now: {}", plan.error().what);
    co_await watch_.wait_for(replan_pause);
  }
  co_return Error();
}

void RedisSink::note_source_offset(Offset offset) {
  if (cluster_) cluster_->note_source_offset(offset);
}

// Its slot has it from an earlier run.
bool RedisSink::is_in_cluster(const Unit& unit) {
  if (unit.is_copy || cluster_->has_all_behind(unit.end)) return false;
  bool doubtful = false;
  if (!cluster_->has(unit, doubtful)) return false;
  if (doubtful) doubt(unit);
  return true;
}

// What shares a slot stays one transaction; several slots become one each, in no order between
// them.
Error RedisSink::plan_cluster_group(Plan& plan, const std::vector<const Command*>& kept) {
  std::vector<Unit>& units = building_[0].units;
  const std::size_t before = units.size();
  for (const Command* command : kept) {
    if (Error error = plan_command(plan, *command)) return error;
  }
  std::map<Slot, Unit*> last;
  for (std::size_t i = before; i < units.size(); ++i) {
    Unit*& previous = last[units[i].slot];
    if (previous != nullptr) {
      previous->joins_next = true;
      previous->needs_record = units[i].needs_record = true;
    }
    previous = &units[i];
  }
  if (last.size() > 1) ++stats_.transactions_split;
  return Error();
}

// Behind everything before it in every slot, and before everything after.
Task<Error> RedisSink::run_on_cluster(Plan& plan, const Command& command, Bytes wire,
                                      std::int32_t db) {
  const bool flushes = command.info->flushes;
  auto answer = co_await cluster_->run_everywhere(std::move(wire), command.end, flushes, db);
  if (stream_void_) co_return Error();
  if (!answer) co_return answer.error();
  const bool replayed = command.end <= cluster_->replay_until;
  if (!answer->empty() && !replayed) co_return refuse_here(plan, command, "refused_by_a_node");
  if (flushes && db == 0) {
    Error error = co_await claim_->renew_after_flush();
    if (error && error.is(Errc::usage)) co_return error;
  }
  ++stats_.applied;
  co_return Error();
}

}  // namespace keyferry
