// ClusterLink: its part of the cutover, which is Handover's. All masters are handed over or none; a
// cluster that changes its shape on the way is not.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/cluster_link.hpp"
#include "keyferry/pipeline/handover.hpp"

namespace keyferry {
namespace {

// The result stays readable for whoever asked for it.
constexpr Millis linger{2000};

}  // namespace

bool ClusterLink::cut_over(const CutoverRequest& request) {
  const bool is_ending = finished_ || stopping_ || draining_ || leaving_;
  if (is_ending || paused_ || shards_.empty() || cutover_.is_running()) return false;
  const std::uint64_t attempt = cutover_.attempt + 1;
  cutover_ = CutoverStatus();
  cutover_.attempt = attempt;
  cutover_.state = CutoverStatus::State::waiting;
  scope_.spawn(carry_over(request));
  return true;
}

Task<Error> ClusterLink::carry_over(CutoverRequest request) {
  Error error;
  if (target_.is_cluster()) error = co_await target_.refresh();
  Result<Transform> rules = Transform::compile(options_);
  if (!rules) error = rules.error();
  if (error) {
    cutover_.state = CutoverStatus::State::failed;
    cutover_.problem = error.what;
    log_warn("cutover given up, replication goes on: error=\"{}\"", error.what);
    co_return Error();
  }
  HandoverLink link = handover_link();
  link.rules = &*rules;
  Handover handover(executor_, options_, std::move(link), cutover_);
  error = co_await handover.run(request);
  if (cutover_.state != CutoverStatus::State::committed) co_return Error();
  co_await halt_.wait_for(linger);
  reached_goal_ = true;
  for (const auto& shard : shards_) {
    if (!shard->has_ended) shard->pipeline->end_handed_over();
  }
  finish(std::move(error));
  co_return Error();
}

HandoverLink ClusterLink::handover_link() {
  HandoverLink link;
  for (const auto& shard : shards_) {
    if (shard->is_leaving && shard->has_ended) continue;
    HandoverSource source = shard->pipeline->handover_source();
    source.lag_bytes = [this, of_shard = std::move(source.lag_bytes)](TimePoint now) {
      return table_.doubtful.none() ? of_shard(now) : std::nullopt;
    };
    link.sources.push_back(std::move(source));
  }
  handed_.clear();
  for (const ClusterShard& seen : source_.view().shards) {
    handed_[seen.id] = seen.slots;
    for (const Endpoint& replica : seen.replicas)
      link.heirs.push_back(node_of(options_.source, replica));
  }
  link.judge_shape = [this] { return judge_shape(); };
  link.is_ending = [this] { return finished_ || stopping_ || leaving_; };
  link.freeze = [this] { pause(); };
  link.thaw = [this] { resume(); };
  link.target = &target_;
  return link;
}

// Every master has to say so itself: what one has not heard yet may be so already.
Task<Error> ClusterLink::judge_shape() {
  if (table_.doubtful.any()) {
    co_return Error(Errc::unreachable,
                    "keys of slots that went from shard to shard are being copied again");
  }
  std::vector<Endpoint> masters;
  for (const auto& shard : shards_) {
    if (!shard->has_ended) masters.push_back(shard->master);
  }
  if (masters.size() != handed_.size())
    co_return Error(Errc::unreachable, "the source cluster changes: masters join or leave");
  for (const Endpoint& node : masters) {
    auto view = co_await source_.view_of(node);
    if (!view) co_return with_context("source " + to_string(node), view.error());
    const std::string change = change_in(*view);
    if (!change.empty())
      co_return Error(Errc::unreachable, "the source cluster changes: " + change);
  }
  co_return Error();
}

// In words; "" when it is what it was.
std::string ClusterLink::change_in(const ClusterView& view) const {
  for (const ClusterShard& seen : view.shards) {
    const auto was = handed_.find(seen.id);
    if (was == handed_.end()) return "there is another master, " + to_string(seen.master);
    if (was->second != seen.slots) return "slots of " + to_string(seen.master) + " moved";
  }
  return view.shards.size() == handed_.size() ? "" : "a master is gone";
}

}  // namespace keyferry
