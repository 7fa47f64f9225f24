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
  if (!options_.sources.empty()) {
    several_.emplace(executor_, options_, board_);
    several_->announced_port = announced_port;
    several_->logs_progress = logs_progress;
    co_return co_await several_->run();
  }
  if (options_.target.uri.kind == Uri::Kind::file) co_return co_await run_export();
  if (scans_) co_return co_await run_scan();
  Error error;
  bool is_forbidden = false;
  if (is_cluster_) {
    cluster_.emplace(executor_, options_, board_);
    cluster_->announced_port = announced_port;
    cluster_->logs_progress = logs_progress;
    error = co_await cluster_->run();
    is_forbidden = cluster_->is_forbidden();
  } else {
    replica_.emplace(executor_, options_, board_);
    replica_->announced_port = announced_port;
    replica_->logs_progress = logs_progress;
    error = co_await replica_->run();
    is_forbidden = replica_->is_forbidden();
  }
  const bool may_scan = options_.source_mode == SourceMode::automatic && is_forbidden;
  if (!error || !may_scan) co_return error;
  log_warn("{}", error.what);
  scan();
  co_return co_await run_scan();
}

Task<Error> AnyLink::run_export() {
  if (is_cluster_) {
    cluster_export_.emplace(executor_, options_, board_);
    cluster_export_->announced_port = announced_port;
    cluster_export_->logs_progress = logs_progress;
    co_return co_await cluster_export_->run();
  }
  export_.emplace(executor_, options_, board_);
  export_->announced_port = announced_port;
  export_->logs_progress = logs_progress;
  co_return co_await export_->run();
}

Task<Error> AnyLink::run_scan() {
  scan_.emplace(executor_, options_, board_);
  scan_->logs_progress = logs_progress;
  co_return co_await scan_->run();
}

void AnyLink::stop() {
  if (several_) return several_->stop();
  if (export_) return export_->stop();
  if (cluster_export_) return cluster_export_->stop();
  if (scan_) return scan_->stop();
  if (cluster_) return cluster_->stop();
  if (replica_) return replica_->stop();
  stopped_ = true;
}

void AnyLink::drain() {
  if (several_) return several_->drain();
  if (export_) return export_->drain();
  if (cluster_export_) return cluster_export_->drain();
  if (scan_) return scan_->drain();
  if (cluster_) return cluster_->drain();
  if (replica_) replica_->drain();
}

void AnyLink::abort() {
  if (several_) return several_->abort();
  if (export_) return export_->abort();
  if (cluster_export_) return cluster_export_->abort();
  if (scan_) return scan_->abort();
  if (cluster_) return cluster_->abort();
  if (replica_) replica_->abort();
}

void AnyLink::pause() {
  if (several_) return several_->pause();
  if (export_) return export_->pause();
  if (cluster_export_) return cluster_export_->pause();
  if (scan_) return scan_->pause();
  if (cluster_) return cluster_->pause();
  if (replica_) replica_->pause();
}

void AnyLink::resume() {
  if (several_) return several_->resume();
  if (export_) return export_->resume();
  if (cluster_export_) return cluster_export_->resume();
  if (scan_) return scan_->resume();
  if (cluster_) return cluster_->resume();
  if (replica_) replica_->resume();
}

void AnyLink::resync() {
  if (replica_ && !scan_) return replica_->resync();
  log_warn("resync is for links that read the stream of one server into a server");
}

bool AnyLink::cut_over(const CutoverRequest& request) {
  if (several_) return several_->cut_over(request);
  if (scan_) return false;
  if (cluster_) return cluster_->cut_over(request);
  return replica_ && replica_->cut_over(request);
}

void AnyLink::change_limits(const RateChange& change) {
  if (several_) return several_->change_limits(change);
  if (scan_) return scan_->change_limits(change);
  if (cluster_) return cluster_->change_limits(change);
  if (replica_) return replica_->change_limits(change);
  log_warn("rate limits are for links that read the stream of a server or a file into a server");
}

bool AnyLink::verify(const VerifyPlan& plan) {
  if (several_) return several_->verify(plan);
  if (scan_) return false;
  if (cluster_) return cluster_->verify(plan);
  return replica_ && replica_->verify(plan);
}

bool AnyLink::reached_goal() const {
  if (several_) return several_->reached_goal();
  if (export_) return export_->reached_goal();
  if (cluster_export_) return cluster_export_->reached_goal();
  if (scan_) return scan_->reached_goal();
  if (cluster_) return cluster_->reached_goal();
  return replica_ && replica_->reached_goal();
}

}  // namespace keyferry
