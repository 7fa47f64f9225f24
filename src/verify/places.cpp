#include "keyferry/verify/places.hpp"

#include <limits>

#include "keyferry/command/keys.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {

Task<Error> KeyPlaces::refresh() {
  std::vector<HostPort> seeds = hosts_;
  if (seeds.empty()) seeds = options_.uri.hosts;
  if (seeds.empty()) seeds.emplace_back();  // a unix socket
  if (!options_.uri.sentinel_master.empty()) seeds.resize(1);
  Error error;
  for (const HostPort& seed : seeds) {
    error = co_await ask(seed);
    if (!error || error.is(Errc::usage)) break;
  }
  co_return error;
}

Task<Error> KeyPlaces::ask(HostPort seed) {
  const Millis limit(options_.reply_timeout_ms);
  Connection connection(executor_);
  Error error = co_await connection.open(options_, seed, "verify");
  if (error) co_return error;
  Bytes command = make_command({"INFO", "cluster"});
  auto info = co_await connection.call(std::move(command), limit);
  if (!info) co_return info.error();
  if (info->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + info->text);
  const bool is_cluster =
      info_field(info->text, "cluster_enabled") == "1" && options_.topology != Topology::standalone;
  if (!is_cluster) {
    hosts_.assign(1, seed);
    is_cluster_ = false;
    ++version_;
    co_return Error();
  }
  command = make_command({"CLUSTER", "SLOTS"});
  auto slots = co_await connection.call(std::move(command), limit);
  if (!slots) co_return slots.error();
  auto map = parse_cluster_slots(*slots, connection.stream().remote_address());
  if (!map) co_return map.error();
  map_ = std::move(*map);
  is_cluster_ = true;
  hosts_.clear();
  for (const Endpoint& master : map_.masters()) {
    HostPort& host = hosts_.emplace_back();
    host.host = master.host;
    host.port = master.port;
  }
  ++version_;
  co_return Error();
}

std::size_t KeyPlaces::node_of(ByteView key) const {
  if (!is_cluster_) return 0;
  const std::uint16_t owner = map_.owner_of(slot_of(key));
  return owner == SlotMap::no_owner ? std::numeric_limits<std::size_t>::max() : owner;
}

}  // namespace keyferry
