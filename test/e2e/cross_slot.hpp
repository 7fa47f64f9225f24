// A seeded stream of commands over several slots, of every kind that reaches a replica, mixed with
// ordinary ones on the same few keys. Applied to a standalone source it is the model: whatever a
// cluster target makes of it must end equal.
#pragma once

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/server.hpp"

namespace keyferry::test {

class CrossSlotCommands {
 public:
  // Few keys: most commands meet what another one has just written.
  explicit CrossSlotCommands(unsigned seed, int keys = 8, int databases = 1)
      : random_(seed), keys_(keys), databases_(databases) {}

  // None that looks for keys by a pattern.
  CrossSlotCommands without_patterns() const {
    CrossSlotCommands out = *this;
    out.has_patterns_ = false;
    return out;
  }

  // One command, or MULTI ... EXEC.
  std::vector<Args> next() {
    if (databases_ > 1 && random_() % 8 == 0) return {between_databases()};
    if (random_() % 50 != 0) return {one()};
    std::vector<Args> group = {{"MULTI"}};
    for (std::size_t i = 0, count = 1 + random_() % 4; i < count; ++i)
      group.push_back(one());
    group.push_back({"EXEC"});
    return group;
  }

 private:
  static constexpr const char* kinds[] = {
      "str:", "list:", "set:", "zset:", "hash:", "hll:", "geo:"};

  std::string any(std::initializer_list<const char*> words) {
    return *(words.begin() + random_() % words.size());
  }
  std::string key(const std::string& kind) {
    return kind + std::to_string(random_() % static_cast<unsigned>(keys_));
  }
  std::string number(unsigned below) { return std::to_string(random_() % below); }

  std::string database() { return number(static_cast<unsigned>(databases_)); }

  Args between_databases() {
    const std::string kind = kinds[random_() % std::size(kinds)];
    switch (random_() % 3) {
      case 0:
        return {"SELECT", database()};
      case 1:
        return {"MOVE", key(kind), database()};
      default:
        return {"COPY", key(kind), key(kind), "DB", database(), "REPLACE"};
    }
  }

  Args one() {
    switch (random_() % 8) {
      case 0:
      case 1:
        return moved(kinds[random_() % std::size(kinds)]);
      case 2:
        return string_command();
      case 3:
        return list_command();
      case 4:
        return set_command();
      case 5:
        return zset_command();
      case 6:
        return geo_or_hll_command();
      default:
        return hash_command();
    }
  }

  Args moved(const std::string& kind) {
    const std::string a = key(kind);
    const std::string b = key(kind);
    switch (random_() % 10) {
      case 0:
      case 1:
      case 2:
        return {"RENAME", a, b};
      case 3:
        return {"RENAMENX", a, b};
      case 4:
      case 5:
        return {"COPY", a, b, "REPLACE"};
      case 6:
        return {any({"DEL", "UNLINK"}), a, b, key(kind)};
      case 7:
        return {"PEXPIRE", a, std::to_string(1000000 + random_() % 1000)};
      case 8:
        return {"PERSIST", a};
      default:
        return {"TOUCH", a, b};
    }
  }

  Args string_command() {
    const std::string a = key("str:");
    const std::string b = key("str:");
    switch (random_() % 9) {
      case 0:
        return {"MSET", a, number(1000), b, number(1000)};
      case 1:
        return {"MSETNX", a, number(1000), b, number(1000)};
      case 2:
        return {"BITOP", any({"AND", "OR", "XOR"}), a, b, key("str:")};
      case 3:
        return {"SET", a, number(1000), "PX", "3000000"};
      case 4:
        return {"SETBIT", a, number(64), number(2)};
      case 5:
        return {"SETRANGE", a, number(9), number(1000)};
      case 6:
        return {"APPEND", a, number(10)};
      case 7:
        return {"SET", a, number(1000)};
      default:
        return {"INCR", a};
    }
  }

