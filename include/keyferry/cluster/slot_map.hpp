// Which node serves which slot: an immutable value, replaced whole when the cluster says something
// new. Pure.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/command/batch.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {

// "host:port"; host is an IPv4, IPv6 (printed in brackets) or a name.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};
std::string to_string(const Endpoint& endpoint);

class SlotMap {
 public:
  static constexpr std::uint16_t no_owner = 0xffff;

  // Masters that own slots, each once, in the order the server named them (after assign(), one may
  // own none).
  const std::vector<Endpoint>& masters() const { return masters_; }
  // Index into masters(), or no_owner.
  std::uint16_t owner_of(Slot slot) const { return owner_[slot]; }
  std::size_t covered_slots() const;

  // Called by the parsers and tests. A slot that is already owned gets the new owner.
  void assign(Slot first, Slot last, const Endpoint& master);

 private:
  std::vector<Endpoint> masters_;
  std::array<std::uint16_t, slot_count> owner_ = filled();
  static std::array<std::uint16_t, slot_count> filled();
};

// Parse the replies of CLUSTER SLOTS (any version) and CLUSTER SHARDS (Redis >= 7.0, RESP2 flat
// maps; nodes with role "master" and health "online"; a shard without one leaves its slots
// unowned). An empty or null host means "the address you asked": `asked`. SHARDS names both ports
// of a TLS cluster and the one for `tls` is taken; SLOTS names the one that fits the connection.
// Errors: Errc::corrupt naming what is malformed. Source: Redis documentation of both commands;
// Redis 7.0.15.
Result<SlotMap> parse_cluster_slots(const RespValue& reply, const std::string& asked);
Result<SlotMap> parse_cluster_shards(const RespValue& reply, const std::string& asked,
                                     bool tls = false);

}  // namespace keyferry
