// What tests of several sources into one target share: the list, the start, and what the target is
// to hold in the end.
#pragma once

#include "e2e/start.hpp"

namespace keyferry::test {

struct Entry {
  std::string uri;
  std::string name;
  std::string prefix;
};

inline std::string entry_text(const Entry& entry) {
  std::string out = "  - uri: " + entry.uri + "\n";
  if (!entry.name.empty()) out += "    name: " + entry.name + "\n";
  if (!entry.prefix.empty())
    out += "    transform: {key_prefix: {add: \"" + entry.prefix + "\"}}\n";
  return out;
}

// `keyferry COMMAND` with a file that lists the sources.
inline void start_several(Keyferry& link, const std::vector<Entry>& sources,
                          const std::string& target, const std::vector<std::string>& settings = {},
                          const std::string& command = "run") {
  std::string text = "sources:\n";
  for (const Entry& entry : sources)
    text += entry_text(entry);
  text += "target: {uri: '" + target + "'}\ndelivery: {lease_s: 1}\n";
  write_file(link.directory().file("several.yaml"), text);
  std::vector<std::string> args = {command, "--config", link.directory().file("several.yaml"),
                                   "--http", "127.0.0.1:" + std::to_string(link.http_port())};
  const std::string listen = "admin.resp_listen=127.0.0.1:" + std::to_string(link.resp_port());
  for (const std::string& setting :
       with_settings(settings, {"--set", listen, "--set", "spool.dir=" + link.spool_dir()}))
    args.push_back(setting);
  link.start(args);
}

// What the target is to hold of a source: copied by hand, under the names it gets.
inline void add_to(RedisServer& whole, const RedisServer& source, const std::string& prefix) {
  RespClient from = source.client();
  RespClient to = whole.client();
  std::string cursor = "0";
  do {
    const Reply page = from.must({"SCAN", cursor, "COUNT", "1000"});
    cursor = page.items[0].text;
    for (const Reply& key : page.items[1].items) {
      const Reply expiry = from.must({"PEXPIRETIME", key.text});
      const Reply value = from.must({"DUMP", key.text});
      if (value.is_nil()) continue;
      const std::int64_t at = expiry.integer > 0 ? expiry.integer : 0;
      to.must({"RESTORE", prefix + key.text, std::to_string(at), value.text, "ABSTTL", "REPLACE"});
    }
  } while (cursor != "0");
}

// Of sources, each under its prefix, the target holds all, and nothing else.
inline void expect_sum(const RedisServer& target, Keyferry& link,
                       const std::vector<std::pair<const RedisServer*, std::string>>& sources) {
  RedisServer whole;
  for (const auto& [source, prefix] : sources)
    add_to(whole, *source, prefix);
  EXPECT_EQ(describe(compare(whole, target)), "") << link.output();
}

inline RedisServer followed_source(std::vector<std::string> more = {}) {
  std::vector<std::string> args = {"--repl-backlog-size", "64mb", "--repl-diskless-sync-delay",
                                   "0"};
  args.insert(args.end(), more.begin(), more.end());
  return source_server(args);
}

}  // namespace keyferry::test
