// For tests of filter, mapping and script: what a data set looks like when a rule written down in
// the test, not in the product, has been applied to it.
#pragma once

#include <functional>
#include <optional>

#include "e2e/start.hpp"
#include "support/cluster.hpp"

namespace keyferry::test {

struct Place {
  int db = 0;
  std::string key;
  std::string expire_ms;  // absolute; "0" = never
};

// Where a key goes to; it comes with its own place. nullopt: nowhere.
using Rule = std::function<std::optional<Place>(Place own, const std::string& type)>;

inline Rule only(std::function<bool(const Place& own, const std::string& type)> wanted) {
  return [wanted](Place own, const std::string& type) {
    return wanted(own, type) ? std::optional(own) : std::nullopt;
  };
}

// Copies the source as the rule says. Returns how many keys have a place.
inline std::size_t project(const RedisServer& source, const RedisServer& expected,
                           const Rule& rule) {
  RespClient from = source.client();
  RespClient to = expected.client();
  to.must({"FLUSHALL"});
  const Reply functions = from.command({"FUNCTION", "DUMP"});
  if (!functions.is_error()) to.must({"FUNCTION", "RESTORE", functions.text, "FLUSH"});
  std::size_t count = 0;
  for (int db = 0; db < 16; ++db) {
    from.must({"SELECT", std::to_string(db)});
    for (const Reply& key : from.must({"KEYS", "*"}).items) {
      const std::string type = from.must({"TYPE", key.text}).text;
      const Reply payload = from.must({"DUMP", key.text});
      const auto expire = from.must({"PEXPIRETIME", key.text}).integer;
      if (payload.is_nil()) continue;
      const auto place =
          rule({db, key.text, expire > 0 ? std::to_string(expire) : std::string("0")}, type);
      if (!place) continue;
      ++count;
      to.must({"SELECT", std::to_string(place->db)});
      to.must({"RESTORE", place->key, place->expire_ms, payload.text, "REPLACE", "ABSTTL"});
    }
  }
  return count;
}

}  // namespace keyferry::test
