// The right to write to a target, kept in the target itself: a lease that only one living instance
// of a link holds, a fence that outlives it, and, standalone, the record of how far the link is
// (checkpoint/record). Reads and writes these by hand; the record of every transaction is written
// by sink/serial_lane. In a cluster lease and fence lie in one slot, wherever that is, and the
// records are sink/cluster_stream's. Pipeline thread only.
//
// Taking over:  lease (SET NX PX, waits for the old one to expire)
//            -> the predecessor's connections are killed -> fence := our token -> the record is
//            read
#pragma once

#include <optional>

#include "keyferry/checkpoint/record.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

// Gives this process a token of its own, and its connections to the target names that tell link and
// instance. Before a Claim is made.
void name_instance(Options& options);
// The name of the link in the target's records.
std::string link_of(const Options& options);

class Claim {
 public:
  // Options outlive the claim.
  Claim(const asio::any_io_executor& executor, const Options& options);

  // Takes the right to write at `host`. Errors: usage when another instance holds it (unless
  // options.standby) or a record cannot be read; unreachable, refused_by_peer.
  Task<Error> take(HostPort host);
  // The same in a cluster; the records are not read.
  Task<Error> take(TargetNodes& nodes);
  // Keeps the lease until stop(). Error usage: another instance has taken over.
  Task<Error> keep();
  // Ends keep(), and gives the lease away so that a successor need not wait.
  Task<void> let_go();
  void stop();
  // Gives its connection up when it is one to another server.
  void stay_with(const HostPort& master);

  // What the target said about this link when it was taken; nullopt: nothing.
  const std::optional<Record>& found() const { return found_; }
  const OwnKeys& keys() const { return keys_; }
  const std::string& link() const { return link_; }
  const std::string& token() const { return token_; }
  std::int64_t lease_ms() const { return options_.delivery_lease_s * 1000; }

  // Kills, on every master, what bears the link's name and is not this claim's: connections of
  // predecessors, and those that pipelines of the link have left.
  Task<Error> kill_others(TargetNodes& nodes);
  // After a FLUSHALL of our own.
  Task<Error> renew_after_flush();
  // Writes a record by hand, when nothing else of ours is under way.
  Task<Error> write(const Record& record);
  // The same with any text of ours. Error cancelled: stop() came before it could be written.
  Task<Error> write_text(std::string key, Bytes text);

  // Any command by hand, at the node that serves the claim's keys.
  Task<Result<RespValue>> ask(Bytes command);

  // On a fresh connection of ours, before it writes: kills our last connection with this role
  // (`last_client_id`, "" = none; then holds the new one's), and makes sure that we are still the
  // ones to write. The result is the record as it stands now.
  Task<Result<std::optional<Record>>> greet(Connection& connection, std::string& last_client_id);
  // The same on a node of a cluster, without a record.
  Task<Error> greet_node(Connection& connection, std::string& last_client_id);
  // Kills a connection of ours, if the server at the other end of this one still has it; "" = none.
  Task<Error> kill_own(Connection& connection, const std::string& id);

 private:
  Task<Result<RespValue>> call(Bytes command);
  Task<Result<RespValue>> call_once(Bytes command);
  Task<Error> wait_for_lease();
  Task<Error> kill_predecessors();
  Task<Error> kill_others_at(TargetNodes& nodes, Endpoint node);
  std::vector<std::string> predecessors_in(ByteView client_list) const;
  Task<Error> check_lease();
  Task<Error> renew_in_turn();
  Task<Error> kill_remains(Connection& connection, const std::string& id);
  Task<Error> renew();
  Task<Error> hold_fence(Connection& connection);
  Task<Error> set_fence(Connection& connection);

  const Options& options_;
  HostPort host_;
  TargetNodes* nodes_ = nullptr;  // of a cluster
  std::string token_;
  std::string link_;
  OwnKeys keys_;
  Connection connection_;
  bool open_ = false;
  bool stopping_ = false;
  bool busy_ = false;  // one at a time uses the connection for more than one call
  Signal turn_;
  Signal halt_;
  std::optional<Record> found_;
};

}  // namespace keyferry
