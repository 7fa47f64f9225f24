// For tests of `keyferry verify`: keys of every type that nobody writes, and differences put into
// the target behind the link's back, each written down.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "e2e/link.hpp"
#include "support/keyspace.hpp"

namespace keyferry::test {

// Key -> kind, as the report names it.
using Seeded = std::map<std::string, std::string>;

// Sends commands in pipelines of a bounded length; an error reply is a test failure.
class Sender {
 public:
  explicit Sender(const Endpoint& end) : space_(end, Millis{60000}) {}
  ~Sender() { flush(); }

  void send(Args command) {
    waiting_.push_back(std::move(command));
    if (waiting_.size() == 2000) flush();
  }
  void flush() {
    for (const Reply& reply : space_.pipeline(waiting_))
      EXPECT_FALSE(reply.is_error()) << reply.text;
    waiting_.clear();
  }

 private:
  Keyspace space_;
  std::vector<Args> waiting_;
};

inline const std::vector<std::string>& fixed_types() {
  static const std::vector<std::string> types = {"string", "list", "set", "zset", "hash", "stream"};
  return types;
}

inline std::string fixed_name(std::size_t i) {
  return "fixed:" + fixed_types()[i % fixed_types().size()] + ":" + std::to_string(i);
}

// `length` elements each; some of them expire, in a day.
inline void fill_fixed(const Endpoint& source, std::size_t count, int length = 6) {
  Sender to(source);
  for (std::size_t i = 0; i < count; ++i) {
    const std::string key = fixed_name(i);
    const std::string& type = fixed_types()[i % fixed_types().size()];
    Args command;
    if (type == "string") command = {"SET", key, "value of " + key};
    if (type == "list") command = {"RPUSH", key};
    if (type == "set") command = {"SADD", key};
    if (type == "zset") command = {"ZADD", key};
    if (type == "hash") command = {"HSET", key};
    for (int j = 0; j < length && type != "string" && type != "stream"; ++j) {
      if (type == "zset") command.push_back(std::to_string(j));
      if (type == "hash") command.push_back("f" + std::to_string(j));
      command.push_back("m" + std::to_string(j));
    }
    if (type != "stream") {
      to.send(std::move(command));
    } else {
      for (int j = 1; j <= 3; ++j)
        to.send({"XADD", key, std::to_string(j) + "-1", "f", "v" + std::to_string(j)});
      to.send({"XGROUP", "CREATE", key, "g", "0"});
      to.send({"XREADGROUP", "GROUP", "g", "c", "COUNT", "2", "STREAMS", key, ">"});
    }
    if (i % 4 == 0) to.send({"PEXPIRE", key, std::to_string(86400000 + i)});
  }
}

// One change of the value of the `i`-th fixed key; `way` chooses which.
inline void change_value(Sender& target, std::size_t i, std::size_t way) {
  const std::string key = fixed_name(i);
  const std::string& type = fixed_types()[i % fixed_types().size()];
  const std::vector<Args> strings = {{"SETRANGE", key, "0", "V"}, {"APPEND", key, "!"}};
  const std::vector<Args> lists = {{"LSET", key, "0", "x"},
                                   {"LSET", key, "-1", "x"},
                                   {"LSET", key, "2", "x"},
                                   {"RPOP", key},
                                   {"LPUSH", key, "x"}};
  const std::vector<Args> sets = {{"SADD", key, "x"}, {"SREM", key, "m3"}};
  const std::vector<Args> zsets = {
      {"ZADD", key, "1.5", "m1"}, {"ZREM", key, "m5"}, {"ZADD", key, "9", "x"}};
  const std::vector<Args> hashes = {
      {"HSET", key, "f0", "x"}, {"HDEL", key, "f5"}, {"HSET", key, "f9", "x"}};
  const std::vector<Args> streams = {{"XGROUP", "SETID", key, "g", "0"},
                                     {"XACK", key, "g", "1-1"},
                                     {"XGROUP", "CREATECONSUMER", key, "g", "other"},
                                     {"XADD", key, "9-1", "f", "v"},
                                     {"XDEL", key, "3-1"},
                                     {"XGROUP", "CREATE", key, "h", "$"},
                                     {"XCLAIM", key, "g", "d", "0", "1-1"}};
  const std::vector<Args>& ways = type == "string" ? strings
                                  : type == "list" ? lists
                                  : type == "set"  ? sets
                                  : type == "zset" ? zsets
                                  : type == "hash" ? hashes
                                                   : streams;
  target.send(ways[way % ways.size()]);
}

// `count` differences, spread over the fixed keys, of every kind.
inline Seeded seed_differences(const Endpoint& target, std::size_t fixed, std::size_t count) {
  Seeded seeded;
  Sender to(target);
  for (std::size_t d = 0; d < count; ++d) {
    const std::size_t i = d * (fixed / count) + d % fixed_types().size();
    const std::string key = fixed_name(i);
    switch (d % 8) {
      case 0:
        to.send({"DEL", key});
        seeded[key] = "missing";
        break;
      case 1:
        to.send({"PEXPIRE", key, "43200000"});
        seeded[key] = "ttl";
        break;
      case 2:
        to.send({"DEL", key});
        if (i % fixed_types().size() == 0) {
          to.send({"RPUSH", key, "value of " + key});
        } else {
          to.send({"SET", key, "m0"});
        }
        seeded[key] = "type";
        break;
      case 3:
        to.send({"SET", "extra:" + std::to_string(d), "v"});
        seeded["extra:" + std::to_string(d)] = "extra";
        break;
      default:
        change_value(to, i, d / 8);
        seeded[key] = "value";
    }
  }
  return seeded;
}

// What `keyferry verify --json` has printed: differences, and the last line.
struct VerifyOutput {
  Seeded found;
  std::string summary;
  bool told_twice = false;
};
inline VerifyOutput read_verify(const std::string& output) {
  VerifyOutput out;
  std::size_t begin = 0;
  while (begin < output.size()) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    begin = end + 1;
    if (line.rfind("{\"attempt\"", 0) == 0) out.summary = line;
    if (line.rfind("{\"kind\"", 0) != 0) continue;
    out.told_twice = !out.found.emplace(json_field(line, "key"), json_field(line, "kind")).second ||
                     out.told_twice;
  }
  return out;
}

// What one of them has and the other has not.
inline std::string unlike(const Seeded& seeded, const Seeded& found) {
  std::string out;
  for (const auto& [key, kind] : seeded) {
    const auto at = found.find(key);
    if (at == found.end()) out += "not found: " + kind + " " + key + "\n";
    if (at != found.end() && at->second != kind)
      out += key + ": " + at->second + " instead of " + kind + "\n";
  }
  for (const auto& [key, kind] : found) {
    if (!seeded.contains(key)) out += "no difference: " + kind + " " + key + "\n";
  }
  return out.substr(0, 4000);
}

// Runs `keyferry verify` to its end.
struct Verified {
  int code = -1;
  std::string output;
  ProcessUsage usage;
};
inline Verified verify(const std::string& source, const std::string& target,
                       std::vector<std::string> more = {}, Millis limit = Millis{120000}) {
  Keyferry program(KEYFERRY_BINARY);
  std::vector<std::string> args = {"verify", "--source", source, "--target", target};
  args.insert(args.end(), more.begin(), more.end());
  program.start(args);
  Verified out;
  out.code = program.wait_exit(limit).value_or(-1);
  out.output = program.output();
  out.usage = program.usage();
  return out;
}

}  // namespace keyferry::test
