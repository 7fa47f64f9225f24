#include "support/live_writer.hpp"

#include <chrono>
#include <functional>
#include <stdexcept>

namespace keyferry::test {

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* consumers[] = {"ann", "bob", "cy"};

// Makes one step of the mix: a command, or a group that goes out in one piece (MULTI ... EXEC).
class Mix {
 public:
  Mix(const LiveOptions& options, const Keyspace& server)
      : options_(options), data_(options.dataset), server_(server), random_(options.seed) {}

  int pick_database() {
    return static_cast<int>(random_() % static_cast<unsigned>(data_.databases()));
  }

  std::vector<Args> step(int db) {
    const auto databases = static_cast<std::size_t>(data_.databases());
    const auto first = static_cast<std::size_t>(db);
    block_ = first + databases * below((data_.blocks() - first + databases - 1) / databases);
    ++count_;
    switch (below(10)) {
      case 0:
      case 1:
        return {string_command()};
      case 2:
        return {list_command()};
      case 3:
        return {set_command()};
      case 4:
        return {hash_command()};
      case 5:
        return {zset_command()};
      case 6:
        return stream_step();
      case 7:
        return {key_command()};
      case 8:
        return {other_command()};
      default:
        return group_step();
    }
  }

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  std::string number(std::size_t bound) { return std::to_string(below(bound)); }
  std::string text() {
    return below(6) == 0 ? any_bytes(random_, below(60)) : words(random_, below(60));
  }
  std::string any(const char* type, std::size_t per_block = 1) {
    return Dataset::name(block_, type, below(per_block));
  }
  // A second key of the same type: of this block, or of any other in the same database when that is
  // allowed.
  std::string partner(const char* type, std::size_t number) {
    const auto databases = static_cast<std::size_t>(data_.databases());
    std::size_t block = block_;
    if (!data_.options().cluster_safe) block = block_ % databases + databases * below(20);
    return Dataset::name(block, type, number);
  }
  bool has(int version) const { return server_.redis_version() >= version; }
  std::string future_ms() { return std::to_string(3600000 + below(100000000)); }

  Args string_command();
  Args list_command();
  Args set_command();
  Args hash_command();
  Args zset_command();
  Args key_command();
  Args other_command();
  std::vector<Args> stream_step();
  std::vector<Args> reborn_stream(const std::string& key);
  std::vector<Args> group_step();

