#include "keyferry/pipeline/several_sources.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/whole_link.hpp"

namespace keyferry {
namespace {

constexpr Millis publish_interval{100};
constexpr std::int64_t log_interval_ms = 5000;
// Rounds that are begun anew because a snapshot broke off.
constexpr int rounds_max = 5;

std::string shown(const Options& source) {
  return fmt::format("{} ({})", source.source_name, redacted(source.source.uri));
}

}  // namespace

SeveralSources::SeveralSources(const asio::any_io_executor& executor, const Options& options,
                               StatusBoard& board)
    : executor_(executor),
      options_(options),
      board_(board),
      target_(executor, options.target),
      scope_(executor),
      halt_(executor) {}

Task<Error> SeveralSources::run() {
  began_ = logged_at_ = Clock::now();
  publish(began_);
  scope_.on_error([this](const Error& first) { finish(first); });
  scope_.spawn(report());
  Error error = co_await open();
  if (stopping_ && error.is(Errc::cancelled)) error = Error();
  if (!error && claim_ && !finished_) scope_.spawn(claim_->keep());
  for (int round = 1; !error && !finished_ && !stopping_; ++round) {
    error = co_await run_round();
    if (!std::exchange(anew_, false) || error || finished_ || stopping_) break;
    if (round == rounds_max) {
      error = Error(Errc::history_lost,
                    fmt::format("no snapshot of all sources was complete in {} rounds", round));
    } else {
      error = co_await empty_target();
    }
  }
  finish(std::move(error));
  error = co_await scope_.join();
  if (claim_) co_await claim_->let_go();
  publish(Clock::now());
  co_return result_;
}

// The right to write, and the target as it should be, for all before any of them begins.
Task<Error> SeveralSources::open() {
  Error error = co_await open_whole(executor_, options_, target_, claim_);
  if (error) co_return error;
  WholeTarget target;
  if (claim_) {
    std::string key = claim_->keys().record + ":sources";
    auto text = co_await read_table(*claim_, std::move(key));
    if (!text) co_return text.error();
    target.knows_link = text->has_value();
    if (target.knows_link) {
      auto record = parse_sources_record(**text);
      if (!record) co_return Error(Errc::usage, record.error().what + "; start with --restart");
      record_ = *record;
    }
  }
  target.is_owned = record_.owns_target;
  error = co_await prepare_whole(options_, target_, claim_.get(), target);
  if (error) co_return error;
  record_.owns_target = target.is_owned;
  if (options_.restart || target.was_emptied) record_.is_complete = false;
  if (options_.restart && target.knows_link && target.is_owned && !target.was_emptied)
    co_return co_await empty_target();
  co_return co_await save_record();
}

Task<Error> SeveralSources::empty_target() {
  log_warn("every source is copied again: emptying the target first");
  Error error = co_await empty_whole(options_, target_, claim_.get());
  if (!error) error = co_await save_record();
  co_return error;
}

Task<Error> SeveralSources::save_record() {
  if (!claim_) co_return Error();
  Bytes text;
  append_sources_record(text, record_);
  std::string key = claim_->keys().record + ":sources";
  Error error = co_await claim_->write_text(std::move(key), std::move(text));
  co_return error.is(Errc::cancelled) ? Error() : error;
}

// Until all have ended, or one has to be copied again.
Task<Error> SeveralSources::run_round() {
  sources_.clear();
  Scope round(executor_);
  for (const Options& options : options_.sources) {
    start_source(options);
    round.spawn(run_source(*sources_.back()));
  }
  co_return co_await round.join();
}

void SeveralSources::start_source(const Options& options) {
  sources_.push_back(std::make_unique<Source>(options));
  Source& one = *sources_.back();
  Options& own = one.options;
  own.instance = options_.instance;
  own.target.client_name = "keyferry-" + own.delivery_link + "-" + own.instance;
  own.target_before = TargetBefore::keep;
  take_part_of_limits(own, changed_limits_, options_.sources.size());
  one.role.target.by_slots = false;
  one.role.target.was_empty = record_.owns_target;
  one.role.may_end = [this] {
    leaving_ = leaving_ || all_ready();
    return leaving_;
  };
  one.role.admit = [this, &one](const ServerIdentity& found) { return admit(one, found); };
  one.role.begin_anew = [this, &one] { return begin_anew(one); };
  one.pipeline = std::make_unique<Pipeline>(executor_, one.options, one.board);
  one.pipeline->role = &one.role;
  one.pipeline->announced_port = announced_port;
  one.pipeline->logs_progress = false;
  log_info("source: name={} address={} link={}", own.source_name, redacted(own.source.uri),
           own.delivery_link);
  if (paused_) one.pipeline->pause();
  if (draining_) one.pipeline->drain();
}

Task<Error> SeveralSources::run_source(Source& source) {
  Error error = co_await source.pipeline->run();
  source.has_ended = true;
  if (error && !finished_ && !anew_)
    finish(with_context("source " + shown(source.options), std::move(error)));
  halt_.notify();
  settle_end();
  co_return Error();
}

// What two of them would both send would arrive twice.
Error SeveralSources::admit(Source& source, const ServerIdentity& found) const {
  if (found.is_cluster && source.options.source.topology != Topology::standalone) {
    return Error(Errc::usage,
                 "is a cluster, which is not one of several sources (topology: standalone takes "
                 "the slots of this node alone)");
  }
  for (const auto& other : sources_) {
    if (other.get() == &source) continue;
    const ServerIdentity& known = other->identity;
    const bool is_same = !found.run_id.empty() && found.run_id == known.run_id;
    const bool is_same_history = !found.replid.empty() && found.replid == known.replid;
    if (is_same || is_same_history) {
      return Error(Errc::usage, "is the same server as source " + shown(other->options) +
                                    ", or shares its history");
    }
  }
  source.identity = found;
  return Error();
}

// Keys that were deleted at the source meanwhile are in no snapshot, and in the target they look
// like those of the others.
Error SeveralSources::begin_anew(const Source& source) {
  if (record_.is_complete || !record_.owns_target) {
    return Error(
        Errc::history_lost,
        fmt::format("the source asks for another full sync, and which keys of the target are its "
                    "own, so that deleted ones could be removed, cannot be told with several "
                    "sources; start with --restart{} to have the target emptied and every source "
                    "copied again",
                    record_.owns_target ? "" : " and target.before: flush"));
  }
  log_warn("a snapshot broke off before all were complete: source={}", shown(source.options));
  full_resyncs_ += sources_.size();
  anew_ = true;
  tell_all(&Pipeline::abort);
  return Error(Errc::cancelled, "begun anew");
}

// One that has ended waits for nobody.
bool SeveralSources::all_ready() const {
  return std::all_of(sources_.begin(), sources_.end(),
                     [](const auto& one) { return one->has_ended || one->role.is_ready; });
}

void SeveralSources::settle_end() {
  const std::optional<bool> goal = goal_of_ended(sources_);
  if (!goal || anew_) return;
  if (!finished_) reached_goal_ = *goal && !stopping_;
  finish(Error());
}

void SeveralSources::finish(Error error) {
  if (finished_) return;
  finished_ = true;
  result_ = std::move(error);
  tell_all(&Pipeline::stop);
  if (claim_) claim_->stop();
  target_.close();
  halt_.notify();
}

void SeveralSources::tell_all(void (Pipeline::*verb)()) {
  for (const auto& one : sources_) {
    if (!one->has_ended) (*one->pipeline.*verb)();
  }
}

void SeveralSources::stop() {
  stopping_ = true;
  if (claim_ && sources_.empty()) claim_->stop();  // it may wait for the lease
  tell_all(&Pipeline::stop);
}

void SeveralSources::drain() {
  draining_ = true;
  tell_all(&Pipeline::drain);
}

void SeveralSources::abort() {
  stopping_ = true;
  if (claim_ && sources_.empty()) claim_->stop();  // it may wait for the lease
  tell_all(&Pipeline::abort);
}

void SeveralSources::pause() {
  paused_ = true;
  tell_all(&Pipeline::pause);
}

void SeveralSources::resume() {
  paused_ = false;
  tell_all(&Pipeline::resume);
}

void SeveralSources::change_limits(const RateChange& change) {
  remember(changed_limits_, change);
  const RateChange part = part_of(change, options_.sources.size());
  for (const auto& one : sources_)
    one->pipeline->change_limits(part);
}

bool SeveralSources::cut_over(const CutoverRequest&) {
  ++cutover_.attempt;
  cutover_.state = CutoverStatus::State::failed;
  cutover_.problem = "a link of several sources does not hand over: stop the writers, then drain";
  log_warn("cutover refused: {}", cutover_.problem);
  return true;
}

bool SeveralSources::verify(const VerifyPlan&) {
  ++verify_.attempt;
  verify_.problem = "several sources are not compared with one target; verify each by itself";
  log_warn("verify refused: {}", verify_.problem);
  return true;
}

// What the world sees; and when all snapshots have been applied, the record says so.
Task<Error> SeveralSources::report() {
  while (!finished_) {
    publish(Clock::now());
    const bool all_stream =
        !sources_.empty() && std::all_of(sources_.begin(), sources_.end(), [](const auto& one) {
          return one->board.read()->is_streaming;
        });
    if (all_stream && !anew_ && !std::exchange(record_.is_complete, true)) {
      Error error = co_await save_record();
      if (error) co_return error;
    }
    co_await halt_.wait_for(publish_interval);
  }
  co_return Error();
}

void SeveralSources::publish(TimePoint now) {
  std::vector<Status> all;
  all.reserve(sources_.size());
  for (const auto& one : sources_)
    all.push_back(*one->board.read());
  const auto status = std::make_shared<Status>(sum_of(std::move(all)));
  status->cutover = cutover_;
  status->verify = verify_;
  status->full_resyncs += full_resyncs_;
  status->source = fmt::format("{} sources", options_.sources.size());
  complete_sum(*status, {finished_, result_, began_}, now);
  if (elapsed_ms(logged_at_, now) >= log_interval_ms || finished_) {
    logged_at_ = now;
    if (logs_progress) log_sum(*status);
  }
  board_.publish(status);
}

}  // namespace keyferry
