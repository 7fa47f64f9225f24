// `keyferry check` finds each problem when it is provoked on real servers, and `run` refuses what
// cannot work.
#include "e2e/check.hpp"

#include "support/cluster.hpp"

namespace keyferry::test {
namespace {

TEST(Check, HealthyEndsPass) {
  RedisServer source = source_server({"--repl-backlog-size", "100mb"});
  RedisServer target = source_server();
  const CheckOutcome out = check(source.uri(), target.uri());

  EXPECT_EQ(out.code, 0) << out.output;
  EXPECT_EQ(json_field(out.json, "verdict"), "ok") << out.output;
}

TEST(Check, FindsDangerousSettingsOfTheSource) {
  RedisServer source =
      source_server({"--repl-backlog-size", "1mb", "--repl-diskless-sync", "no", "--repl-timeout",
                     "5", "--min-replicas-to-write", "1", "--shutdown-timeout", "600",
                     "--client-output-buffer-limit", "replica 1mb 512kb 10"});
  RedisServer target = source_server();
  source.client().command({"WAIT", "0", "1"});
  source.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
  LiveOptions live;
  live.dataset.keys = 500;
  live.commands_per_s = 3000;
  LiveWriter writer(source, live);
  const CheckOutcome out = check(source.uri(), target.uri());
  writer.stop();
  source.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  const CheckOutcome quiet = check(source.uri(), target.uri());

  EXPECT_EQ(out.code, 0) << out.output;
  EXPECT_EQ(out.verdict("source.backlog"), "warn") << out.output;
  EXPECT_NE(out.text("source.backlog").find("the backlog of 1.0 MiB lasts"), std::string::npos);
  for (const char* name : {"source.diskless", "source.repl_timeout", "source.shutdown_timeout",
                           "source.output_buffer", "source.wait"}) {
    EXPECT_EQ(out.verdict(name), "warn") << name << out.output;
  }
  EXPECT_EQ(out.verdict("source.min_replicas"), "ok") << out.output;
  EXPECT_EQ(quiet.verdict("source.min_replicas"), "warn") << quiet.output;
  EXPECT_EQ(quiet.verdict("source.backlog"), "ok") << quiet.output;
}

TEST(Check, FindsProblemsOfTheTarget) {
  RedisServer source = source_server();
  RedisServer target = source_server({"--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru",
                                      "--databases", "4", "--min-replicas-to-write", "1"});
  target.command({"CONFIG", "SET", "min-replicas-to-write", "0"});
  target.command({"SET", "own", "1"});
  target.command({"CONFIG", "SET", "min-replicas-to-write", "1"});
  fill_strings(source, 2000, 2000);
  RespClient client = source.client();
  client.must({"SELECT", "9"});
  client.must({"SET", "a", "1"});
  const CheckOutcome out =
      check(source.uri(), target.uri(), {"--set", "target.before=must_be_empty"});

  EXPECT_EQ(out.code, 1) << out.output;
  for (const char* name :
       {"target.memory", "target.databases", "target.empty", "target.min_replicas"}) {
    EXPECT_EQ(out.verdict(name), "fail") << name << out.output;
  }
  EXPECT_NE(out.verdict("target.eviction"), "ok") << out.output;
  EXPECT_NE(out.verdict("target.eviction"), "absent") << out.output;
}

TEST(Check, FindsMissingRights) {
  RedisServer source = source_server(
      {"--user", "reader", "on", ">pw", "~*", "&*", "+@all", "-psync", "-config", "+acl|dryrun"});
  RedisServer target =
      source_server({"--user", "writer", "on", ">pw", "~app:*", "~keyferry-check", "&*", "+@all",
                     "-restore", "-client|kill", "-client|list", "-watch"});
  const CheckOutcome out =
      check("redis://reader:pw@" + source.address(), "redis://writer:pw@" + target.address(),
            {"--set", "source.mode=psync"});

  EXPECT_EQ(out.code, 1) << out.output;
  EXPECT_EQ(out.verdict("source.rights"), "fail") << out.output;
  EXPECT_NE(out.text("source.rights").find("may not use PSYNC"), std::string::npos) << out.output;
  EXPECT_NE(out.advice("source.rights").find("+psync"), std::string::npos) << out.output;
  EXPECT_EQ(out.verdict("source.backlog"), "warn") << out.output;
  EXPECT_EQ(out.verdict("target.rights"), "fail") << out.output;
  const std::string advice = out.advice("target.rights");
  for (const char* rule : {"+restore", "~keyferry:*", "+watch", "+client|list", "+client|kill"})
    EXPECT_NE(advice.find(rule), std::string::npos) << rule << " in " << advice;

  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "redis://writer:pw@" + target.address());
  EXPECT_EQ(link.wait_exit(Millis{10000}), 3) << link.output();
  EXPECT_NE(link.output().find("target.rights"), std::string::npos) << link.output();
}

TEST(Check, FindsEndsThatCannotBeUsed) {
  RedisServer master = source_server();
  RedisServer replica =
      source_server({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  RedisServer orphan = source_server({"--replicaof", "127.0.0.1 " + std::to_string(free_port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return replica.info("master_link_status") == "up"; }));

  const CheckOutcome family = check(master.uri(), replica.uri());
  EXPECT_EQ(family.code, 1) << family.output;
  EXPECT_EQ(family.verdict("target.role"), "fail") << family.output;
  EXPECT_EQ(family.verdict("target.other_server"), "fail") << family.output;

  const CheckOutcome cut_off = check(orphan.uri(), master.uri());
  EXPECT_EQ(cut_off.code, 1) << cut_off.output;
  EXPECT_EQ(cut_off.verdict("source.role"), "fail") << cut_off.output;

  const CheckOutcome from_replica = check(replica.uri(), orphan.uri());
  EXPECT_EQ(from_replica.verdict("source.role"), "warn") << from_replica.output;

  const CheckOutcome nobody = check("redis://127.0.0.1:" + std::to_string(free_port()),
                                    "redis://:wrong@" + master.address());
  EXPECT_EQ(nobody.code, 3) << nobody.output;
  EXPECT_EQ(nobody.verdict("source.reach"), "fail") << nobody.output;
  EXPECT_EQ(nobody.verdict("target.reach"), "fail") << nobody.output;
  EXPECT_NE(nobody.text("target.reach").find("AUTH"), std::string::npos) << nobody.output;
}

TEST(Check, LooksAtEveryMasterOfACluster) {
  RedisServer source = source_server();
  RedisCluster target;
  const CheckOutcome whole = check(source.uri(), target.uri());
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_EQ(whole.text("target.role"), "3 masters");

  RespClient client = source.client();
  client.must({"SELECT", "1"});
  client.must({"SET", "a", "1"});
  target.node(0).command({"CLUSTER", "DELSLOTS", "0"});
  target.node(1).command({"ACL", "SETUSER", "default", "-restore"});
  const CheckOutcome broken = check(source.uri(), target.uri(), {"--set", "spool.dir=/proc/none"});
  EXPECT_EQ(broken.code, 1) << broken.output;
  EXPECT_EQ(broken.verdict("target.cluster"), "fail") << broken.output;
  EXPECT_EQ(broken.verdict("target.databases"), "fail") << broken.output;
  EXPECT_EQ(broken.verdict("target.rights"), "fail") << broken.output;
  EXPECT_EQ(broken.verdict("spool"), "fail") << broken.output;
}

TEST(Check, LooksAtEveryMasterOfASourceCluster) {
  RedisCluster source;
  RedisServer target = source_server();
  const CheckOutcome whole = check(source.node(1).uri(), target.uri());
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_EQ(whole.text("source.cutover"), "all 3 masters: 'default' may do what a cutover takes");

  source.node(2).command({"ACL", "SETUSER", "default", "-client|pause", "-config|set"});
  const CheckOutcome one = check(source.node(1).uri(), target.uri());
  EXPECT_EQ(one.code, 0) << one.output;
  EXPECT_NE(one.output.find(source.node(2).address() +
                            ": 'default' may not use CLIENT PAUSE, CONFIG SET"),
            std::string::npos)
      << one.output;
  EXPECT_NE(one.output.find("ACL SETUSER default +client|pause +config|set"), std::string::npos)
      << one.output;

  source.node(0).command({"ACL", "SETUSER", "default", "-replconf"});
  EXPECT_EQ(check(source.node(1).uri(), target.uri(), {"--set", "source.mode=psync"}).code, 1);
}

TEST(Check, ComparesVersionsAndSaysWhatOldOnesCannotTell) {
  const ServerRelease old = release("redis-6.0");
  const ServerRelease young = release("redis-8.0");
  if (!old.unreachable.empty() || !young.unreachable.empty()) GTEST_SKIP() << "no servers";
  ServerOptions young_options;
  young_options.release = young;
  ServerOptions old_options;
  old_options.release = old;
  RedisServer source(young_options);
  RedisServer target(old_options);
  const CheckOutcome out = check(source.uri(), target.uri());

  EXPECT_EQ(out.verdict("target.types"), "warn") << out.output;
  EXPECT_NE(out.text("target.rights").find("cannot tell"), std::string::npos) << out.output;
}

}  // namespace
}  // namespace keyferry::test
