#include "keyferry/pipeline/cluster_link.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/whole_link.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;

}  // namespace

ClusterLink::ClusterLink(const asio::any_io_executor& executor, const Options& options,
                         StatusBoard& board)
    : executor_(executor),
      options_(options),
      board_(board),
      source_(executor, options.source),
      target_(executor, options.target),
      turns_(options.source_max_parallel_snapshots),
      comparison_(executor, options),
      scope_(executor),
      halt_(executor),
      look_(executor) {
  comparison_.lag = [this] { return verify_lag(); };
  comparison_.repair = [this](const KeyList& keys) { return heal_keys(keys); };
  comparison_.start = [this](const VerifyPlan& plan) { return verify(plan); };
  comparison_.fail = [this](Error error) { finish(std::move(error)); };
}

Task<Error> ClusterLink::run() {
  began_ = logged_at_ = Clock::now();
  publish(began_);
  scope_.on_error([this](const Error& first) { finish(first); });
  scope_.spawn(report());
  Error error = co_await open();
  if (stopping_ && error.is(Errc::cancelled)) error = Error();
  if (!error && !stopping_) error = co_await adopt_view();
  if (error) finish(std::move(error));
  if (!finished_ && stopping_) finish(Error());
  if (!finished_) scope_.spawn(follow());
  if (!finished_ && claim_) scope_.spawn(claim_->keep());
  error = co_await scope_.join();
  if (claim_) co_await claim_->let_go();
  publish(Clock::now());
  co_return result_;
}

Task<Error> ClusterLink::open() {
  Error error = co_await source_.refresh();
  if (error) co_return error;
  const std::vector<ClusterShard>& shards = source_.view().shards;
  log_info("the source is a cluster: shards={}", shards.size());
  co_return co_await open_target();
}

// The right to write for the link as a whole comes first: another instance may be at work.
Task<Error> ClusterLink::open_target() {
  Error error = co_await open_whole(executor_, options_, target_, claim_);
  if (error) co_return error;
  WholeTarget target;
  if (claim_) {
    std::string key = table_key();
    auto text = co_await read_table(*claim_, std::move(key));
    if (!text) co_return text.error();
    target.knows_link = text->has_value();
    if (target.knows_link) {
      auto table = parse_shard_table(**text);
      if (!table) co_return Error(Errc::usage, table.error().what + "; start with --restart");
      table_ = std::move(*table);
    }
  }
  target.is_owned = table_.owns_target;
  error = co_await prepare_whole(options_, target_, claim_.get(), target);
  if (target.was_emptied) table_ = ShardTable();
  table_.owns_target = target.is_owned;
  co_return error;
}

Task<Error> ClusterLink::run_shard(Shard& shard) {
  Error error = co_await shard.pipeline->run();
  shard.has_ended = true;
  if (error && !finished_) finish(with_context("shard " + to_string(shard.master), error));
  if (!error && shard.is_leaving && !finished_) error = co_await end_leaving(shard);
  if (error) finish(std::move(error));
  halt_.notify();
  settle_end();
  co_return Error();
}

// Whatever it did last may not have reached us: slots that were its own until then are in doubt.
Task<Error> ClusterLink::end_leaving(Shard& shard) {
  const ShardTable::Entry& entry = table_.entries()[shard.entry];
  log_info("source shard left: everything received from it was applied: shard={}", entry.name);
  const ShardSlots slots = entry.slots | entry.touched;
  if (slots.none()) co_return Error();
  if (claim_) co_return co_await doubt(slots, to_and_fro);
  log_warn("what the shard did last may be missing (delivery.mode: at_least_once): slots={}",
           slots.count());
  co_return Error();
}

// When the last shard has ended there is nothing left to do.
void ClusterLink::settle_end() {
  const std::optional<bool> goal = goal_of_ended(shards_);
  if (!goal) return;
  if (!finished_) reached_goal_ = *goal && !stopping_;
  finish(Error());
}

void ClusterLink::finish(Error error) {
  if (finished_) return;
  finished_ = true;
  result_ = std::move(error);
  for (const auto& shard : shards_) {
    if (!shard->has_ended) shard->pipeline->stop();
  }
  if (claim_) claim_->stop();
  comparison_.stop();
  source_.close();
  target_.close();
  halt_.notify();
  look_.notify();
}

void ClusterLink::stop() {
  stopping_ = true;
  if (claim_ && shards_.empty()) claim_->stop();  // it may wait for the lease
  for (const auto& shard : shards_)
    shard->pipeline->stop();
  look_.notify();
}

void ClusterLink::drain() {
  draining_ = true;
  for (const auto& shard : shards_)
    shard->pipeline->drain();
}

void ClusterLink::abort() {
  stopping_ = true;
  if (claim_ && shards_.empty()) claim_->stop();  // it may wait for the lease
  for (const auto& shard : shards_)
    shard->pipeline->abort();
}

void ClusterLink::pause() {
  paused_ = true;
  for (const auto& shard : shards_)
    shard->pipeline->pause();
}

void ClusterLink::resume() {
  paused_ = false;
  for (const auto& shard : shards_)
    shard->pipeline->resume();
}

void ClusterLink::change_limits(const RateChange& change) {
  remember(changed_limits_, change);
  for (const auto& shard : shards_)
    shard->pipeline->change_limits(part_of(change, shards_.size()));
}

bool ClusterLink::is_forbidden() const {
  return std::any_of(shards_.begin(), shards_.end(),
                     [](const auto& shard) { return shard->pipeline->is_forbidden(); });
}

// One that has ended, or that left the cluster, waits for nobody.
bool ClusterLink::all_ready() const {
  if (table_.doubtful.any()) return false;
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& shard) {
    return shard->has_ended || shard->is_leaving || shard->role.is_ready;
  });
}

Task<Error> ClusterLink::report() {
  while (!finished_) {
    publish(Clock::now());
    co_await halt_.wait_for(publish_interval);
  }
  co_return Error();
}

void ClusterLink::publish(TimePoint now) {
  std::vector<Status> all;
  for (const auto& shard : shards_) {
    if (!shard->is_leaving || !shard->has_ended) all.push_back(*shard->board.read());
  }
  const bool is_doubtful = table_.doubtful.any();
  const auto status = std::make_shared<Status>(sum_of(std::move(all)));
  status->synced = status->synced && !is_doubtful;
  status->cutover = cutover_;
  status->verify = comparison_.summary();
  if (!last_error_.empty() && !status->last_error) status->last_error = last_error_;
  complete_sum(*status, {finished_, result_, began_}, now);
  const Uri& uri = options_.source.uri;
  if (!uri.hosts.empty())
    status->source = to_string(Endpoint{uri.hosts.front().host, uri.hosts.front().port});
  if (elapsed_ms(logged_at_, now) >= log_interval_ms || finished_) log_progress(*status, now);
  board_.publish(status);
}

void ClusterLink::log_progress(const Status& status, TimePoint now) {
  logged_at_ = now;
  if (logs_progress) log_sum(status);
}

}  // namespace keyferry
