// Links over TLS: standalone, cluster, ACL users, breaks; masters found through Sentinels.
#include "support/tls.hpp"

#include "e2e/link.hpp"
#include "support/cluster.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

// A server that also listens with TLS.
struct TlsServer {
  explicit TlsServer(const Certificates& certificates, std::vector<std::string> more = {}) {
    ServerOptions options;
    options.args = certificates.server_args("local", tls_port);
    options.args.insert(options.args.end(), more.begin(), more.end());
    server.emplace(std::move(options));
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(tls_port); }

  std::uint16_t tls_port = free_port();
  std::optional<RedisServer> server;
};

std::vector<std::string> trust(const Certificates& certificates) {
  return {"--set", "source.tls.ca_file=" + certificates.ca(), "--set",
          "target.tls.ca_file=" + certificates.ca()};
}

TEST(TlsLink, CarriesEverythingAndResumesAfterBreaks) {
  Certificates certificates;
  certificates.issue("local", "IP:127.0.0.1");
  const std::vector<std::string> acl = {"--user", "ferry", "on", ">s3cret~+", "+@all", "~*", "&*"};
  TlsServer source(certificates, acl);
  TlsServer target(certificates, acl);
  FaultProxy source_proxy("127.0.0.1", source.tls_port);
  FaultProxy target_proxy("127.0.0.1", target.tls_port);
  LiveOptions live;
  live.dataset.keys = 4000;
  live.commands_per_s = 3000;
  fill(*source.server, live.dataset);
  LiveWriter writer(*source.server, live);
  Keyferry link(KEYFERRY_BINARY);
  link.run("rediss://ferry:s3cret~%2B@" + source_proxy.address(),
           "rediss://ferry:s3cret~%2B@" + target_proxy.address(), trust(certificates));
  wait_streaming(link);
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(Millis{300});
    source_proxy.cut();
  }
  std::this_thread::sleep_for(Millis{300});
  writer.stop();

  drain(link);

  EXPECT_EQ(describe(compare(*source.server, *target.server)), "") << link.output();
  EXPECT_NE(link.output().find("source continues the stream"), std::string::npos);
  EXPECT_EQ(link.output().find("s3cret"), std::string::npos);
}

TEST(TlsLink, RefusesAServerThatNobodyVouchesFor) {
  Certificates certificates;
  certificates.issue("local", "IP:127.0.0.1");
  TlsServer source(certificates);
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run("rediss://" + source.address(), target.uri());

  EXPECT_EQ(link.wait_exit(Millis{10000}), 3);
  EXPECT_NE(link.output().find("certificate verify failed"), std::string::npos) << link.output();
}

TEST(TlsLink, ReachesEveryNodeOfAClusterOverTls) {
  Certificates certificates;
  certificates.issue("local", "IP:127.0.0.1");
  RedisServer source = source_server();
  // Every node needs a TLS port of its own, so the cluster is made of single servers.
  std::vector<std::unique_ptr<TlsServer>> nodes;
  for (int i = 0; i < 3; ++i) {
    nodes.push_back(std::make_unique<TlsServer>(
        certificates,
        std::vector<std::string>{"--cluster-enabled", "yes", "--tls-cluster", "yes"}));
  }
  const int bounds[] = {0, 5461, 10923, 16384};
  for (std::size_t i = 0; i < 3; ++i) {
    nodes[i]->server->command(
        {"CLUSTER", "ADDSLOTSRANGE", std::to_string(bounds[i]), std::to_string(bounds[i + 1] - 1)});
    nodes[i]->server->command({"CONFIG", "SET", "cluster-require-full-coverage", "yes"});
    nodes[i]->server->command({"CLUSTER", "SET-CONFIG-EPOCH", std::to_string(i + 1)});
    if (i > 0) {
      nodes[i]->server->command(
          {"CLUSTER", "MEET", "127.0.0.1", std::to_string(nodes[0]->tls_port)});
    }
  }
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    for (const auto& node : nodes) {
      const std::string info = "\n" + node->server->command({"CLUSTER", "INFO"}).text;
      if (info_field(info, "cluster_state") != "ok") return false;
      if (info_field(info, "cluster_known_nodes") != "3") return false;
    }
    return true;
  }));
  DatasetOptions data;
  data.keys = 1000;
  data.cluster_safe = true;
  fill(source, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "rediss://" + nodes[0]->address(),
           {"--set", "target.tls.ca_file=" + certificates.ca()});
  wait_streaming(link);
  drain(link);

  EXPECT_EQ(describe(compare(source, *nodes[0]->server)), "") << link.output();
  for (const auto& node : nodes) {
    EXPECT_NE(node->server->command({"DBSIZE"}).integer, 0);
  }
}

