// Findings of `keyferry check` that take more to provoke: a slow way, another clock, a module, a
// server that is loading, rights of each kind, a source that is to be scanned.
#include <unistd.h>

#include "e2e/check.hpp"
#include "support/fault_proxy.hpp"

namespace keyferry::test {
namespace {

TEST(CheckFindings, ServersThatAreFarAway) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  FaultProxy source_way(source.host(), source.port());
  FaultProxy target_way(target.host(), target.port());
  for (FaultProxy* way : {&source_way, &target_way}) {
    way->delay(Direction::to_server, Millis{30});
    way->delay(Direction::to_client, Millis{30});
  }
  const CheckOutcome out = check(source_way.uri(), target_way.uri());

  for (const char* name : {"source.reach", "target.reach"}) {
    EXPECT_EQ(out.verdict(name), "warn") << out.output;
    EXPECT_NE(out.advice(name).find("closer to the target"), std::string::npos) << out.output;
  }
}

// A server whose clock is that much ahead: a wrapper that preloads skewed_clock.c.
RedisServer server_ahead(const TempDir& directory, int seconds) {
  ServerOptions options;
  options.release.name = "ahead";
  options.release.binary = directory.file("redis-server");
  write_file(options.release.binary,
             "#!/bin/sh\nexport KEYFERRY_TEST_SKEW_S=" + std::to_string(seconds) +
                 "\nexport LD_PRELOAD=" KEYFERRY_SKEWED_CLOCK "\nexec redis-server \"$@\"\n");
  chmod(options.release.binary.c_str(), 0755);
  return RedisServer(options);
}

TEST(CheckFindings, ClocksThatDiffer) {
  const TempDir directory;
  RedisServer source = server_ahead(directory, 90);
  RedisServer target = server_ahead(directory, -90);
  const CheckOutcome out = check(source.uri(), target.uri());

  EXPECT_EQ(out.code, 0) << out.output;
  EXPECT_EQ(out.verdict("source.clock"), "warn") << out.output;
  EXPECT_NE(out.text("source.clock").find("ahead of ours"), std::string::npos) << out.output;
  EXPECT_EQ(out.verdict("target.clock"), "warn") << out.output;
  EXPECT_NE(out.text("target.clock").find("behind ours"), std::string::npos) << out.output;
}

TEST(CheckFindings, ModulesThatTheTargetLacks) {
  RedisServer source = source_server({"--loadmodule", KEYFERRY_EMPTY_MODULE});
  RedisServer without = source_server();
  RedisServer with = source_server({"--loadmodule", KEYFERRY_EMPTY_MODULE});
  RedisServer silent = source_server();
  silent.command({"ACL", "SETUSER", "default", "-module"});

  const CheckOutcome lacks = check(source.uri(), without.uri());
  EXPECT_EQ(lacks.code, 1) << lacks.output;
  EXPECT_EQ(lacks.verdict("target.modules"), "fail") << lacks.output;
  EXPECT_NE(lacks.text("target.modules").find("emptytest"), std::string::npos) << lacks.output;
  EXPECT_EQ(check(source.uri(), with.uri()).verdict("target.modules"), "ok");
  EXPECT_EQ(check(source.uri(), silent.uri()).verdict("target.modules"), "warn");
}

TEST(CheckFindings, AServerThatIsLoading) {
  RedisServer filled = source_server();
  RedisServer target = source_server();
  fill_strings(filled, 3000, 10);
  filled.command({"SAVE"});
  const std::uint16_t port = free_port();
  ProcessOptions how;
  // A millisecond for each key, with a look at clients after every kibibyte.
  how.args = {"redis-server",
              "--port",
              std::to_string(port),
              "--bind",
              "127.0.0.1",
              "--dir",
              filled.directory(),
              "--key-load-delay",
              "1000",
              "--loading-process-events-interval-bytes",
              "1024"};
  Process loading(how);
  CheckOutcome out;
  ASSERT_TRUE(wait_for(Millis{2000}, [&] {
    try {
      return RespClient("127.0.0.1", port).command({"INFO"}).text.find("loading:1") !=
             std::string::npos;
    } catch (const std::runtime_error&) {
      return false;
    }
  }));
  out = check("redis://127.0.0.1:" + std::to_string(port), target.uri());

  EXPECT_EQ(out.verdict("source.loading"), "warn") << out.output;
}

// Each command that a link cannot do without, taken away by itself.
TEST(CheckFindings, EachRightThatIsMissing) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const char* const needed[] = {"set",  "del",    "restore",     "pexpireat",   "multi",
                                "exec", "select", "client|list", "client|kill", "watch"};
  for (const std::string rule : needed) {
    target.command({"ACL", "SETUSER", "w", "reset", "on", ">pw", "~*", "&*", "+@all", "-" + rule});
    const CheckOutcome out = check(source.uri(), "redis://w:pw@" + target.address());
    EXPECT_EQ(out.code, 1) << rule << out.output;
    EXPECT_EQ(out.verdict("target.rights"), "fail") << rule << out.output;
    EXPECT_NE(out.advice("target.rights").find(" +" + rule), std::string::npos) << out.output;
  }
  for (const std::string rule : {"psync", "replconf"}) {
    source.command({"ACL", "SETUSER", "r", "reset", "on", ">pw", "~*", "&*", "+@all", "-" + rule});
    const CheckOutcome out =
        check("redis://r:pw@" + source.address(), target.uri(), {"--set", "source.mode=psync"});
    EXPECT_EQ(out.code, 1) << rule << out.output;
    EXPECT_NE(out.advice("source.rights").find(" +" + rule), std::string::npos) << out.output;
  }
  source.command({"ACL", "SETUSER", "r", "reset", "on", ">pw", "~*", "&*", "+@all", "-acl"});
  const CheckOutcome blind = check("redis://r:pw@" + source.address(), target.uri());
  EXPECT_EQ(blind.verdict("source.rights"), "warn") << blind.output;
  EXPECT_NE(blind.advice("source.rights").find("+acl|dryrun"), std::string::npos) << blind.output;
}

