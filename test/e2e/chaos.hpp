// Everything breaks, in an order made from a printed seed, while writers of relative commands run:
// in the end every key is equal. CHAOS_SECONDS and CHAOS_SEED choose another
// length and another order.
#pragma once

#include <csignal>
#include <cstdlib>
#include <iostream>

#include <sys/resource.h>

#include "e2e/cross_slot.hpp"
#include "link.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {

using ChaosClock = std::chrono::steady_clock;

inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// Counters, lists, sliding TTLs and groups over few keys, so that every command lost or repeated
// shows.
class CountingWriter {
 public:
  CountingWriter(const RedisServer& source, std::uint64_t seed) {
    thread_ =
        std::thread([this, client = source.client(), random = std::mt19937_64(seed)]() mutable {
          while (!stopping_) {
            std::size_t sent = 0;
            // Now and then enough for full transactions.
            const int steps = random() % 50 == 0 ? 2000 : 20;
            for (int i = 0; i < steps; ++i)
              sent += append_step(client, random);
            client.flush();
            for (; sent > 0; --sent)
              client.read();
            std::this_thread::sleep_for(Millis{5});
          }
        });
  }
  ~CountingWriter() { stop(); }
  void stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
  }

 private:
  static std::size_t append_step(RespClient& client, std::mt19937_64& random) {
    const std::string n = std::to_string(random() % 150);
    switch (random() % 12) {
      case 0:
        client.append({"APPEND", "log" + std::to_string(random() % 2000), "x"});
        return 1;
      case 1:
        client.append({"RPUSH", "queue" + n, std::to_string(random() % 1000)});
        return 1;
      case 2:
        client.append({"LPOP", "queue" + n});
        return 1;
      case 3:
        client.append({"ZINCRBY", "board" + n, "1", "player"});
        return 1;
      case 4:
        client.append({"XADD", "events" + n, "MAXLEN", "50", "*", "n", n});
        return 1;
      case 5:
        client.append({"SETRANGE", "range" + n, std::to_string(random() % 50), "abc"});
        return 1;
      case 6:
        client.append({"HINCRBY", "session" + n, "hits", "1"});
        client.append({"PEXPIRE", "session" + n, "5000"});
        return 2;
      case 7:
        client.append({"MULTI"});
        client.append({"INCR", "{pair" + n + "}a"});
        client.append({"INCR", "{pair" + n + "}b"});
        client.append({"INCR", "total" + n});
        client.append({"EXEC"});
        return 5;
      case 8:
        client.append({"SET", "word" + n, std::to_string(random())});
        return 1;
      case 9:
        client.append({"DEL", "word" + n});
        return 1;
      default:
        client.append({"INCR", "count" + n});
        return 1;
    }
  }

  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

inline void calm_proxy(FaultProxy& proxy) {
  proxy.resume();
  for (const Direction direction : {Direction::to_server, Direction::to_client})
    proxy.cut_after(direction, std::uint64_t{1} << 40);
}

// A source with a replica, a proxy in front of whichever of them is the master, a target behind
// proxies, one link between them, and what can be done to them.
template <class Target>
class Chaos {
 public:
  Chaos(Target& target, std::uint64_t seed) : target_(target), random_(seed), seed_(seed) {
    for (int i = 0; i < 2; ++i) {
      sources_.push_back(
          source_server({"--repl-backlog-size", "128mb", "--repl-diskless-sync-delay", "0"}));
    }
    follow();
    way_ = std::make_unique<FaultProxy>(source().host(), source().port());
  }

  void play(Millis length) {
    std::cout << "seed " << seed_ << "\n";
    LiveOptions live = options();
    fill(source(), live.dataset);
    run_link();
    start_writers();
    const auto end = ChaosClock::now() + length;
    while (ChaosClock::now() < end && !::testing::Test::HasFatalFailure()) {
      pause(200, 900);
      fault();
      ++faults_;
      if (!link_.is_running() && !revive()) return;
    }
    settle();
  }
  std::size_t faults() const { return faults_; }

