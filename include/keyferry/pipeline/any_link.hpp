// The one link of a run, whichever way its source is read: as its replica (pipeline.hpp), as a
// replica of every shard of a cluster (cluster_link.hpp) or of every source of a list
// (several_sources.hpp), or by scanning it (scan_link.hpp) when that is asked for or nothing else
// is allowed; into a file (export.hpp, cluster_export.hpp) when the target is one. Executor thread
// only.
#pragma once

#include <functional>
#include <optional>

#include "keyferry/pipeline/cluster_export.hpp"
#include "keyferry/pipeline/cluster_link.hpp"
#include "keyferry/pipeline/export.hpp"
#include "keyferry/pipeline/pipeline.hpp"
#include "keyferry/pipeline/scan_link.hpp"
#include "keyferry/pipeline/several_sources.hpp"

namespace keyferry {

class AnyLink {
 public:
  // Options and board outlive the link.
  AnyLink(const asio::any_io_executor& executor, const Options& options, StatusBoard& board);

  // Set before run(); see Pipeline.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  bool logs_progress = true;
  // The source is to be scanned. Before run().
  void scan();
  // The source is a cluster, all of which is wanted. Before run().
  void follow_cluster() { is_cluster_ = true; }

  Task<Error> run();

  void stop();
  void drain();
  void abort();
  void pause();
  void resume();
  void resync();
  bool cut_over(const CutoverRequest& request);
  void change_limits(const RateChange& change);
  bool verify(const VerifyPlan& plan);
  bool reached_goal() const;

 private:
  Task<Error> run_export();
  Task<Error> run_scan();

  asio::any_io_executor executor_;
  const Options& options_;
  StatusBoard& board_;
  std::optional<Export> export_;                 // the target is a file
  std::optional<ClusterExport> cluster_export_;  // in export_'s place
  std::optional<Pipeline> replica_;
  std::optional<ClusterLink> cluster_;     // in replica_'s place
  std::optional<SeveralSources> several_;  // alone, where there is a list of sources
  std::optional<ScanLink> scan_;           // in charge when it is there
  bool scans_ = false;
  bool is_cluster_ = false;
  bool stopped_ = false;  // before run()
};

}  // namespace keyferry