TEST(CheckFindings, ASourceThatMustBeScanned) {
  RedisServer source =
      source_server({"--user", "app", "on", ">pw", "~*", "&*", "+@all", "-psync", "-sync",
                     "--client-output-buffer-limit", "pubsub 1mb 512kb 10"});
  RedisServer target = source_server();
  const std::string uri = "redis://app:pw@" + source.address();

  const CheckOutcome silent = check(uri, target.uri());
  EXPECT_EQ(silent.code, 1) << silent.output;
  EXPECT_EQ(silent.verdict("source.mode"), "warn") << silent.output;
  EXPECT_EQ(silent.verdict("source.notifications"), "fail") << silent.output;
  EXPECT_EQ(silent.verdict("source.subscriber_buffer"), "warn") << silent.output;

  source.command({"CONFIG", "SET", "notify-keyspace-events", "AE"});
  source.command({"ACL", "SETUSER", "app", "-scan", "-dump", "-psubscribe"});
  const CheckOutcome bare = check(uri, target.uri());
  EXPECT_EQ(bare.verdict("source.notifications"), "ok") << bare.output;
  EXPECT_EQ(bare.verdict("source.rights"), "fail") << bare.output;
  for (const char* rule : {"+scan", "+dump", "+psubscribe"})
    EXPECT_NE(bare.advice("source.rights").find(rule), std::string::npos) << bare.output;

  source.command({"ACL", "SETUSER", "app", "+@all", "-psync", "-config"});
  const CheckOutcome hidden = check(uri, target.uri());
  EXPECT_EQ(hidden.verdict("source.notifications"), "warn") << hidden.output;
  EXPECT_EQ(hidden.verdict("source.subscriber_buffer"), "warn") << hidden.output;
}

TEST(CheckFindings, WhatIsOurOwnToChange) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  target.command({"SET", "own", "1"});

  const CheckOutcome huge =
      check(source.uri(), target.uri(), {"--set", "spool.max_bytes=60000GiB"});
  EXPECT_EQ(huge.verdict("spool"), "warn") << huge.output;
  EXPECT_EQ(huge.verdict("target.empty"), "warn") << huge.output;
  const CheckOutcome off =
      check(source.uri(), target.uri(),
            {"--set", "spool.enabled=false", "--set", "target.before=flush", "--set",
             "target.topology=cluster", "--set", "filter.block.commands=[SETT]"});
  EXPECT_EQ(off.code, 1) << off.output;
  EXPECT_EQ(off.verdict("spool"), "warn") << off.output;
  EXPECT_EQ(off.verdict("memory"), "warn") << off.output;
  EXPECT_NE(off.text("target.empty").find("flush will remove"), std::string::npos) << off.output;
  EXPECT_EQ(off.verdict("target.cluster"), "fail") << off.output;
  EXPECT_EQ(off.verdict("rules"), "fail") << off.output;
}

TEST(CheckFindings, FilesThatCannotBeUsed) {
  RedisServer server = source_server();
  const TempDir directory;
  write_file(directory.file("not.rdb"), "no snapshot at all");
  write_file(directory.file("there.rdb"), "");

  const CheckOutcome source = check("file://" + directory.file("not.rdb"), server.uri());
  EXPECT_NE(source.code, 0) << source.output;
  EXPECT_EQ(source.verdict("source.file"), "fail") << source.output;
  const CheckOutcome target = check(server.uri(), "file://" + directory.file("there.rdb"));
  EXPECT_EQ(target.code, 1) << target.output;
  EXPECT_EQ(target.verdict("target.file"), "fail") << target.output;
}

}  // namespace
}  // namespace keyferry::test