  const LiveOptions& options_;
  Dataset data_;
  const Keyspace& server_;
  std::mt19937_64 random_;
  std::size_t block_ = 0;
  std::uint64_t count_ = 0;
};

Args Mix::string_command() {
  const std::string key = any("str", 4);
  switch (below(16)) {
    case 0:
      return {"INCR", any("int", 2)};
    case 1:
      return {"DECRBY", any("int", 2), number(100)};
    case 2:
      return {"INCRBYFLOAT", any("float"), "0.25"};
    case 3:
      return {"APPEND", key, words(random_, below(8))};
    case 4:
      return {"SETRANGE", key, number(100), text()};
    case 5:
      return {"SET", key, text(), "PX", future_ms()};
    case 6:
      return {"SETEX", key, "86400", text()};
    case 7:
      return {"SETNX", key, text()};
    case 8:
      return {"GETSET", key, text()};
    case 9:
      return has(602) ? Args{"GETDEL", key} : Args{"DEL", key};
    case 10:
      return has(602) ? Args{"GETEX", key, "PX", future_ms()} : Args{"PERSIST", key};
    case 11:
      return {"MSET", key, text(), partner("str", 0), text()};
    case 12:
      return {"SETBIT", any("bits"), number(20000), number(2)};
    case 13:
      return {"BITFIELD", any("bits"), "INCRBY", "u8", number(1000), "3"};
    case 14:
      return {"BITOP", "XOR", any("bits"), any("bits"), any("bin")};
    default:
      return {"SET", key, text()};
  }
}

Args Mix::list_command() {
  const std::string key = any("list", 2);
  switch (below(12)) {
    case 0:
      return {"LPUSH", key, text(), text()};
    case 1:
      return {"RPUSH", key, text()};
    case 2:
      return {"RPUSHX", key, text()};
    case 3:
      return {"LPOP", key};
    case 4:
      return {"RPOP", key};
    case 5:
      return {"LREM", key, "1", ""};
    case 6:
      return {"LTRIM", key, "0", "300"};
    case 7:
      return {"LINSERT", key, "BEFORE", "", text()};
    case 8:
      return {"RPOPLPUSH", key, partner("list", 1)};
    case 9:
      return has(602) ? Args{"LMOVE", key, partner("list", 0), "LEFT", "RIGHT"} : Args{"LPOP", key};
    case 10:
      return {"SORT", any("iset"), "STORE", Dataset::name(block_, "list", 1)};
    default:
      return {"RPUSH", key, number(1000), text()};
  }
}

Args Mix::set_command() {
  const std::string key = any("set");
  const std::string ints = any("iset");
  switch (below(9)) {
    case 0:
      return {"SADD", key, text(), number(1000)};
    case 1:
      return {"SADD", ints, number(100000)};
    case 2:
      return {"SREM", ints, number(1000)};
    case 3:
      return {"SPOP", key};
    case 4:
      return {"SPOP", ints, "2"};
    case 5:
      return {"SMOVE", key, partner("set", 0), number(1000)};
    case 6:
      return {"SUNIONSTORE", Dataset::name(block_, "set", 1), key, ints};
    case 7:
      return {"SDIFFSTORE", Dataset::name(block_, "set", 2), key, partner("set", 0)};
    default:
      return {"SINTERSTORE", Dataset::name(block_, "set", 3), key, partner("set", 1)};
  }
}

Args Mix::hash_command() {
  const std::string key = any("hash", 2);
  const std::string field = "field:" + number(20);
  switch (below(7)) {
    case 0:
      return {"HSET", key, field, text(), "field:x", text()};
    case 1:
      return {"HSETNX", key, field, text()};
    case 2:
      return {"HINCRBY", key, "counter", number(50)};
    case 3:
      return {"HINCRBYFLOAT", key, "amount", "0.5"};
    case 4:
      return {"HDEL", key, field};
    case 5:
      return {"HMSET", key, field, text()};
    default:
      return {"HSET", key, "f" + number(1000), text()};
  }
}

Args Mix::zset_command() {
  const std::string key = any("zset", 2);
  const std::string member = "member:" + number(30);
  switch (below(11)) {
    case 0:
      return {"ZADD", key, number(1000) + ".5", member};
    case 1:
      return {"ZADD", key, "XX", "CH", number(1000), member};
    case 2:
      return {"ZINCRBY", key, "1.25", "counter"};
    case 3:
      return {"ZREM", key, member};
    case 4:
      return {"ZPOPMIN", key};
    case 5:
      return {"ZPOPMAX", key};
    case 6:
      return {"ZREMRANGEBYRANK", key, "200", "-1"};
    case 7:
      return {"ZREMRANGEBYSCORE", key, "(500", "510"};
    case 8:
      return {"ZUNIONSTORE", Dataset::name(block_, "zset", 2), "2", key, partner("zset", 0)};
    case 9:
      return has(602) ? Args{"ZRANGESTORE", Dataset::name(block_, "zset", 3), key, "0", "10"}
                      : Args{"ZREM", key, member};
    default:
      return {"ZADD", key, "inf", "top"};
  }
}

Args Mix::key_command() {
  static const char* const types[] = {"str", "list", "hash", "zset", "set",
                                      "int", "bits", "hll",  "bin"};
  const std::string key = any(types[below(std::size(types))]);
  switch (below(8)) {
    case 0:
      return {"EXPIRE", key, "7200"};
    case 1:
      return {"PEXPIREAT", key, "33333333333333"};
    case 2:
      return {"PERSIST", key};
    case 3:
      return {"DEL", key};
    case 4:
      return {"UNLINK", key};
    case 5:
      if (!options_.short_lived) return {"PERSIST", key};
      return {"PSETEX", Dataset::name(block_, "short", count_), std::to_string(50 + below(3000)),
              "x"};
    case 6:
      return has(602) ? Args{"COPY", any("str"), partner("str", 3), "REPLACE"}
                      : Args{"PERSIST", key};
    default:
      return {"SET", Dataset::name(block_, "new", count_ % 100000), text()};
  }
}

Args Mix::other_command() {
  switch (below(6)) {
    case 0:
      return {"PFADD", any("hll"), number(100000)};
    case 1:
      return {"PFMERGE", Dataset::name(block_, "hll", 1), any("hll")};
    case 2:
      return {"GEOADD", any("geo"), "13.36", "38.11", "place:" + number(50)};
    case 3:
      return {"GEORADIUS", any("geo"), "13",    "38",
              "500",       "km",       "STORE", Dataset::name(block_, "geo", 1)};
    case 4:
      return {"EVAL",
              "redis.call('INCR', KEYS[1]) return redis.call('HSET', KEYS[2], 'script', ARGV[1])",
              "2",
              any("int", 2),
              any("hash", 2),
              text()};
    default:
      return {"EVAL", "for i = 1, 3 do redis.call('RPUSH', KEYS[1], ARGV[1] .. i) end return 1",
              "1", any("list", 2), number(100)};
  }
}

// The stream is made with its group when it is not there: XGROUP CREATE ... MKSTREAM may say
// BUSYGROUP.
std::vector<Args> Mix::stream_step() {
  const std::string key = any("stream");
  const std::string consumer = consumers[below(3)];
  switch (below(9)) {
    case 0:
      return reborn_stream(key);
    case 1:
      return {{"XADD", key, "MAXLEN", "~", "500", "*", "f0", text()}};
    case 2:
      return {{"XTRIM", key, "MAXLEN", "400"}};
    case 3:
      return {{"XREADGROUP", "GROUP", "workers", consumer, "COUNT", "2", "STREAMS", key, ">"}};
    case 4:
      return {{"XACK", key, "workers", "1700000000000-" + std::to_string(1 + below(3))}};
    case 5:
      return {{"XDEL", key, "1700000000000-" + std::to_string(1 + below(3))}};
    case 6:
      return {{"XCLAIM", key, "workers", consumer, "0", "1700000000000-3"}};
    case 7:
      if (!has(602)) return {{"XGROUP", "SETID", key, "workers", "$"}};
      return {{"XAUTOCLAIM", key, "workers", consumer, "0", "0", "COUNT", "3"}};
    default:
      return {{"XADD", key, "*", "f0", text(), "f1", number(1000)}};
  }
}

// With its consumers: XCLAIM and XAUTOCLAIM that claim nothing make a consumer that replicas never
// hear of (seen with Redis 7.0 to 8.0 and Valkey 9.1), which would be a difference that is nobody's
// fault.
std::vector<Args> Mix::reborn_stream(const std::string& key) {
  std::vector<Args> group = {{"MULTI"},
                             {"DEL", key},
                             {"XGROUP", "CREATE", key, "workers", "$", "MKSTREAM"},
                             {"XADD", key, "*", "reborn", text()}};
  for (const char* consumer : consumers) {
    if (has(602)) group.push_back({"XGROUP", "CREATECONSUMER", key, "workers", consumer});
  }
  group.push_back({"EXEC"});
  return group;
}

std::vector<Args> Mix::group_step() {
  const std::string first = any("str", 4);
  switch (below(4)) {
    case 0:
      return {{"MULTI"}, {"SET", first, text()}, {"RENAME", first, partner("str", 1)}, {"EXEC"}};
    case 1:
      return {{"MULTI"},
              {"INCR", any("int", 2)},
              {"LPUSH", any("list", 2), text()},
              {"ZINCRBY", any("zset", 2), "2", "counter"},
              {"EXEC"}};
    case 2:
      return {{"MULTI"}, {"DEL", any("set")}, {"SADD", any("set"), text(), text()}, {"EXEC"}};
    default:
      return {{"MULTI"},
              {"HINCRBY", any("hash"), "counter", "1"},
              {"EXPIRE", any("hash"), "9000"},
              {"XADD", any("stream"), "*", "from", "multi"},
              {"EXEC"}};
  }
}

}  // namespace

