// A link with several sources (`sources`) into one target: one pipeline per source, each with its
// own records, lease and connections to the target, as if it were alone (pipeline.hpp). This one
// knows the whole: that no two are the same server, when all have reached their goal, and their sum
// for the world. Nothing is compared between sources: a later write wins, by arrival. One thread;
// everything it starts ends with run().
//
// Whose a key of the target is nobody can tell, so none may empty it. Until every snapshot has been
// applied once, a source that has to be copied again has all of them copied again, into the emptied
// target (a *round*); after that it ends the link.
#pragma once

#include <memory>

#include "keyferry/checkpoint/sources_record.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {

class SeveralSources {
 public:
  // Options and board outlive the link.
  SeveralSources(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);

  // Set before run(); see Pipeline.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  bool logs_progress = true;

  // The whole life of the link. No error: it ended as asked.
  Task<Error> run();

  // These only on the link's executor; as Pipeline's, for every source.
  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  void change_limits(const RateChange& change);
  // Refused by name: the outcome is in the status.
  bool cut_over(const CutoverRequest& request);
  bool verify(const VerifyPlan& plan);

  bool reached_goal() const { return reached_goal_; }

 private:
  struct Source {
    explicit Source(const Options& own) : options(own) {}
    Options options;  // with its part of the limits
    StatusBoard board;
    ShardRole role;
    ServerIdentity identity;  // once it was reached
    std::unique_ptr<Pipeline> pipeline;
    bool has_ended = false;
  };

  Task<Error> open();
  Task<Error> run_round();
  Task<Error> empty_target();
  void start_source(const Options& options);
  Task<Error> run_source(Source& source);
  Error admit(Source& source, const ServerIdentity& found) const;
  Error begin_anew(const Source& source);
  Task<Error> save_record();
  bool all_ready() const;
  void settle_end();
  void finish(Error error);
  void tell_all(void (Pipeline::*verb)());

  Task<Error> report();
  void publish(TimePoint now);

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  TargetNodes target_;
  std::unique_ptr<Claim> claim_;  // exactly once only: on the link as a whole
  SourcesRecord record_;
  std::vector<std::unique_ptr<Source>> sources_;  // of the round
  std::uint64_t full_resyncs_ = 0;                // of rounds that were begun anew
  RateChange changed_limits_;
  CutoverStatus cutover_;
  VerifySummary verify_;
  Scope scope_;
  Signal halt_;
  bool anew_ = false;  // this round is given up
  bool stopping_ = false;
  bool draining_ = false;
  bool paused_ = false;
  bool leaving_ = false;  // all were ready at once
  bool finished_ = false;
  bool reached_goal_ = false;
  Error result_;
  TimePoint began_;
  TimePoint logged_at_;
};

}  // namespace keyferry
