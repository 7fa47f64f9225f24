// The cutover of a link, whichever number of source masters it has: waits until lag is small, holds
// back writes on all of them, waits until the target has everything, fences all of them, runs the
// user's command. Whatever goes wrong before the fences lifts every pause, and replication goes on;
// half a fence is taken back as well. Knows the link only by HandoverLink. Executor thread only.
//
//   waiting -> paused -> committed        failed: given up, at any point before committed
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "keyferry/pipeline/cutover.hpp"
#include "keyferry/pipeline/key_sample.hpp"
#include "keyferry/pipeline/pause_hook.hpp"
#include "keyferry/pipeline/status.hpp"

namespace keyferry {

// A master that the link reads, or the master of the replica it reads.
struct HandoverSource {
  EndOptions end;  // reaches it: the first host of its address
  std::string replid;
  // Nothing while the link is not following it.
  std::function<std::optional<std::int64_t>(TimePoint)> lag_bytes;
  // Nothing up to that offset is missing in the target.
  std::function<bool(Offset)> has_applied;
};

struct HandoverLink {
  std::vector<HandoverSource> sources;
  // What may take the place of one of them without being asked (replicas in a cluster): fenced as
  // well, as far as possible.
  std::vector<EndOptions> heirs;
  // Whether the sources are all that there are, and still what they were. None: always.
  std::function<Task<Error>()> judge_shape;
  std::function<bool()> is_ending;
  std::function<void()> freeze;  // from now on nothing is applied
  std::function<void()> thaw;
  const Transform* rules = nullptr;  // what travels and under which name
  const TargetNodes* target = nullptr;
};

class Handover {
 public:
  // Options, status and what the link points to outlive it.
  Handover(const asio::any_io_executor& executor, const Options& options, HandoverLink link,
           CutoverStatus& status);

  // The state that `status` is left in says whether the link has been handed over; then an error
  // (data_refused) means that cutover.on_switch failed.
  Task<Error> run(CutoverRequest request);

 private:
  Task<Error> wait_for_lag();
  Task<Error> open_sources();
  Task<Error> hold_back();
  Task<Error> pause_sources();
  Task<Error> reach_sources();
  Task<Error> wait_for(std::size_t source);
  Task<Error> sample_keys();
  Task<Error> judge_shape();
  Task<Error> commit();
  Task<Error> fence_sources();
  Task<Error> raise_fences();
  Task<void> open_heirs();
  Task<void> fence_heirs();
  Task<void> lower_fences();
  Task<Error> switch_over();
  Task<void> lift();
  Error judge_time() const;

  asio::any_io_executor executor_;
  const Options& options_;
  HandoverLink link_;
  CutoverStatus& status_;
  CutoverRequest request_;
  Millis pause_limit_{0};
  PauseHook hook_;
  std::vector<std::unique_ptr<SourceFence>> fences_;  // one per source
  std::vector<std::unique_ptr<SourceFence>> heirs_;   // those that could be reached
  std::vector<Offset> reached_;                       // of each source
  std::unique_ptr<KeySample> sample_;
  TimePoint paused_at_;
};

}  // namespace keyferry
