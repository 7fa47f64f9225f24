// What the nodes of a source cluster say about its shards, and what we remember of them: a shard
// keeps its name through failovers and restarts, and a slot its shard until everything that the
// former owner wrote to it is at the target. Pure: text and back; asking is pipeline's.
//
// The table lies in the target, "keyferry:{0}:<link>:shards"; one line for the link, one per shard:
//
//   table = "keyferry1" SP "target=" ("own" / "shared") SP "doubtful=" ranges *(LF shard)
//   shard = name SP "nodes=" id *("," id) SP "slots=" ranges SP "touched=" ranges
//   range = number ["-" number]
//
// doubtful: the order in which shards wrote to them is not known; copied anew from their owner
// before the link is equal. slots: the shard is their owner. touched: it has written to them while
// another one was.
#pragma once

#include <bitset>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/cluster/slot_map.hpp"

namespace keyferry {

using ShardSlots = std::bitset<slot_count>;

// A master that is not known to have failed, or that still has slots; and its replicas.
struct ClusterShard {
  std::string id;  // of the master
  Endpoint master;
  bool is_down = false;            // the cluster has given the master up, and nobody took its place
  std::vector<std::string> nodes;  // ids, the master's first
  std::vector<Endpoint> replicas;  // not known to have failed
  ShardSlots slots;
  // Those between two masters, in either direction: each node tells only of its own.
  ShardSlots moving;
};

struct ClusterView {
  std::vector<ClusterShard> shards;
  // The highest of any node with slots: a view with a lower one is outdated. Whoever takes slots
  // takes a new epoch; a node without any may have a high one and lose it when it becomes a
  // replica.
  std::uint64_t epoch = 0;
};

// A reply to CLUSTER NODES. `asked`: the address of the node that answered, for the one that does
// not know its own. Errc::corrupt names what is malformed. Source: "CLUSTER NODES" of the Redis
// documentation; Redis 4.0 to 7.0.
Result<ClusterView> parse_cluster_nodes(ByteView text, const std::string& asked);

class ShardTable {
 public:
  struct Entry {
    std::string name;  // of the shard in records; from its first master's id
    std::vector<std::string> nodes;
    ShardSlots slots;
    ShardSlots touched;
  };

  // The target held nothing when the link began.
  bool owns_target = false;
  ShardSlots doubtful;

  const std::vector<Entry>& entries() const { return entries_; }
  // Which of them `seen` is.
  std::optional<std::size_t> find(const ClusterShard& seen) const;
  // The shard of the table that `seen` is; a new one when it is none. Slots nobody had become its
  // own. Whether the table has changed is added to `changed`.
  std::size_t adopt(const ClusterShard& seen, bool& changed);

  // Slots that others have written to as well.
  ShardSlots contested(std::size_t shard) const;
  // All shards but this one that own or have touched any of `slots`.
  std::vector<std::size_t> others(std::size_t shard, const ShardSlots& slots) const;
  // The shard writes to slots that it does not own. False when that was known.
  bool touch(std::size_t shard, const ShardSlots& slots);
  // Everything that others wrote to `slots` is at the target: they are this shard's alone.
  void give(std::size_t shard, const ShardSlots& slots);

 private:
  friend Result<ShardTable> parse_shard_table(ByteView text);

  std::vector<Entry> entries_;
};

void append_shard_table(Bytes& out, const ShardTable& table);
// Errc::corrupt for anything else, a later major version included.
Result<ShardTable> parse_shard_table(ByteView text);

}  // namespace keyferry
