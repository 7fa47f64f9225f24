#include "keyferry/pipeline/any_link.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {

AnyLink::AnyLink(const asio::any_io_executor& executor, const Options& options, StatusBoard& board)
    : executor_(executor), options_(options), board_(board) {
  scans_ = options.source_mode == SourceMode::scan;
}

void AnyLink::scan() {
  if (!std::exchange(scans_, true))
    log_warn("the source does not allow PSYNC: it is scanned instead (source.mode: auto)");
}

Task<Error> AnyLink::run() {
  if (stopped_) co_return Error();
  if (scans_) co_return co_await run_scan();
  replica_.emplace(executor_, options_, board_);
  replica_->announced_port = announced_port;
  replica_->logs_progress = logs_progress;
  Error error = co_await replica_->run();
  const bool may_scan = options_.source_mode == SourceMode::automatic && replica_->is_forbidden();
  if (!error || !may_scan) co_return error;
  log_warn("{}", error.what);
  scan();
  co_return co_await run_scan();
}

Task<Error> AnyLink::run_scan() {
  scan_.emplace(executor_, options_, board_);
  scan_->logs_progress = logs_progress;
  co_return co_await scan_->run();
}

void AnyLink::stop() {
  if (scan_) return scan_->stop();
  if (replica_) return replica_->stop();
  stopped_ = true;
}

void AnyLink::drain() {
  if (scan_) return scan_->drain();
  if (replica_) replica_->drain();
}

void AnyLink::abort() {
  if (scan_) return scan_->abort();
  if (replica_) replica_->abort();
}

void AnyLink::pause() {
  if (scan_) return scan_->pause();
  if (replica_) replica_->pause();
}

void AnyLink::resume() {
  if (scan_) return scan_->resume();
  if (replica_) replica_->resume();
}

bool AnyLink::cut_over(Millis pause_limit) {
  if (scan_ || !replica_) return false;
  return replica_->cut_over(pause_limit);
}

bool AnyLink::reached_goal() const {
  return scan_ ? scan_->reached_goal() : replica_ && replica_->reached_goal();
}

}  // namespace keyferry
