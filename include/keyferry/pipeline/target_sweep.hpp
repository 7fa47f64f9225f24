// Looks through the target for keys that a scanned source does not have: what was deleted there
// while no event could tell. They are handed to their source node as changed; it finds them gone
// and the sink deletes them, in order with everything else. Pipeline thread only.
#pragma once

#include <functional>

#include "keyferry/pipeline/scan_node.hpp"

namespace keyferry {

class TargetSweep {
 public:
  // `node_of`: the source node that would have the key; nullptr = none at the moment.
  TargetSweep(ScanCommon& common, std::function<ScanNode*(ByteView key)> node_of)
      : common_(common), node_of_(std::move(node_of)) {}

  // One pass over the whole target. Errors: unreachable (try again), others end the link.
  Task<Error> run();
  void stop();
  std::uint64_t found() const { return found_; }

 private:
  Task<Error> sweep_node(Endpoint node);
  Task<Error> sweep_db(std::int32_t db);
  Task<Error> sweep_page(std::int32_t db, const RespValue& keys);

  ScanCommon& common_;
  std::function<ScanNode*(ByteView key)> node_of_;
  Connection* connection_ = nullptr;
  bool stopping_ = false;
  std::uint64_t found_ = 0;
};

}  // namespace keyferry
