// Comparing both ends inside a running link, one comparison at a time: what is asked for
// (POST /verify), and the one before the end (stop.verify). Remembers how the last one ended. How
// far the link is behind, and how keys are healed, is the link's business. Executor thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "keyferry/base/time.hpp"
#include "keyferry/net/task.hpp"
#include "keyferry/verify/plan.hpp"
#include "keyferry/verify/summary.hpp"

namespace keyferry {

class KeyList;
class Verifier;

class Comparison {
 public:
  // Options outlive it.
  Comparison(const asio::any_io_executor& executor, const Options& options);
  ~Comparison();

  // Set before run(). What the target may be behind; nullopt: nobody knows at the moment.
  std::function<std::optional<Millis>()> lag;
  // Has these keys (of the source) healed.
  std::function<Task<Error>(const KeyList& keys)> repair;
  // Begin this comparison, and run it; false: not at the moment.
  std::function<bool(const VerifyPlan& plan)> start;
  // End the link with this.
  std::function<void(Error error)> fail;

  bool is_running() const { return verifier_ != nullptr; }
  // From now on it is running; the link starts run(). Not while one is running.
  void begin(const VerifyPlan& plan);
  // No error: how it ended is in the summary; one that breaks off does not end the link.
  Task<Error> run();
  void stop();
  VerifySummary summary() const;

  // stop.verify: whether the link may say that it is done. Starts the comparison that this takes;
  // if that finds a difference, the link fails.
  bool allows_end();

 private:
  VerifyPlan plan_at_end() const;
  Error problem() const;

  asio::any_io_executor executor_;
  const Options& options_;
  std::unique_ptr<Verifier> verifier_;
  VerifySummary last_;         // how the last one ended
  bool begun_at_end_ = false;  // stop.verify has been begun
};

}  // namespace keyferry
