// Addresses as users write them (interface "URI"). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "keyferry/base/error.hpp"

namespace keyferry {

struct HostPort {
  std::string host;
  std::uint16_t port = 6379;
  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

struct Uri {
  enum class Kind { tcp, unix_socket, file };
  Kind kind = Kind::tcp;
  std::string user;      // percent-decoded; empty = "default"
  std::string password;  // percent-decoded; never printed
  std::vector<HostPort> hosts;
  std::string path;  // unix socket, file; "-" = standard input
  int db = 0;
  bool tls = false;             // rediss://, valkeys://, rediss-sentinel://
  std::string sentinel_master;  // not empty: `hosts` are Sentinels, which know where it is
};

// redis:// and valkey:// (also a bare host:port), rediss:// and valkeys:// (TLS), unix:///path,
// redis-sentinel://host[,host...]/master-name and its relatives. Missing port: 6379, of a Sentinel
// 26379. IPv6 in brackets. file:///path and "-" (standard input) are files. Errors: Errc::usage;
// their text never repeats any part of an address that holds an '@', so that no password can slip
// into it.
Result<Uri> parse_uri(std::string_view text);

// "redis://user:***@host:port/db": for logs and status. A user without a password is hidden too
// ("***@host"): it is most often a password in the wrong place.
std::string redacted(const Uri& uri);

// HOST:PORT of a listener; IPv6 in brackets, port 0 = any free one. Errors: Errc::usage.
Result<HostPort> parse_listen(std::string_view text);

// 127.0.0.0/8, ::1 or localhost. Names are not resolved.
bool is_loopback(const HostPort& address);

}  // namespace keyferry
