#include "keyferry/config/uri.hpp"

#include <array>
#include <optional>

#include <fmt/format.h>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr std::string_view accepted_forms =
    "write redis://[user:password@]host:port (rediss:// for TLS), "
    "redis-sentinel://host:port/master-name, unix:///path, file:///path or host:port";

constexpr std::string_view standard_input = "-";
constexpr std::uint16_t sentinel_port = 26379;
constexpr std::size_t max_master_name_bytes = 255;

// sun_path of Linux' struct sockaddr_un holds 108 bytes, the last one a zero (man 7 unix).
constexpr std::size_t max_socket_path_bytes = 107;

Error usage(std::string text) {
  return {Errc::usage, std::move(text)};
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c)) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// Whole text as a decimal number of at most `max`.
std::optional<int> parse_number(std::string_view text, int max) {
  int value = 0;
  if (!read_number(text, value) || text[0] == '-' || value > max) return std::nullopt;
  return value;
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  for (const char c : host) {
    if (!is_unreserved(c)) return false;
  }
  return true;
}

bool is_ipv6_text(std::string_view host) {
  if (host.find(':') == std::string_view::npos || host.size() > 64) return false;
  for (const char c : host) {
    if (!is_unreserved(c) && c != ':' && c != '%') return false;  // %: a zone, fe80::1%eth0
  }
  return true;
}

struct HostText {
  std::string_view host;
  std::optional<std::string_view> port;
};

// [v6] or [v6]:port.
Result<HostText> split_bracketed(std::string_view text) {
  const std::size_t close = text.find(']');
  if (close == std::string_view::npos) return usage("']' is missing after an IPv6 address");
  HostText out;
  out.host = text.substr(1, close - 1);
  if (!is_ipv6_text(out.host)) return usage("the brackets do not hold an IPv6 address");
  const std::string_view rest = text.substr(close + 1);
  if (rest.empty()) return out;
  if (rest[0] != ':') return usage("only ':port' may follow ']'");
  out.port = rest.substr(1);
  return out;
}

// host or host:port.
Result<HostText> split_plain(std::string_view text) {
  const std::size_t colon = text.find(':');
  HostText out;
  out.host = text.substr(0, colon);
  if (colon != std::string_view::npos) out.port = text.substr(colon + 1);
  if (out.port && out.port->find(':') != std::string_view::npos) {
    return usage("too many ':' (an IPv6 address goes in brackets: [::1]:6379)");
  }
  if (out.host.empty()) return usage("the host is missing");
  if (!is_host_name(out.host)) return usage("the host holds characters that no host name has");
  return out;
}

// Messages name the problem, never the text.
Result<HostPort> parse_host_port(std::string_view text, std::optional<std::uint16_t> default_port,
                                 int lowest_port) {
  const bool bracketed = !text.empty() && text[0] == '[';
  const Result<HostText> parts = bracketed ? split_bracketed(text) : split_plain(text);
  if (!parts) return parts.error();
  HostPort out;
  out.host = parts->host;
  const std::optional<std::string_view> port = parts->port;
  if (!port) {
    if (!default_port) return usage("the port is missing");
    out.port = *default_port;
    return out;
  }
  const std::optional<int> number = parse_number(*port, 65535);
  if (!number || *number < lowest_port) {
    return usage(fmt::format("the port is not a number from {} to 65535", lowest_port));
  }
  out.port = static_cast<std::uint16_t>(*number);
  return out;
}

// Fills user and password from "user[:password]".
Error parse_user_info(std::string_view text, Uri& uri) {
  const std::size_t colon = text.find(':');
  std::optional<std::string> user = percent_decoded(text.substr(0, colon));
  std::optional<std::string> password = std::string();
  if (colon != std::string_view::npos) password = percent_decoded(text.substr(colon + 1));
  if (!user || !password) {
    return usage(
        "the user or password holds a '%' that is not followed by two hex digits (write it as "
        "%25)");
  }
  uri.user = std::move(*user);
  uri.password = std::move(*password);
  return {};
}

Error parse_hosts(std::string_view text, std::uint16_t default_port, Uri& uri) {
  for (;;) {
    const std::size_t comma = text.find(',');
    Result<HostPort> host = parse_host_port(text.substr(0, comma), default_port, 1);
    if (!host) return host.error();
    uri.hosts.push_back(std::move(*host));
    if (comma == std::string_view::npos) return {};
    text.remove_prefix(comma + 1);
  }
}

// Takes "user:password@" off the front. The last '@' ends it: neither hosts nor what follows them
// hold one, passwords might.
Error take_user_info(std::string_view& rest, Uri& uri) {
  const std::size_t at = rest.rfind('@');
  if (at == std::string_view::npos) return {};
  Error error = parse_user_info(rest.substr(0, at), uri);
  rest.remove_prefix(at + 1);
  return error;
}

Error parse_tcp(std::string_view rest, Uri& uri) {
  if (Error error = take_user_info(rest, uri)) return error;
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return usage("nothing may follow the database (found '?' or '#')");
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 < rest.size()) {
    const std::optional<int> db = parse_number(rest.substr(slash + 1), 0x7fffffff);
    if (!db) return usage("the database after '/' is not a number");
    uri.db = *db;
  }
  return parse_hosts(rest.substr(0, slash), HostPort().port, uri);
}

Error parse_tls(std::string_view rest, Uri& uri) {
  uri.tls = true;
  return parse_tcp(rest, uri);
}

