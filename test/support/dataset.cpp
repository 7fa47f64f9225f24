#include "support/dataset.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>

namespace keyferry::test {

std::string words(std::mt19937_64& random, std::size_t size) {
  static const char* const some[] = {"ferry ", "river ", "harbour ", "cargo ", "tide ", "anchor "};
  std::string result;
  while (result.size() < size)
    result += some[random() % std::size(some)];
  result.resize(size);
  return result;
}

std::string any_bytes(std::mt19937_64& random, std::size_t size) {
  std::string result(size, '\0');
  for (char& c : result)
    c = static_cast<char>(random());
  return result;
}

namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Rarer in a large data set, whose size is in its number of keys.
bool is_medium(const DatasetOptions& options, std::size_t block) {
  return block % (options.keys > 100000 ? 1000 : 50) == 7;
}

// How many elements the collections of a block have.
std::size_t element_count(const DatasetOptions& options, std::size_t block,
                          std::mt19937_64& random) {
  if (block == 0 && options.huge) return 10000;
  if (is_medium(options, block)) return 150 + random() % 600;
  return 1 + random() % 12;
}

// Makes the commands of one block.
class Maker {
 public:
  Maker(const DatasetOptions& options, std::size_t block, const Keyspace& server)
      : options_(options),
        block_(block),
        server_(server),
        random_(options.seed * 1000003 + block) {}

  std::vector<Args> make() {
    const std::size_t n = element_count(options_, block_, random_);
    strings();
    for (std::size_t i = 0; i < 2; ++i) {
      many({"RPUSH", name("list", i)}, n, [this](std::size_t) { return Args{element()}; });
      many({"HSET", name("hash", i)}, n, [this](std::size_t k) {
        return Args{"field:" + std::to_string(k), element()};
      });
      many({"ZADD", name("zset", i)}, n, [this](std::size_t k) {
        return Args{score(k), "member:" + std::to_string(k)};
      });
    }
    many({"SADD", name("set")}, n,
         [this](std::size_t k) { return Args{element() + std::to_string(k)}; });
    many({"SADD", name("iset")}, n,
         [this](std::size_t) { return Args{std::to_string(integer())}; });
    many({"GEOADD", name("geo")}, 1 + n % 30, [this](std::size_t k) {
      return Args{std::to_string(double(random_() % 36000) / 100 - 180),
                  std::to_string(double(random_() % 17000) / 100 - 85),
                  "place:" + std::to_string(k)};
    });
    many({"PFADD", name("hll")}, n,
         [](std::size_t k) { return Args{"visitor" + std::to_string(k)}; });
    stream(std::min<std::size_t>(n, 2000));
    if (options_.expiries) expiries();
    if (options_.field_ttls && server_.has_hash_field_ttl()) {
      add({"HPEXPIREAT", name("hash"), std::to_string(now_ms() + 7200000), "FIELDS", "1",
           "field:0"});
    }
    return std::move(commands_);
  }

 private:
  std::string name(const char* type, std::size_t i = 0) const {
    return Dataset::name(block_, type, i);
  }
  void add(Args args) { commands_.push_back(std::move(args)); }

  std::int64_t integer() {
    switch (random_() % 4) {
      case 0:
        return static_cast<std::int64_t>(random_() % 200) - 100;
      case 1:
        return static_cast<std::int64_t>(random_() % 60000) - 30000;
      case 2:
        return static_cast<std::int64_t>(random_() % 4000000000U) - 2000000000;
      default:
        return static_cast<std::int64_t>(random_() >> 2) * (random_() % 2 == 0 ? 1 : -1);
    }
  }

  std::string element() {
    switch (random_() % 8) {
      case 0:
        return std::to_string(integer());
      case 1:
        return any_bytes(random_, random_() % 40);
      case 2:
        return random_() % 8 == 0 ? words(random_, 70 + random_() % 400) : std::string();
      default:
        return words(random_, 4 + random_() % 24);
    }
  }

  std::string score(std::size_t k) {
    if (k == 3) return "inf";
    if (k == 4) return "-inf";
    return k % 3 == 0 ? std::to_string(integer() % 100000)
                      : std::to_string(double(random_() % 100000) / 7);
  }

  void strings() {
    const bool huge = block_ == 0 && options_.huge;
    add({"SET", name("str", 0), words(random_, 8 + random_() % 30)});
    add({"SET", name("str", 1), words(random_, 50 + random_() % 200)});
    add({"SET", name("str", 2), ""});
    add({"SET", name("str", 3), std::string(30 + random_() % 90, 'z')});
    add({"SET", name("int", 0), std::to_string(integer() / 1024)});
    add({"SET", name("int", 1), std::to_string(random_() % 10000)});
    add({"SET", name("float"), std::to_string(double(random_() % 1000000) / 64)});
    add({"SET", name("bin"), any_bytes(random_, huge ? 1000000 : random_() % 80)});
    add({"SET", name("long"),
         words(random_, huge                          ? 1000000
                        : is_medium(options_, block_) ? 20000
                                                      : 300)});
    add({"SETBIT", name("bits"), std::to_string(random_() % 3000), "1"});
  }