 private:
  RedisServer& source() { return sources_[current_]; }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  void pause(std::uint64_t least_ms, std::uint64_t most_ms) {
    std::this_thread::sleep_for(
        Millis{static_cast<std::int64_t>(least_ms + below(most_ms - least_ms))});
  }
  void tell(const std::string& what) { std::cout << "fault: " << what << std::endl; }

  LiveOptions options() {
    LiveOptions live;
    live.dataset.keys = 400;
    live.dataset.seed = seed_;
    live.dataset.huge = false;
    live.dataset.cluster_safe = Target::is_cluster;
    live.dataset.functions = false;
    live.seed = random_();
    live.commands_per_s = 1500;
    return live;
  }

  void run_link() {
    link_.run(way_->uri(), target_.uri(),
              {"--set", "delivery.lease_s=1", "--set", "delivery.link=chaos", "--set",
               "delivery.full_resyncs_per_hour=1000", "--set", "target.connect_timeout_ms=1000",
               "--set", "target.reply_timeout_ms=4000"});
  }
  // A link ends by itself only for a reason that a restart mends: an end that was away, or a target
  // that went back to a time when an earlier instance had the right to write.
  bool revive() {
    const int code = link_.wait_exit(Millis{1000}).value_or(0);
    const bool went_back = link_.output().find("of this link has taken over") != std::string::npos;
    const bool mends = code == 3 || (code == 2 && went_back);
    EXPECT_TRUE(mends) << "exit code " << code << "\n" << link_.output();
    run_link();
    return mends;
  }

  void start_writers() {
    live_ = std::make_unique<LiveWriter>(source(), options());
    counting_ = std::make_unique<CountingWriter>(source(), random_());
    if (!Target::is_cluster) return;
    const auto seed = static_cast<unsigned>(random_());
    cross_slot_ = std::make_unique<CrossSlotWriter>(source(), seed, Millis{200});
  }
  void stop_writers() {
    cross_slot_.reset();
    counting_.reset();
    live_.reset();
  }

  void fault() {
    switch (below(11)) {
      case 0:
        tell("kill -9");
        link_.process().kill9();
        return run_link();
      case 1:
        tell("stop");
        link_.process().send_signal(SIGTERM);
        if (!link_.wait_exit(Millis{8000})) link_.process().kill9();
        return run_link();
      case 2:
        tell("FLUSHDB");
        source().command({"FLUSHDB"});
        return;
      case 3:
        if (below(3) > 0) return fault();
        return fail_over_source();
      case 4:
        tell("disk is full");
        allow_file_bytes(0);
        pause(200, 1500);
        return allow_file_bytes(RLIM_INFINITY);
      case 5:
        return disturb_source();
      default:
        return target_.fault(random_, [this](const std::string& what) { tell(what); });
    }
  }

  // What the link writes to any file beyond so many bytes fails: the stream it keeps, its log.
  void allow_file_bytes(rlim_t bytes) {
    const rlimit limit{bytes, RLIM_INFINITY};
    if (link_.is_running()) ::prlimit(link_.process().pid(), RLIMIT_FSIZE, &limit, nullptr);
  }

  void follow() {
    const RedisServer& master = source();
    RedisServer& replica = sources_[1 - current_];
    replica.command({"REPLICAOF", master.host(), std::to_string(master.port())});
    EXPECT_TRUE(
        wait_for(Millis{20000}, [&] { return replica.info("master_link_status") == "up"; }));
  }

