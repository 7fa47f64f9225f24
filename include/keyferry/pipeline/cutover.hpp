// One source master's side of a cutover: pausing its writes, reading where it is, and fencing it
// for good so that nothing is written there behind our back. Speaks with the master over a
// connection of its own; when to do what is Handover's. Executor thread only.
//
//   pause -> (target reaches the offset) -> check -> fence, end clients -> on_switch -> unpause
//   up to the fence everything can be taken back with unpause; the pause ends by itself as well
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "keyferry/net/connection.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

class SourceFence {
 public:
  // `options` tells how to reach the master: the first host of its address.
  SourceFence(const asio::any_io_executor& executor, EndOptions options)
      : options_(std::move(options)), connection_(executor) {}

  // Reaches the master with that history and reads what the fence will replace. Changes nothing.
  // Without a history any node will do.
  Task<Error> open(std::string replid);

  // Holds back writes for at most `limit` (Redis 6.2: CLIENT PAUSE WRITE). refused_by_peer where
  // that is not to be had.
  Task<Error> pause(Millis limit);
  // Nothing to do where no pause of ours holds.
  Task<Error> unpause();
  // The offset up to which its stream has come; an error when it is not the master with that
  // history any more.
  Task<Result<Offset>> offset();
  // Refuses writes from now on (min-replicas-to-write out of reach).
  Task<Error> raise();
  // Ends its normal clients: what they have waiting must not run when the pause ends.
  Task<Error> end_clients();

  // What min-replicas-to-write was before.
  const std::string& replaced() const { return replaced_; }
  std::string name() const;

  // Takes a fence away: min-replicas-to-write as given.
  Task<Error> lower(std::string min_replicas);

 private:
  Task<Error> must(Bytes command);
  Task<Error> must_hold();
  Task<Result<std::optional<std::string>>> setting(const char* name);

  EndOptions options_;
  Connection connection_;
  std::string replid_;
  std::string setting_;  // its name at this server
  std::string replaced_;
  bool is_paused_ = false;
};

// Whatever may carry a fence, each reached by the first host of its address: `source` itself, or
// all nodes of the cluster that it belongs to, replicas behind the masters.
Task<Error> find_fenced(EndOptions source, std::vector<EndOptions>& nodes);
// One node of a cluster, reached as `source` says.
EndOptions node_of(const EndOptions& source, const Endpoint& node);

}  // namespace keyferry