  // A variadic command in pieces of 500 elements.
  void many(const Args& head, std::size_t count,
            const std::function<Args(std::size_t)>& make_element) {
    Args args = head;
    for (std::size_t k = 0; k < count; ++k) {
      for (std::string& part : make_element(k))
        args.push_back(std::move(part));
      if (k % 500 == 499 || k + 1 == count) {
        add(std::move(args));
        args = head;
      }
    }
  }

  void stream(std::size_t entries) {
    const std::string key = name("stream");
    for (std::size_t k = 0; k < entries; ++k) {
      Args args = {"XADD", key,
                   std::to_string(1700000000000 + k / 3) + "-" + std::to_string(k % 3 + 1)};
      // Now and then other field names than the node's master entry has.
      const std::size_t fields = k % 7 == 6 ? 3 : 2;
      for (std::size_t i = 0; i < fields; ++i) {
        args.push_back("f" + std::to_string(i));
        args.push_back(element());
      }
      add(std::move(args));
    }
    add({"XGROUP", "CREATE", key, "workers", "0"});
    add({"XGROUP", "CREATE", key, "idle", "$"});
    const std::string some = std::to_string(1 + entries / 3);
    add({"XREADGROUP", "GROUP", "workers", "ann", "COUNT", some, "STREAMS", key, ">"});
    add({"XREADGROUP", "GROUP", "workers", "bob", "COUNT", some, "STREAMS", key, ">"});
    add({"XACK", key, "workers", "1700000000000-1"});
    if (server_.redis_version() >= 602) {
      add({"XGROUP", "CREATECONSUMER", key, "idle", "nobody"});
      add({"XGROUP", "CREATECONSUMER", key, "workers", "cy"});
    }
    if (block_ % 3 == 0) add({"XDEL", key, "1700000000000-2"});
  }

  void expiries() {
    static const char* const types[] = {"str", "list", "set", "hash", "zset", "int", "bin"};
    for (const char* type : types) {
      if (random_() % 5 != 0) continue;
      const std::int64_t at = now_ms() + 3600000 + static_cast<std::int64_t>(random_() % 356400000);
      add({"PEXPIREAT", name(type), std::to_string(at)});
    }
  }

  const DatasetOptions& options_;
  std::size_t block_;
  const Keyspace& server_;
  std::mt19937_64 random_;
  std::vector<Args> commands_;
};

void send(Keyspace& server, std::vector<Args>& commands) {
  const std::vector<Reply> replies = server.pipeline(commands);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (replies[i].is_error())
      throw std::runtime_error("fill: " + commands[i][0] + ": " + replies[i].text);
  }
  commands.clear();
}

void load_functions(Keyspace& server) {
  static const std::string library =
      "#!lua name=ferrylib\n"
      "redis.register_function('ferry_set', function(keys, args)\n"
      "  return redis.call('SET', keys[1], args[1])\n"
      "end)\n";
  for (std::size_t i = 0; i < server.node_count(); ++i) {
    server.node(i).must({"FUNCTION", "LOAD", "REPLACE", library});
  }
}

}  // namespace

Dataset::Dataset(const DatasetOptions& options)
    : options_(options),
      blocks_(std::max<std::size_t>(1, (options.keys + block_size - 1) / block_size)),
      databases_(std::clamp(options.cluster_safe ? options.cluster_databases : options.databases, 1,
                            static_cast<int>(blocks_))) {}

std::string Dataset::name(std::size_t block, const char* type, std::size_t number) {
  return "{t" + std::to_string(block) + "}:" + type + ":" + std::to_string(number);
}

std::vector<Args> Dataset::block_commands(std::size_t block, const Keyspace& server) const {
  return Maker(options_, block, server).make();
}

std::size_t fill(const Endpoint& endpoint, const DatasetOptions& options) {
  Keyspace server(endpoint);
  const Dataset data(options);
  if (server.is_cluster() && data.databases() > 1 && !options.cluster_safe)
    throw std::runtime_error("fill: not cluster_safe");
  std::vector<Args> commands;
  for (int db = 0; db < data.databases(); ++db) {
    server.select(db);
    for (std::size_t block = 0; block < data.blocks(); ++block) {
      if (data.database_of(block) != db) continue;
      for (Args& args : data.block_commands(block, server))
        commands.push_back(std::move(args));
      if (commands.size() >= 2000) send(server, commands);
    }
    send(server, commands);
  }
  if (options.functions && server.redis_version() >= 700) load_functions(server);
  return data.blocks() * Dataset::block_size;
}

void fill_strings(const Endpoint& endpoint, std::size_t count, std::size_t value_size) {
  Keyspace server(endpoint);
  std::mt19937_64 random(1);
  std::vector<Args> commands;
  for (std::size_t i = 0; i < count; ++i) {
    commands.push_back({"SET", "key:" + std::to_string(i), any_bytes(random, value_size)});
    if (commands.size() == 5000 || i + 1 == count) send(server, commands);
  }
}

}  // namespace keyferry::test