  Args list_command() {
    const std::string a = key("list:");
    const std::string b = key("list:");
    switch (random_() % 10) {
      case 0:
        return {"LMOVE", a, b, any({"LEFT", "RIGHT"}), any({"LEFT", "RIGHT"})};
      case 1:
        return {"RPOPLPUSH", a, b};
      case 2:
        return {"BLMOVE", a, b, "LEFT", "RIGHT", "0.001"};
      case 3:
        return {"SORT", a, "ALPHA", "STORE", b};
      case 4:
        if (!has_patterns_) return {"SORT", a, "BY", "nosort", "STORE", b};
        return {"SORT", a, "BY", "str:*", "ALPHA", "GET", "#", "STORE", b};
      case 5:
        return {"LMPOP", "2", a, b, "LEFT", "COUNT", "2"};
      case 6:
        return {"LTRIM", a, "0", "30"};
      case 7:
        return {"LPOP", a};
      default:
        return {any({"LPUSH", "RPUSH"}), a, number(100), number(100)};
    }
  }

  Args set_command() {
    const std::string a = key("set:");
    const std::string b = key("set:");
    switch (random_() % 8) {
      case 0:
      case 1:
        return {"SMOVE", a, b, number(20)};
      case 2:
        return {any({"SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"}), a, b, key("set:")};
      case 3:
        return {"SREM", a, number(20)};
      case 4:
        return {"SPOP", a};
      default:
        return {"SADD", a, number(20), number(20), number(20)};
    }
  }

  Args zset_command() {
    const std::string a = key("zset:");
    const std::string b = key("zset:");
    switch (random_() % 9) {
      case 0:
        return {any({"ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"}), a, "2", b, key("zset:")};
      case 1:
        return {"ZUNIONSTORE", a, "2", b, key("set:"), "WEIGHTS", "2", "3"};
      case 2:
        return {"ZRANGESTORE", a, b, "0", number(10)};
      case 3:
        return {"ZMPOP", "2", a, b, "MIN"};
      case 4:
        return {"ZREM", a, number(20)};
      case 5:
        return {"ZINCRBY", a, number(9), number(20)};
      case 6:
        return {"ZREMRANGEBYRANK", a, "20", "-1"};
      default:
        return {"ZADD", a, number(100), number(20), number(100), number(20)};
    }
  }

  Args geo_or_hll_command() {
    const std::string a = key("geo:");
    switch (random_() % 6) {
      case 0:
        return {"GEOSEARCHSTORE", a,     key("geo:"), "FROMLONLAT", "15", "37",
                "BYRADIUS",       "200", "km"};
      case 1:
        return {"GEORADIUS", key("geo:"), "15", "37", "200", "km", any({"STORE", "STOREDIST"}), a};
      case 2:
        return {"PFMERGE", key("hll:"), key("hll:"), key("hll:")};
      case 3:
        return {"PFADD", key("hll:"), number(1000), number(1000)};
      default:
        return {"GEOADD", a, "1" + number(6), "3" + number(9), number(20)};
    }
  }

  Args hash_command() {
    const std::string a = key("hash:");
    switch (random_() % 4) {
      case 0:
        return {"HINCRBY", a, number(5), "1"};
      case 1:
        return {"HDEL", a, number(5)};
      default:
        return {"HSET", a, number(5), number(100)};
    }
  }

  std::mt19937 random_;
  int keys_;
  int databases_;
  bool has_patterns_ = true;
};

// `count` of them and a few more, in pipelines of 200.
inline void send(RespClient& client, CrossSlotCommands& commands, int count) {
  while (count > 0) {
    int replies = 0;
    for (int i = 0; i < 200; ++i, --count) {
      for (const Args& command : commands.next()) {
        client.append(command);
        ++replies;
      }
    }
    client.flush();
    for (int i = 0; i < replies; ++i)
      client.read();
  }
}

inline void send(const RedisServer& source, CrossSlotCommands& commands, int count) {
  RespClient client = source.client();
  send(client, commands, count);
}

// 200 of them, `pause`, and so on until stopped.
class CrossSlotWriter {
 public:
  CrossSlotWriter(const RedisServer& source, unsigned seed, Millis pause) {
    thread_ = std::thread([this, client = source.client(), seed, pause]() mutable {
      CrossSlotCommands commands(seed);
      while (!stopping_) {
        send(client, commands, 200);
        std::this_thread::sleep_for(pause);
      }
    });
  }
  ~CrossSlotWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace keyferry::test