Error parse_sentinel(std::string_view rest, Uri& uri) {
  if (Error error = take_user_info(rest, uri)) return error;
  const std::size_t slash = rest.find('/');
  std::string_view name = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
  if (name.empty()) {
    return usage("the master's name is missing: redis-sentinel://host:port/master-name");
  }
  const std::size_t db_slash = name.find('/');
  if (db_slash != std::string_view::npos) {
    const std::optional<int> db = parse_number(name.substr(db_slash + 1), 0x7fffffff);
    if (!db) return usage("the database behind the master's name is not a number");
    uri.db = *db;
    name = name.substr(0, db_slash);
  }
  if (name.empty() || name.size() > max_master_name_bytes || !is_host_name(name)) {
    return usage("the master's name holds characters that no name has");
  }
  uri.sentinel_master = name;
  return parse_hosts(rest.substr(0, slash), sentinel_port, uri);
}

Error parse_sentinel_tls(std::string_view rest, Uri& uri) {
  uri.tls = true;
  return parse_sentinel(rest, uri);
}

Error parse_unix(std::string_view rest, Uri& uri) {
  uri.kind = Uri::Kind::unix_socket;
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos)
    return usage("unix:// needs an absolute path: unix:///run/redis.sock");
  std::string_view user_info = rest.substr(0, slash);
  if (!user_info.empty()) {
    if (user_info.back() != '@') return usage("unix:// takes no host: unix:///run/redis.sock");
    user_info.remove_suffix(1);
    Error error = parse_user_info(user_info, uri);
    if (error) return error;
  }
  std::optional<std::string> path = percent_decoded(rest.substr(slash));
  if (!path || path->find('\0') != std::string::npos)
    return usage("the socket path holds a bad '%' escape");
  if (path->size() < 2) return usage("the socket path is missing: unix:///run/redis.sock");
  if (path->size() > max_socket_path_bytes) {
    return usage(fmt::format("the socket path has more than {} bytes", max_socket_path_bytes));
  }
  uri.path = std::move(*path);
  return {};
}

Error parse_file(std::string_view rest, Uri& uri) {
  uri.kind = Uri::Kind::file;
  if (rest.empty() || rest[0] != '/')
    return usage("file:// takes no host and needs an absolute path: file:///backup/dump.rdb");
  std::optional<std::string> path = percent_decoded(rest);
  if (!path || path->find('\0') != std::string::npos)
    return usage("the file's path holds a '%' that is not followed by two hex digits (%25)");
  uri.path = std::move(*path);
  return {};
}

struct Scheme {
  std::string_view name;
  Error (*parse)(std::string_view rest, Uri& uri);
};
constexpr std::array<Scheme, 10> schemes = {{
    {"redis", parse_tcp},
    {"valkey", parse_tcp},
    {"unix", parse_unix},
    {"rediss", parse_tls},
    {"valkeys", parse_tls},
    {"redis-sentinel", parse_sentinel},
    {"rediss-sentinel", parse_sentinel_tls},
    {"valkey-sentinel", parse_sentinel},
    {"valkeys-sentinel", parse_sentinel_tls},
    {"file", parse_file},
}};

}  // namespace

Result<Uri> parse_uri(std::string_view text) {
  if (text.empty()) return usage(fmt::format("the address is empty; {}", accepted_forms));
  for (const char c : text) {
    if (c >= 0 && c <= ' ') return usage("the address holds a space or a control character");
  }
  Uri uri;
  if (text == standard_input) {
    uri.kind = Uri::Kind::file;
    uri.path = text;
    return uri;
  }
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) {
    if (text.find('@') != std::string_view::npos) {
      return usage("an address with a user or password starts with redis:// or unix://");
    }
    const Error error = parse_tcp(text, uri);
    if (error) return usage(fmt::format("{}; {}", error.what, accepted_forms));
    return uri;
  }
  for (const Scheme& scheme : schemes) {
    if (text.substr(0, colon) != scheme.name) continue;
    Error error = scheme.parse(text.substr(colon + 3), uri);
    if (error) return error;
    return uri;
  }
  return usage(fmt::format("the part before :// is not known; {}", accepted_forms));
}

std::string redacted(const Uri& uri) {
  if (uri.kind == Uri::Kind::file)
    return uri.path == standard_input ? uri.path : "file://" + uri.path;
  std::string user_info;
  if (!uri.password.empty()) {
    user_info = percent_encoded(uri.user) + ":***@";
  } else if (!uri.user.empty()) {
    user_info = "***@";
  }
  if (uri.kind == Uri::Kind::unix_socket) return "unix://" + user_info + uri.path;
  std::string out = uri.tls ? "rediss" : "redis";
  if (!uri.sentinel_master.empty()) out += "-sentinel";
  out += "://" + user_info;
  bool first = true;
  for (const HostPort& host : uri.hosts) {
    const bool v6 = host.host.find(':') != std::string::npos;
    if (!first) out += ',';
    first = false;
    out += v6 ? fmt::format("[{}]:{}", host.host, host.port)
              : fmt::format("{}:{}", host.host, host.port);
  }
  if (!uri.sentinel_master.empty()) out += "/" + uri.sentinel_master;
  if (uri.db != 0) out += fmt::format("/{}", uri.db);
  return out;
}

Result<HostPort> parse_listen(std::string_view text) {
  Result<HostPort> address = parse_host_port(text, std::nullopt, 0);
  if (!address) return usage(address.error().what + " (write HOST:PORT)");
  return address;
}

bool is_loopback(const HostPort& address) {
  if (address.host == "localhost" || address.host == "::1") return true;
  // Only a dotted quad counts: "127.example.com" is a name that may lead anywhere.
  return address.host.rfind("127.", 0) == 0 &&
         address.host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace keyferry
