#include "keyferry/pipeline/comparison.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/verify/report.hpp"
#include "keyferry/verify/verifier.hpp"

namespace keyferry {

Comparison::Comparison(const asio::any_io_executor& executor, const Options& options)
    : executor_(executor), options_(options) {}

Comparison::~Comparison() = default;

void Comparison::begin(const VerifyPlan& plan) {
  KEYFERRY_ASSERT(!verifier_);
  verifier_ = std::make_unique<Verifier>(executor_, options_, plan);
  verifier_->lag = lag;
  verifier_->repair = repair;
  verifier_->on_difference = [](const std::string& line) { log_debug("verify: {}", line); };
  ++last_.attempt;
  log_info("comparing both ends: level={} part={} repair={} repair_extra={}", to_string(plan.level),
           plan.part, plan.repair, plan.repair_extra);
}

Task<Error> Comparison::run() {
  Error error = co_await verifier_->run();
  const std::uint64_t attempt = last_.attempt;
  last_ = verifier_->summary();
  last_.attempt = attempt;
  verifier_.reset();
  if (error) {
    log_warn("the comparison broke off: {}", error.what);
  } else {
    log_info("both ends were compared: {}", summary_json(last_));
  }
  co_return Error();
}

void Comparison::stop() {
  if (verifier_) verifier_->stop();
}

VerifySummary Comparison::summary() const {
  VerifySummary out = verifier_ ? verifier_->summary() : last_;
  out.attempt = last_.attempt;
  return out;
}

bool Comparison::allows_end() {
  if (verifier_) return false;
  if (options_.stop_verify == StopVerify::none) return true;
  if (!std::exchange(begun_at_end_, true)) return !start(plan_at_end());
  if (!last_.is_equal()) fail(problem());
  return last_.is_equal();
}

VerifyPlan Comparison::plan_at_end() const {
  VerifyPlan plan = plan_of(options_);
  plan.level = VerifyLevel::digest;
  plan.part = options_.stop_verify == StopVerify::sample ? 0.01 : 1;
  return plan;
}

Error Comparison::problem() const {
  return {
      Errc::data_refused,
      fmt::format("stop.verify: {}", last_.problem.empty() ? summary_json(last_) : last_.problem)};
}

}  // namespace keyferry
