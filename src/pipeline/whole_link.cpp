#include "keyferry/pipeline/whole_link.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

struct RateLimitField {
  std::optional<std::int64_t> RateChange::*change;
  std::int64_t Options::*option;
};
constexpr RateLimitField rate_limits[] = {
    {&RateChange::target_ops_per_s, &Options::limits_target_ops_per_s},
    {&RateChange::target_bytes_per_s, &Options::limits_target_bytes_per_s},
    {&RateChange::source_bytes_per_s, &Options::limits_source_bytes_per_s},
};

std::int64_t share_of(std::int64_t whole, std::size_t count) {
  const auto parts = static_cast<std::int64_t>(std::max<std::size_t>(1, count));
  return (whole + parts - 1) / parts;
}

}  // namespace

Task<Error> open_whole(const asio::any_io_executor& executor, const Options& options,
                       TargetNodes& nodes, std::unique_ptr<Claim>& claim) {
  Error error = co_await nodes.open();
  if (error || options.delivery_mode != Delivery::exactly_once) co_return error;
  claim = std::make_unique<Claim>(executor, options);
  const Endpoint node = nodes.map().masters().front();
  if (nodes.is_cluster()) {
    error = co_await claim->take(nodes);
  } else {
    const HostPort host{node.host, node.port};
    error = co_await claim->take(host);
  }
  if (error) co_return with_context("target", std::move(error));
  co_return Error();
}

Task<Result<std::optional<Bytes>>> read_table(Claim& claim, std::string key) {
  Bytes command = make_command({"GET", key});
  auto text = co_await claim.ask(std::move(command));
  if (!text) co_return with_context("target", text.error());
  if (text->is_error()) co_return Error(Errc::unreachable, "target: " + text->text);
  if (text->is_null()) co_return std::optional<Bytes>();
  co_return std::optional<Bytes>(text->text);
}

Task<Error> prepare_whole(const Options& options, TargetNodes& nodes, Claim* claim,
                          WholeTarget& target) {
  if (target.knows_link && !options.restart) co_return Error();
  std::vector<std::string> own;
  if (claim != nullptr) own = {claim->keys().record, claim->keys().lease, claim->keys().fence};
  bool has_keys = false;
  Error error = co_await nodes.find_keys(has_keys, own);
  if (error) co_return error;
  if (!target.knows_link) target.is_owned = !has_keys;
  if (has_keys && !target.knows_link && options.target_before == TargetBefore::must_be_empty)
    co_return Error(Errc::usage, "the target holds keys, and target.before is must_be_empty");
  if (!has_keys || options.target_before != TargetBefore::flush) co_return Error();
  log_info("emptying the target: target.before=flush");
  error = co_await empty_whole(options, nodes, claim);
  target.is_owned = target.was_emptied = !error;
  co_return error;
}

Task<Error> empty_whole(const Options& options, TargetNodes& nodes, Claim* claim) {
  Error error;
  if (nodes.is_cluster()) error = co_await nodes.refresh();
  if (!error && claim != nullptr) error = co_await claim->kill_others(nodes);
  if (error) co_return error;
  const std::vector<Endpoint> masters = nodes.map().masters();
  for (const Endpoint& node : masters) {
    Bytes command = make_command({"FLUSHALL"});
    auto reply =
        co_await nodes.call(node, std::move(command), Millis(options.target.reply_timeout_ms));
    if (!reply) co_return with_context("target " + to_string(node), reply.error());
    if (reply->is_error()) co_return Error(Errc::data_refused, "FLUSHALL: " + reply->text);
  }
  if (claim == nullptr) co_return Error();
  co_return co_await claim->renew_after_flush();
}

void take_part_of_limits(Options& options, const RateChange& changed, std::size_t count) {
  for (const RateLimitField& limit : rate_limits)
    options.*limit.option = (changed.*limit.change).value_or(options.*limit.option);
  for (const auto share : {&Options::limits_memory_max_bytes, &Options::spool_max_bytes,
                           &Options::limits_target_ops_per_s, &Options::limits_target_bytes_per_s,
                           &Options::limits_source_bytes_per_s, &Options::delivery_retain_bytes})
    options.*share = share_of(options.*share, count);
}

void remember(RateChange& changed, const RateChange& change) {
  for (const RateLimitField& limit : rate_limits) {
    if (change.*limit.change) changed.*limit.change = change.*limit.change;
  }
}

RateChange part_of(const RateChange& whole, std::size_t count) {
  RateChange out;
  for (const RateLimitField& limit : rate_limits) {
    if (whole.*limit.change) out.*limit.change = share_of(*(whole.*limit.change), count);
  }
  return out;
}

void complete_sum(Status& sum, const WholeState& link, TimePoint now) {
  if (sum.shards.empty()) sum.phase = Phase::connecting;
  if (link.finished) sum.phase = link.result ? Phase::failed : Phase::stopped;
  sum.uptime_s = static_cast<double>(elapsed_ms(link.began, now)) / 1000;
  if (link.result) sum.last_error = link.result.what;
  sum.published_ms = std::chrono::duration_cast<Millis>(now.time_since_epoch()).count();
}

void log_sum(const Status& sum) {
  log_info("progress: phase={} shards={} keys={} applied={} commands_per_s={:.0f} lag_bytes={}",
           to_string(sum.phase), sum.shards.size(), sum.snapshot_keys_done, sum.applied,
           sum.commands_per_s, sum.lag_bytes ? std::to_string(*sum.lag_bytes) : "unknown");
}

}  // namespace keyferry