  // What the replica has not got is lost at the source, and must not stay in the target.
  void fail_over_source() {
    const bool lags = below(2) == 0;
    const bool link_dies = below(3) == 0;
    tell(std::string("source fails over") + (lags ? ", its replica lags" : "") +
         (link_dies ? ", and the link dies" : ""));
    RedisServer& master = source();
    RedisServer& replica = sources_[1 - current_];
    if (lags) replica.sigstop();
    pause(100, 400);
    stop_writers();
    if (link_dies) link_.process().kill9();
    if (lags) replica.sigcont();
    master.kill9();
    replica.command({"REPLICAOF", "NO", "ONE"});
    way_->forward_to(replica.port());
    master.restart();
    current_ = 1 - current_;
    follow();
    if (link_dies) run_link();
    start_writers();
  }

  void disturb_source() {
    switch (below(3)) {
      case 0:
        tell("source: cut");
        return way_->cut();
      case 1:
        tell("source: cut at a byte");
        return way_->cut_after(Direction::to_client, below(200000));
      default:
        tell("source: stall");
        way_->stall();
        pause(200, 1500);
        return way_->resume();
    }
  }

  void settle() {
    stop_writers();
    target_.calm();
    calm_proxy(*way_);
    if (!link_.is_running()) run_link();
    RespClient client = source().client();
    for (int i = 0; i < 150; ++i)
      client.must({"PEXPIRE", "session" + std::to_string(i), "1000000"});
    wait_streaming(link_, Millis{60000});
    drain(link_, Millis{90000});
    EXPECT_EQ(describe(compare(source(), target_.keyspace())), "") << "seed " << seed_ << "\n"
                                                                   << link_.output();
  }

  Target& target_;
  std::mt19937_64 random_;
  std::uint64_t seed_;
  std::vector<RedisServer> sources_;
  std::size_t current_ = 0;
  std::unique_ptr<FaultProxy> way_;  // to the source
  std::unique_ptr<LiveWriter> live_;
  std::unique_ptr<CountingWriter> counting_;
  std::unique_ptr<CrossSlotWriter> cross_slot_;
  Keyferry link_{KEYFERRY_BINARY};
  std::size_t faults_ = 0;
};

using Random = std::mt19937_64;
using Tell = std::function<void(const std::string&)>;

inline std::int64_t between(Random& random, std::int64_t least, std::int64_t most) {
  return least + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most - least));
}
inline void sleep_between(Random& random, std::int64_t least_ms, std::int64_t most_ms) {
  std::this_thread::sleep_for(Millis{between(random, least_ms, most_ms)});
}

// What can happen to any one server behind a proxy.
inline void disturb(RedisServer& node, FaultProxy& proxy, Random& random, const Tell& tell) {
  switch (random() % 5) {
    case 0:
      tell("cut");
      return proxy.cut();
    case 1:
      tell("cut at a byte");
      return proxy.cut_after(random() % 2 == 0 ? Direction::to_server : Direction::to_client,
                             random() % 20000);
    case 2:
      tell("stall");
      proxy.stall();
      sleep_between(random, 200, 1500);
      return proxy.resume();
    case 3:
      tell("no memory");
      node.command({"CONFIG", "SET", "maxmemory", "1"});
      sleep_between(random, 100, 800);
      node.command({"CONFIG", "SET", "maxmemory", "0"});
      return;
    default:
      tell("node sleeps");
      node.sigstop();
      sleep_between(random, 100, 1200);
      node.sigcont();
  }
}

class OneServer {
 public:
  static constexpr bool is_cluster = false;

  std::string uri() const { return proxy_.uri(); }
  Endpoint keyspace() const { return server_; }
  void calm() { calm_proxy(proxy_); }
  void fault(Random& random, const Tell& tell) {
    if (random() % 6 > 0) return disturb(server_, proxy_, random, tell);
    tell("target comes back older");
    server_.command({"SAVE"});
    sleep_between(random, 100, 600);
    server_.kill9();
    server_.restart();
  }

 private:
  RedisServer server_ = source_server();
  FaultProxy proxy_{server_.host(), server_.port()};
};

// Three masters, each with a replica, every node named by the address of its proxy.
class ThreeMasters {
 public:
  static constexpr bool is_cluster = true;

