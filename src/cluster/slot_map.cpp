#include "keyferry/cluster/slot_map.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

using Kind = RespValue::Kind;

Error malformed(std::string_view command, std::string_view what) {
  return Error(Errc::corrupt, fmt::format("{}: {}", command, what));
}

// The error of a reply that is not the array a parser expects.
Error not_an_array(std::string_view command, const RespValue& reply) {
  if (reply.is_error()) return malformed(command, escaped(reply.text));
  return malformed(command, "the reply is no array");
}

// An integer from 0 to `most`; some proxies and old releases print numbers as strings.
std::optional<std::int64_t> number(const RespValue& value, std::int64_t most) {
  std::int64_t n = value.integer;
  if (value.is_string()) {
    if (!read_number(value.text, n)) return std::nullopt;
  } else if (value.kind != Kind::integer) {
    return std::nullopt;
  }
  return n >= 0 && n <= most ? std::optional(n) : std::nullopt;
}

std::optional<std::uint16_t> port_of(const RespValue& value) {
  const auto port = number(value, 65535);
  return port && *port > 0 ? std::optional(static_cast<std::uint16_t>(*port)) : std::nullopt;
}

// Field `name` of a flat map [name, value, ...], or nullptr.
const RespValue* field(const RespValue& map, ByteView name) {
  for (std::size_t i = 0; i + 1 < map.items.size(); i += 2) {
    if (map.items[i].text == name) return &map.items[i + 1];
  }
  return nullptr;
}

// Where clients are told to go. Null or empty: the address they asked
// (cluster-preferred-endpoint-type unknown-endpoint, or a node that does not know its address yet).
// "?": a host name that was never announced, then the ip, which SLOTS has among its metadata and
// SHARDS in a field. Redis 7.0.15; test/data/cluster/*_hostname.
std::string host_of(const RespValue* endpoint, const RespValue* ip, const std::string& asked) {
  if (endpoint != nullptr && endpoint->is_string() && !endpoint->text.empty()) {
    if (endpoint->text != "?") return endpoint->text;
    if (ip != nullptr && ip->is_string() && !ip->text.empty()) return ip->text;
  }
  return asked;
}

struct SlotRange {
  Slot first = 0;
  Slot last = 0;
};
std::optional<SlotRange> slot_range(const RespValue& first_value, const RespValue& last_value) {
  const auto first = number(first_value, slot_count - 1);
  const auto last = number(last_value, slot_count - 1);
  if (!first || !last || *first > *last) return std::nullopt;
  return SlotRange{static_cast<Slot>(*first), static_cast<Slot>(*last)};
}

// A node of CLUSTER SHARDS as an endpoint; nullopt when its port is missing or no port.
std::optional<Endpoint> shard_node(const RespValue& node, const std::string& asked, bool tls) {
  const RespValue* port_value = field(node, tls ? "tls-port" : "port");
  if (port_value == nullptr) port_value = field(node, tls ? "port" : "tls-port");
  if (port_value == nullptr) return std::nullopt;
  const auto port = port_of(*port_value);
  if (!port) return std::nullopt;
  return Endpoint{host_of(field(node, "endpoint"), field(node, "ip"), asked), *port};
}

bool has_text(const RespValue* value, ByteView text) {
  return value != nullptr && value->is_string() && value->text == text;
}

// Adds one shard; an error text, empty when it is well-formed.
std::string_view add_shard(const RespValue& shard, const std::string& asked, bool tls,
                           SlotMap& map) {
  const RespValue* slots = field(shard, "slots");
  const RespValue* nodes = field(shard, "nodes");
  if (slots == nullptr || nodes == nullptr || !slots->is_array() || !nodes->is_array()) {
    return "a shard without slots or nodes";
  }
  if (slots->items.size() % 2 != 0) return "an odd number of slot bounds";

  std::optional<Endpoint> master;
  for (const RespValue& node : nodes->items) {
    if (!has_text(field(node, "role"), "master")) continue;
    if (!has_text(field(node, "health"), "online")) continue;
    master = shard_node(node, asked, tls);
    if (!master) return "a master without a port";
  }
  for (std::size_t i = 0; i < slots->items.size(); i += 2) {
    const auto range = slot_range(slots->items[i], slots->items[i + 1]);
    if (!range) return "a slot range that is none";
    if (master) map.assign(range->first, range->last, *master);
  }
  return {};
}

}  // namespace

std::string to_string(const Endpoint& endpoint) {
  const bool is_ipv6 = endpoint.host.find(':') != std::string::npos;
  return is_ipv6 ? fmt::format("[{}]:{}", endpoint.host, endpoint.port)
                 : fmt::format("{}:{}", endpoint.host, endpoint.port);
}

std::array<std::uint16_t, slot_count> SlotMap::filled() {
  std::array<std::uint16_t, slot_count> owners{};
  owners.fill(no_owner);
  return owners;
}

std::size_t SlotMap::covered_slots() const {
  return slot_count - static_cast<std::size_t>(std::count(owner_.begin(), owner_.end(), no_owner));
}

void SlotMap::assign(Slot first, Slot last, const Endpoint& master) {
  // Ports first: masters of a test or of one machine share their host.
  const auto at = std::find_if(masters_.begin(), masters_.end(), [&](const Endpoint& known) {
    return known.port == master.port && known.host == master.host;
  });
  const auto index = static_cast<std::uint16_t>(at - masters_.begin());
  if (at == masters_.end()) masters_.push_back(master);
  for (std::size_t slot = first; slot <= last && slot < slot_count; ++slot)
    owner_[slot] = index;
}

Result<SlotMap> parse_cluster_slots(const RespValue& reply, const std::string& asked) {
  constexpr std::string_view command = "CLUSTER SLOTS";
  if (!reply.is_array()) return not_an_array(command, reply);
  SlotMap map;
  for (const RespValue& item : reply.items) {
    // [first, last, [host, port, id, [metadata]], replicas...]; id since Redis 4.0, metadata
    // since 7.0.
    if (item.items.size() < 3 || item.items[2].items.size() < 2) {
      return malformed(command, "a range without a master");
    }
    const auto range = slot_range(item.items[0], item.items[1]);
    if (!range) return malformed(command, "a slot range that is none");
    const std::vector<RespValue>& node = item.items[2].items;
    const auto port = port_of(node[1]);
    if (!port) return malformed(command, "a master without a port");
    const RespValue* ip = node.size() > 3 ? field(node[3], "ip") : nullptr;
    map.assign(range->first, range->last, Endpoint{host_of(&node[0], ip, asked), *port});
  }
  return map;
}

Result<SlotMap> parse_cluster_shards(const RespValue& reply, const std::string& asked, bool tls) {
  constexpr std::string_view command = "CLUSTER SHARDS";
  if (!reply.is_array()) return not_an_array(command, reply);
  SlotMap map;
  for (const RespValue& shard : reply.items) {
    const std::string_view problem = add_shard(shard, asked, tls, map);
    if (!problem.empty()) return malformed(command, problem);
  }
  return map;
}

}  // namespace keyferry
