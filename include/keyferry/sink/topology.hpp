// Finds out what the target is: standalone or cluster, family and version, which node serves which
// slot, what its commands look like; and does the few things that are done to every node by hand.
// Reads and asks, never routes. Pipeline thread only.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "keyferry/cluster/slot_map.hpp"
#include "keyferry/command/command_table.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/rdb/restore.hpp"

namespace keyferry {

// Who a server is, from INFO.
struct ServerIdentity {
  std::string run_id;
  std::string replid;
  std::string role;  // "master" or "slave"
  std::string version;
  rdb::TargetTraits traits;
  bool is_cluster = false;
};
ServerIdentity read_identity(ByteView info);
// An error when a source and the target `node` are one server, or one follows the other.
Error refuse_same(const ServerIdentity& source, const Endpoint& node, const ServerIdentity& target);

// An error unless the server has this database; another one than 0 is selected for a moment.
Task<Error> check_database(Connection& connection, std::int32_t db, Millis limit);

// How far the server's clock is ahead of ours, in ms, from its answer to TIME that took from `sent`
// to `received` (unix ms, our clock); nullopt when it did not tell.
std::optional<std::int64_t> read_clock_ahead(const RespValue& time, std::int64_t sent,
                                             std::int64_t received);
std::int64_t unix_now_ms();

class TargetNodes {
 public:
  TargetNodes(const asio::any_io_executor& executor, const EndOptions& options)
      : executor_(executor), options_(options), free_(executor) {}

  // Reaches the target, decides standalone or cluster, learns its map and its unknown commands.
  // Errors: unreachable, refused_by_peer; usage when it is a replica or does not match the forced
  // topology.
  Task<Error> open();
  // Reads the cluster's map again, from any node that answers. Keeps the old one on error.
  Task<Error> refresh();

  bool is_cluster() const { return identity_.is_cluster; }
  const SlotMap& map() const { return map_; }  // standalone: one master that owns every slot
  // A single slot has moved: known before the next refresh (MOVED says so).
  void assign(Slot slot, const Endpoint& owner) { map_.assign(slot, slot, owner); }
  const ServerIdentity& identity() const { return identity_; }
  const std::map<Endpoint, ServerIdentity>& masters() const { return masters_; }
  const LearntCommands& learnt() const { return learnt_; }

  // Of the first master; nullopt where TIME is not allowed.
  Task<Result<std::optional<std::int64_t>>> clock_ahead_ms();
  // Whether any master holds a key, but for those of `except` (standalone).
  Task<Error> find_keys(bool& found, std::vector<std::string> except);
  // A command by hand, over a connection that is kept for that node; callers take turns.
  Task<Result<RespValue>> call(Endpoint node, Bytes command, Millis limit);
  // The same in another database, which stays selected for nothing else. An error reply to SELECT
  // is the answer: nothing was carried out.
  Task<Result<RespValue>> call_in(Endpoint node, std::int32_t db, Bytes command, Millis limit);
  // A node of a cluster that lacks this database, or a lower one, is not spoken to from now on.
  void require_database(std::int32_t db) { highest_db_ = std::max(highest_db_, db); }
  std::int32_t highest_db() const { return highest_db_; }
  // Sends `wire` and steps over `replies` replies; the result is the first error among them, empty
  // for none.
  Task<Result<std::string>> deliver(Endpoint node, Bytes wire, std::uint32_t replies, Millis limit);
  void close();
  // Gives connections to other servers up: of an end whose master Sentinels know.
  void stay_with(const HostPort& master);

 private:
  static Task<Result<RespValue>> call_selected(Connection& connection, std::int32_t db,
                                               Bytes command, Millis limit);
  Task<Result<Connection*>> connection_to(const Endpoint& node);
  Task<void> take_turn();
  void end_turn();
  Task<Error> identify(const Endpoint& node, ServerIdentity& identity);
  Task<Error> read_map(const Endpoint& from);
  Task<Error> learn_commands(const Endpoint& from);

  asio::any_io_executor executor_;
  const EndOptions& options_;
  SlotMap map_;
  ServerIdentity identity_;
  std::map<Endpoint, ServerIdentity> masters_;
  std::map<Endpoint, std::unique_ptr<Connection>> connections_;
  LearntCommands learnt_;
  std::int32_t highest_db_ = 0;
  Signal free_;
  bool busy_ = false;
};

}  // namespace keyferry