LiveWriter::LiveWriter(const Endpoint& endpoint, const LiveOptions& options)
    : thread_([this, endpoint, options] {
        try {
          run(endpoint, options);
        } catch (const std::exception& failure) {
          remember(failure.what());
        }
      }) {}

LiveWriter::~LiveWriter() {
  stop();
}

void LiveWriter::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

std::vector<std::string> LiveWriter::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

void LiveWriter::remember(const std::string& error) {
  const std::lock_guard lock(mutex_);
  if (errors_.size() < 20) errors_.push_back(error);
}

void LiveWriter::run(const Endpoint& endpoint, const LiveOptions& options) {
  Keyspace server(endpoint);
  Mix mix(options, server);
  const auto check = [this](const Args& args, const Reply& reply) {
    if (reply.is_error()) remember(args[0] + ": " + reply.text);
    for (const Reply& item : reply.items) {
      if (item.is_error()) remember(args[0] + ": " + item.text);
    }
  };
  const auto started = Clock::now();
  const std::size_t batch_size =
      options.commands_per_s > 0 ? 1 + static_cast<std::size_t>(options.commands_per_s / 200) : 200;
  while (!stopping_) {
    const int db = mix.pick_database();
    server.select(db);
    std::vector<std::vector<Args>> steps;
    std::size_t count = 0;
    for (; count < batch_size; count += steps.back().size())
      steps.push_back(mix.step(db));

    const std::vector<Reply> replies = server.pipeline_groups(steps);
    std::size_t at = 0;
    for (const auto& step : steps) {
      for (const Args& args : step)
        check(args, replies[at++]);
    }
    commands_ += count;
    if (options.commands_per_s > 0) {
      const double due_s = static_cast<double>(commands_) / options.commands_per_s;
      std::this_thread::sleep_until(started + std::chrono::duration_cast<Clock::duration>(
                                                  std::chrono::duration<double>(due_s)));
    }
  }
}

}  // namespace keyferry::test
