#include "support/cluster.hpp"

#include <algorithm>
#include <map>
#include <sstream>
#include <stdexcept>

namespace keyferry::test {

namespace {

constexpr int slot_count = 16384;

// The config epoch that `node` knows of the node `id`; "" while it does not know that.
std::string config_epoch(const RedisServer& node, const std::string& id) {
  std::istringstream lines(node.command({"CLUSTER", "NODES"}).text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    // id address flags master ping-sent pong-recv config-epoch ...
    std::vector<std::string> field(7);
    for (std::string& text : field)
      fields >> text;
    if (field[0] == id) return field[6];
  }
  return "";
}

}  // namespace

RedisCluster::RedisCluster(ClusterOptions options) {
  std::vector<std::string> args = {"--cluster-enabled", "yes", "--cluster-node-timeout", "2000"};
  args.insert(args.end(), options.server.args.begin(), options.server.args.end());
  options.server.args = args;
  for (std::size_t i = 0; i < options.masters + options.replicas; ++i) {
    nodes_.push_back(std::make_unique<RedisServer>(options.server));
    ids_.push_back(nodes_.back()->command({"CLUSTER", "MYID"}).text);
  }
  form(options.masters);
  wait_ok();
  if (options.replicas > 0) add_replicas(options.masters);
}

void RedisCluster::form(std::size_t masters) {
  for (std::size_t i = 0; i < masters; ++i)
    deal_slots(i, masters);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    // Refused once nodes have met.
    nodes_[i]->command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    RespClient connection = nodes_[i]->client();
    // Everyone meets everyone: waiting for gossip to spread the word takes seconds.
    for (std::size_t other = i + 1; other < nodes_.size(); ++other) {
      connection.must({"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes_[other]->port())});
    }
  }
}

void RedisCluster::deal_slots(std::size_t master, std::size_t masters) {
  // Rounded, as redis-cli --cluster create does.
  const auto bound = [masters](std::size_t i) {
    const auto slots = static_cast<std::size_t>(slot_count);
    return static_cast<int>((2 * slots * i + masters) / (2 * masters));
  };
  // ADDSLOTS takes single slots and exists everywhere; ADDSLOTSRANGE only from Redis 7.0.
  Args add = {"CLUSTER", "ADDSLOTS"};
  for (int slot = bound(master); slot < bound(master + 1); ++slot)
    add.push_back(std::to_string(slot));
  nodes_[master]->command(add);
}

void RedisCluster::add_replicas(std::size_t masters) {
  for (std::size_t i = masters; i < nodes_.size(); ++i) {
    nodes_[i]->command({"CLUSTER", "REPLICATE", ids_[(i - masters) % masters]});
  }
  for (std::size_t i = masters; i < nodes_.size(); ++i) {
    if (!wait_for(Millis{20000}, [&] { return nodes_[i]->info("master_link_status") == "up"; })) {
      throw std::runtime_error("replica does not follow:\n" + nodes_[i]->log());
    }
  }
  wait_ok();
}

bool RedisCluster::everyone_ok() {
  return std::all_of(nodes_.begin(), nodes_.end(), [this](const auto& node) {
    if (!node->process().is_running()) return true;
    const std::string info = "\n" + node->command({"CLUSTER", "INFO"}).text;
    return info_field(info, "cluster_state") == "ok" &&
           info_field(info, "cluster_known_nodes") == std::to_string(nodes_.size());
  });
}

void RedisCluster::wait_ok(Millis limit) {
  if (wait_for(limit, [this] { return everyone_ok(); })) return;
  throw std::runtime_error("cluster is not ok:\n" + nodes_[0]->command({"CLUSTER", "NODES"}).text);
}

std::size_t RedisCluster::owner(int slot) const {
  const Reply slots = nodes_[0]->command({"CLUSTER", "SLOTS"});
  for (const Reply& range : slots.items) {
    if (slot < range.items.at(0).integer || slot > range.items.at(1).integer) continue;
    const std::string& id = range.items.at(2).items.at(2).text;
    return static_cast<std::size_t>(std::find(ids_.begin(), ids_.end(), id) - ids_.begin());
  }
  throw std::runtime_error("nobody owns slot " + std::to_string(slot));
}

void RedisCluster::move_slot(int slot, std::size_t to) {
  if (owner(slot) == to) return;
  begin_move(slot, to);
  while (migrate_keys(slot, to) > 0) {
  }
  finish_move(slot, to);
}

void RedisCluster::begin_move(int slot, std::size_t to) {
  const std::size_t from = owner(slot);
  const std::string number = std::to_string(slot);
  nodes_[to]->command({"CLUSTER", "SETSLOT", number, "IMPORTING", ids_[from]});
  nodes_[from]->command({"CLUSTER", "SETSLOT", number, "MIGRATING", ids_[to]});
}

std::size_t RedisCluster::migrate_keys(int slot, std::size_t to, std::size_t count) {
  RespClient from = nodes_[owner(slot)]->client();
  std::istringstream lines(from.must({"INFO", "keyspace"}).text);
  std::size_t moved = 0;
  for (std::string line; std::getline(lines, line) && moved < count;) {
    if (line.rfind("db", 0) != 0) continue;
    const std::string db = std::to_string(std::atoi(line.c_str() + 2));
    from.must({"SELECT", db});
    const Reply keys = from.must(
        {"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), std::to_string(count - moved)});
    if (keys.items.empty()) continue;
    Args migrate = {"MIGRATE", "127.0.0.1", std::to_string(nodes_[to]->port()), "", db,
                    "10000",   "KEYS"};
    for (const Reply& key : keys.items)
      migrate.push_back(key.text);
    from.must(migrate);
    moved += keys.items.size();
  }
  return moved;
}

void RedisCluster::finish_move(int slot, std::size_t to) {
  const std::size_t from = owner(slot);
  const Args done = {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", ids_[to]};
  // The new owner first: if the old one forgot the slot earlier, nobody would own it for a moment.
  nodes_[to]->command(done);
  nodes_[from]->command(done);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    // Replicas refuse SETSLOT and learn it by gossip.
    if (i != to && i != from && nodes_[i]->process().is_running())
      nodes_[i]->client().command(done);
  }
  // A node that does not know the owner's new epoch yet believes the next old claim that it hears,
  // and whoever is told that the slot was taken from him drops its keys.
  const auto known = [this, to] {
    const std::string epoch = config_epoch(*nodes_[to], ids_[to]);
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
      return !node->process().is_running() || config_epoch(*node, ids_[to]) == epoch;
    });
  };
  if (!wait_for(Millis{10000}, known))
    throw std::runtime_error("not everyone knows of the move:\n" + nodes_[to]->log());
}

}  // namespace keyferry::test