TEST(SentinelLink, FollowsTheMasterOfTheSource) {
  RedisServer master = source_server();
  RedisServer replica =
      source_server({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  RedisServer target = source_server();
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return replica.info("master_link_status") == "up"; }));
  Sentinel sentinel(master, "main");
  ASSERT_TRUE(wait_for(Millis{15000}, [&] {
    return !sentinel.client().command({"SENTINEL", "REPLICAS", "main"}).items.empty();
  }));
  master.command({"SET", "before", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run("redis-sentinel://127.0.0.1:" + std::to_string(sentinel.port()) + "/main", target.uri());
  wait_streaming(link);

  master.kill9();
  ASSERT_TRUE(wait_for(Millis{30000}, [&] { return replica.info("role") == "master"; }));
  replica.command({"SET", "after", "1"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"EXISTS", "after"}).integer == 1;
  })) << link.output();

  drain(link);
  EXPECT_EQ(describe(compare(replica, target)), "") << link.output();
}

TEST(SentinelLink, FollowsTheMasterOfTheTarget) {
  RedisServer source = source_server();
  RedisServer master = source_server();
  RedisServer replica =
      source_server({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return replica.info("master_link_status") == "up"; }));
  Sentinel sentinel(master, "main");
  ASSERT_TRUE(wait_for(Millis{15000}, [&] {
    return !sentinel.client().command({"SENTINEL", "REPLICAS", "main"}).items.empty();
  }));
  source.command({"SET", "before", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "redis-sentinel://127.0.0.1:" + std::to_string(sentinel.port()) + "/main");
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  ASSERT_TRUE(wait_for(Millis{5000}, [&] {
    return replica.command({"EXISTS", "before"}).integer == 1;
  }));

  master.kill9();
  source.command({"SET", "after", "1"});
  ASSERT_TRUE(wait_for(Millis{40000}, [&] {
    return replica.info("role") == "master" && replica.command({"EXISTS", "after"}).integer == 1;
  })) << link.output();

  drain(link);
  EXPECT_EQ(describe(compare(source, replica)), "") << link.output();
}

TEST(SentinelLink, NamesAnUnknownMaster) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Sentinel sentinel(source, "main");
  Keyferry link(KEYFERRY_BINARY);
  link.run("redis-sentinel://127.0.0.1:" + std::to_string(sentinel.port()) + "/mane", target.uri());

  EXPECT_EQ(link.wait_exit(Millis{10000}), 3);
  EXPECT_NE(link.output().find("knows no master called mane"), std::string::npos) << link.output();
}

// A master with a replica and a Sentinel that talk to each other over TLS only: the ports beside
// it are the test's.
struct TlsGroup {
  explicit TlsGroup(const Certificates& certificates)
      : master(certificates, {"--tls-replication", "yes"}),
        replica(certificates, {"--tls-replication", "yes", "--replicaof",
                               "127.0.0.1 " + std::to_string(master.tls_port)}) {
    EXPECT_TRUE(wait_for(Millis{10000},
                         [this] { return replica.server->info("master_link_status") == "up"; }));
    SentinelOptions options;
    options.master_port = master.tls_port;
    options.config = {"tls-port " + std::to_string(tls_port),
                      "tls-cert-file " + certificates.cert("local"),
                      "tls-key-file " + certificates.key("local"),
                      "tls-ca-cert-file " + certificates.ca(),
                      "tls-auth-clients no",
                      "tls-replication yes"};
    sentinel.emplace(*master.server, "m", options);
    EXPECT_TRUE(wait_for(Millis{15000}, [this] {
      return sentinel->client().command({"SENTINEL", "REPLICAS", "m"}).items.size() == 1;
    })) << sentinel->log();
  }
  std::string uri() const {
    return "rediss-sentinel://127.0.0.1:" + std::to_string(tls_port) + "/m";
  }

  TlsServer master;
  TlsServer replica;
  std::uint16_t tls_port = free_port();
  std::optional<Sentinel> sentinel;
};

TEST(SentinelLink, ReachesSentinelsAndServersOverTls) {
  Certificates certificates;
  certificates.issue("local", "IP:127.0.0.1");
  TlsGroup source(certificates);
  TlsGroup target(certificates);
  DatasetOptions data;
  data.keys = 1000;
  fill(*source.master.server, data);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), trust(certificates));
  ASSERT_TRUE(link.wait_synced(Millis{20000})) << link.output();
  EXPECT_EQ(describe(compare(*source.master.server, *target.master.server)), "") << link.output();
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return describe(compare(*source.master.server, *source.replica.server)).empty();
  }));

  source.sentinel->client().must({"SENTINEL", "FAILOVER", "m"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return source.replica.server->info("role") == "master";
  })) << source.sentinel->log();
  source.replica.server->command({"SET", "after", "1"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.master.server->command({"EXISTS", "after"}).integer == 1;
  })) << link.output();

  drain(link);
  EXPECT_EQ(describe(compare(*source.replica.server, *target.master.server)), "") << link.output();
}

}  // namespace
}  // namespace keyferry::test
