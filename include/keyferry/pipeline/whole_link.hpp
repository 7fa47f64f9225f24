// What a link that consists of several pipelines into one target (cluster_link, several_sources)
// does once for all of them: it takes the right to write, empties the target where that is asked
// for, keeps a table of its own there, deals out limits and adds up what the pipelines say. Plain
// functions and values; the link keeps the state. Executor thread only.
#pragma once

#include <memory>
#include <optional>

#include "keyferry/pipeline/status.hpp"
#include "keyferry/sink/claim.hpp"

namespace keyferry {

// Reaches the target, and with exactly_once takes the right to write there as the whole link:
// another instance may be at work. `claim` stays null with at_least_once.
Task<Error> open_whole(const asio::any_io_executor& executor, const Options& options,
                       TargetNodes& nodes, std::unique_ptr<Claim>& claim);

// The text that an earlier run left under `key`; nullopt: none.
Task<Result<std::optional<Bytes>>> read_table(Claim& claim, std::string key);

// Whose the target is, before any pipeline begins.
struct WholeTarget {
  bool knows_link = false;  // our table was there
  bool is_owned = false;    // it held nothing when the link began
  bool was_emptied = false;
};
// target.before, for all pipelines. Errors: usage when it is not as required.
Task<Error> prepare_whole(const Options& options, TargetNodes& nodes, Claim* claim,
                          WholeTarget& target);
// FLUSHALL on every master; the claim survives it. No pipeline runs: what one has sent and is still
// on its way does not arrive behind it.
Task<Error> empty_whole(const Options& options, TargetNodes& nodes, Claim* claim);

// Each of `count` pipelines gets the same part of what all may use, which is what was `changed`
// since the link began, else what the options say.
void take_part_of_limits(Options& options, const RateChange& changed, std::size_t count);
void remember(RateChange& changed, const RateChange& change);
RateChange part_of(const RateChange& whole, std::size_t count);

// Of the link, for what is published.
struct WholeState {
  bool finished = false;
  const Error& result;
  TimePoint began;
};
// The sum of the pipelines' statuses becomes that of the link.
void complete_sum(Status& sum, const WholeState& link, TimePoint now);
void log_sum(const Status& sum);

// Of pipelines that have all ended: whether one reached its goal. nullopt: not all have.
template <class Parts>
std::optional<bool> goal_of_ended(const Parts& parts) {
  bool any_goal = false;
  for (const auto& part : parts) {
    if (!part->has_ended) return std::nullopt;
    any_goal = any_goal || part->pipeline->reached_goal();
  }
  return any_goal;
}

}  // namespace keyferry
