// The INFO text of the RESP listener: we look like a replica that no Sentinel and no FAILOVER would
// choose. Field names are Redis' own, so that redis_exporter and redis-cli understand them. Pure.
#pragma once

#include <cstdint>
#include <string>

#include "keyferry/base/bytes.hpp"
#include "keyferry/pipeline/status.hpp"

namespace keyferry {

// Who answers: fixed for the life of the process.
struct RespIdentity {
  RespIdentity();
  std::string run_id;  // 40 hex digits, new in each process, as a server's
  std::uint16_t port = 0;
};

// Of the master that the link is connected to, or that it was given ("[::1]:6379" without the
// brackets).
struct SourceAddress {
  std::string host;
  std::string port;
};
SourceAddress source_address(const Status& status);

// One section (server, clients, memory, stats, replication, keyferry; any case) or all of them for
// "", all, everything and default. Empty for a section we do not have.
std::string info_text(ByteView section, const Status& status, const RespIdentity& identity);

}  // namespace keyferry