  ThreeMasters() : cluster_(options()) {
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      RedisServer& node = cluster_.node(i);
      proxies_.push_back(std::make_unique<FaultProxy>(node.host(), node.port()));
      node.command(
          {"CONFIG", "SET", "cluster-announce-port", std::to_string(proxies_.back()->port())});
    }
    EXPECT_TRUE(wait_for(Millis{20000}, [this] { return everyone_knows(); }));
  }

  std::string uri() const { return proxies_.front()->uri(); }
  Endpoint keyspace() const { return cluster_; }
  void calm() {
    for (const auto& proxy : proxies_)
      calm_proxy(*proxy);
    cluster_.wait_ok(Millis{60000});
  }
  void fault(Random& random, const Tell& tell) {
    const std::uint64_t kind = random() % 10;
    const std::size_t node = random() % cluster_.size();
    if (kind == 0) return fail_over(random, tell);
    if (kind <= 2) return move_slots(random, tell);
    disturb(cluster_.node(node), *proxies_[node], random, tell);
  }

 private:
  static ClusterOptions options() {
    ClusterOptions options;
    options.replicas = 3;
    options.server.args = {"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay",
                           "0"};
    return options;
  }
  bool everyone_knows() {
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      const std::string nodes = cluster_.node(i).command({"CLUSTER", "NODES"}).text;
      for (const auto& proxy : proxies_) {
        if (nodes.find(":" + std::to_string(proxy->port()) + "@") == std::string::npos)
          return false;
      }
    }
    return true;
  }
  bool is_master(std::size_t node) { return cluster_.node(node).info("role") == "master"; }

  // A master dies, and its replica takes its place, with or without what came last.
  void fail_over(Random& random, const Tell& tell) {
    std::size_t master = random() % cluster_.size();
    while (!is_master(master))
      master = (master + 1) % cluster_.size();
    const std::size_t replica = (master + 3) % cluster_.size();
    if (is_master(replica) || cluster_.node(replica).info("master_link_status") != "up") return;
    const bool lags = random() % 2 == 0;
    tell(lags ? "master dies, its replica lags" : "master dies");
    if (lags) {
      cluster_.node(replica).sigstop();
      sleep_between(random, 100, 700);
    }
    cluster_.node(master).kill9();
    if (lags) cluster_.node(replica).sigcont();
    EXPECT_TRUE(wait_for(Millis{30000}, [&] { return is_master(replica); }));
    cluster_.node(master).restart(
        {"--cluster-announce-port", std::to_string(proxies_[master]->port())});
    cluster_.wait_ok(Millis{60000});
  }

  void move_slots(Random& random, const Tell& tell) {
    tell("slots move");
    for (int i = 0; i < 3; ++i) {
      const int slot = static_cast<int>(random() % 16384);
      const int of_counter = key_slot("count" + std::to_string(random() % 150));
      const int moved = i == 0 ? slot : of_counter;
      std::size_t to = random() % cluster_.size();
      while (!is_master(to))
        to = (to + 1) % cluster_.size();
      if (cluster_.owner(moved) == to) continue;
      cluster_.begin_move(moved, to);
      cluster_.migrate_keys(moved, to, 1 + random() % 3);
      sleep_between(random, 10, 300);
      while (cluster_.migrate_keys(moved, to) > 0) {
      }
      cluster_.finish_move(moved, to);
    }
  }

  RedisCluster cluster_;
  std::vector<std::unique_ptr<FaultProxy>> proxies_;
};

template <class Target>
void play_chaos(std::uint64_t seconds, std::size_t least_faults) {
  const std::uint64_t length = from_environment("CHAOS_SECONDS", seconds);
  Target target;
  Chaos<Target> chaos(target, from_environment("CHAOS_SEED", std::random_device{}()));

  chaos.play(std::chrono::seconds(length));

  EXPECT_GE(chaos.faults(), least_faults);
  std::cout << "faults " << chaos.faults() << " in " << length << " s\n";
}

}  // namespace keyferry::test
