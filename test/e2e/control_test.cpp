// Steering a running link from outside: the commands that are clients, pause and resume, the token,
// and that no secret shows anywhere.
#include <signal.h>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

struct Outcome {
  int code = -1;
  std::string output;
};

// keyferry with exactly these arguments, until it ends.
Outcome command(const std::vector<std::string>& args,
                const std::map<std::string, std::string>& env = {}) {
  Keyferry program(KEYFERRY_BINARY);
  for (const auto& [name, value] : env)
    program.set_env(name, value);
  program.start(args);
  Outcome out;
  out.code = program.wait_exit(Millis{15000}).value_or(-1);
  out.output = program.output();
  return out;
}

std::string http_of(const Keyferry& link) {
  return "127.0.0.1:" + std::to_string(link.http_port());
}

TEST(Control, PauseKeepsReceivingAndResumeGoesOn) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const Outcome paused = command({"pause", "--http", http_of(link)});
  EXPECT_EQ(paused.code, 0) << paused.output;
  ASSERT_TRUE(link.wait_status("phase", "paused", Millis{5000}));
  source.command({"SET", "while", "paused"});
  // More than memory takes: the rest must be fetched from the source and kept on disk.
  RespClient client = source.client();
  const std::string value(100'000, 'v');
  for (int i = 0; i < 200; ++i)
    client.append({"SET", "big:" + std::to_string(i), value});
  client.flush();
  for (int i = 0; i < 200; ++i)
    client.read();
  const std::string offset = source.info("master_repl_offset");
  ASSERT_TRUE(link.wait_until(
      [&](const std::string& json) {
        return std::stoll(json_field(json, "stream.received_offset")) >= std::stoll(offset);
      },
      Millis{10000}))
      << link.status("stream");
  EXPECT_GT(std::stoll(link.status("spool.used_bytes")), 10'000'000);
  EXPECT_EQ(target.command({"EXISTS", "while"}).integer, 0);
  EXPECT_TRUE(link.wait_status("synced", "false", Millis{3000}));
  EXPECT_EQ(link.http_get("/readyz").status, 503);

  EXPECT_EQ(command({"resume", "--http", http_of(link)}).code, 0);
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  EXPECT_EQ(target.command({"GET", "while"}).text, "paused");
  EXPECT_EQ(command({"drain", "--http", http_of(link)}).code, 0);
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0) << link.output();
  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(Control, PauseInTheSnapshotAndStopWhilePaused) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 200'000, 200);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_until(
      [](const std::string& json) {
        return json_field(json, "phase") == "snapshot" &&
               std::stoll(json_field(json, "snapshot.keys_done")) > 0;
      },
      Millis{15000}));
  EXPECT_EQ(link.http_post("/pause").status, 202);
  std::this_thread::sleep_for(Millis{500});
  const std::int64_t before = target.command({"DBSIZE"}).integer;
  std::this_thread::sleep_for(Millis{500});
  EXPECT_EQ(target.command({"DBSIZE"}).integer, before);
  EXPECT_EQ(link.status("phase"), "paused");
  EXPECT_LT(before, 200'000);

  const Outcome stopped = command({"stop", "--http", http_of(link)});
  EXPECT_EQ(stopped.code, 0) << stopped.output;
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0) << link.output();
}

TEST(Control, ResyncCopiesEverythingAgain) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 1000, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  // As often as it is asked for: delivery.full_resyncs_per_hour is for what happens by itself.
  for (const char* times : {"1", "2", "3"}) {
    target.command({"SET", "spoilt", "by hand"});
    source.command({"INCR", "counter"});
    const auto reply = link.http_post("/resync");
    ASSERT_EQ(reply.status, 202) << reply.body;
    EXPECT_EQ(json_field(reply.body, "phase"), "snapshot");
    ASSERT_TRUE(link.wait_status("counters.full_resyncs", times, Millis{15000})) << link.output();
    ASSERT_TRUE(wait_for(Millis{15000}, [&] {
      return target.command({"EXISTS", "spoilt"}).integer == 0;
    })) << link.output();
    std::this_thread::sleep_for(Millis{300});  // a status that is older than that
    ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  }

  source.command({"INCR", "counter"});
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "");
}

// Which of its keys the source has deleted could not be told.
TEST(Control, ResyncIsRefusedWhereTheTargetHeldKeysBefore) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  target.command({"SET", "mine", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const auto reply = link.http_post("/resync");

  EXPECT_EQ(reply.status, 409);
  EXPECT_NE(reply.body.find("the target held keys"), std::string::npos) << reply.body;
  source.command({"SET", "a", "1"});
  drain(link);
  EXPECT_EQ(target.command({"EXISTS", "mine", "a"}).integer, 2);
}

TEST(Control, StatusShowsOneScreen) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const Outcome shown = command({"status"}, {{"KEYFERRY_HTTP_LISTEN", http_of(link)}});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_NE(shown.output.find("steady, synced"), std::string::npos) << shown.output;
  EXPECT_NE(shown.output.find("source    " + source.address()), std::string::npos) << shown.output;
  EXPECT_NE(shown.output.find("target    " + target.address()), std::string::npos) << shown.output;
  const Outcome json = command({"status", "--json", "--http", http_of(link)});
  EXPECT_EQ(json_field(json.output, "phase"), "steady") << json.output;

  drain(link);
  const Outcome gone = command({"status", "--http", http_of(link)});
  EXPECT_EQ(gone.code, 3);
  EXPECT_NE(gone.output.find("Connection refused"), std::string::npos) << gone.output;
}

TEST(Control, WatchShowsTheStatusUntilTheLinkIsGone) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  Keyferry watch(KEYFERRY_BINARY);
  watch.start({"status", "--watch", "--http", http_of(link)});
  const auto screens = [&watch](const std::string& phase) {
    const std::string shown = watch.output();
    int count = 0;
    for (std::size_t at = shown.find(phase); at != std::string::npos;
         at = shown.find(phase, at + 1))
      ++count;
    return count;
  };

  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return screens("  steady, synced") >= 2; }))
      << watch.output();
  link.http_post("/pause");
  EXPECT_TRUE(wait_for(Millis{5000}, [&] { return screens("  paused") >= 1; })) << watch.output();
  EXPECT_TRUE(watch.is_running());
  EXPECT_EQ(watch.output().find('\x1b'), std::string::npos) << "no terminal, no control codes";
  drain(link);

  EXPECT_EQ(watch.wait_exit(Millis{5000}), 3);
  EXPECT_NE(watch.output().find("Connection refused"), std::string::npos) << watch.output();
}

// Every place that a password or token could get out of.
TEST(Secrets, AppearNowhere) {
  const std::string password = "Sw0rdf1sh";
  const std::string token = "T0kenT0ken";
  ServerOptions guarded;
  guarded.args = {"--requirepass", password};
  guarded.password = password;
  RedisServer source(guarded);
  RedisServer target(guarded);
  Keyferry link(KEYFERRY_BINARY);
  const std::string token_file = link.directory().file("token");
  const std::string password_file = link.directory().file("password");
  write_file(token_file, token + "\n");
  write_file(password_file, password + "\n");
  link.run("redis://:" + password + "@" + source.address(), target.uri(),
           {"--set", "target.password_file=" + password_file, "--set",
            "http.token_file=" + token_file, "--set", "log.level=debug"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  // Trouble makes the log talk.
  target.restart();
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return target.command({"EXISTS", "a"}).integer == 1;
  })) << link.output();

  std::string said;
  for (const char* path : {"/", "/status", "/metrics", "/livez", "/readyz?verbose"})
    said += link.http_get(path).headers + link.http_get(path).body;
  EXPECT_EQ(link.http_post("/stop").status, 401);
  said += link.http_post("/stop").body;
  RespClient resp("127.0.0.1", link.resp_port());
  said += resp.command({"INFO", "everything"}).printable() + resp.command({"ROLE"}).printable();
  said += resp.command({"SHUTDOWN"}).printable() + resp.command({"AUTH", "wrong"}).printable();
  const Outcome shown = command(
      {"config", "show", "--source", "redis://u:" + password + "@a", "--target", "redis://b",
       "--set", "target.password_file=" + password_file, "--set", "http.token_file=" + token_file,
       "--set", "source.sentinel.password_file=" + password_file});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_NE(shown.output.find("redis://u:***@a"), std::string::npos) << shown.output;
  said += shown.output;
  const Outcome wrong = command({"drain", "--http", http_of(link)});
  EXPECT_EQ(wrong.code, 3) << wrong.output;
  said += wrong.output;
  EXPECT_EQ(command({"drain", "--http", http_of(link), "--token-file", token_file}).code, 0);
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0) << link.output();
  said += link.output();

  EXPECT_GT(said.size(), 5000u);
  EXPECT_EQ(said.find(password), std::string::npos);
  EXPECT_EQ(said.find(token), std::string::npos);
}

TEST(Secrets, RotateWithoutARestart) {
  ServerOptions guarded;
  guarded.args = {"--requirepass", "one"};
  guarded.password = "one";
  RedisServer source = source_server();
  RedisServer target(guarded);
  Keyferry link(KEYFERRY_BINARY);
  const std::string file = link.directory().file("password");
  write_file(file, "one\n");
  link.run(source.uri(), target.uri(), {"--set", "target.password_file=" + file});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  RespClient admin = target.client();
  admin.must({"CONFIG", "SET", "requirepass", "two"});
  write_file(file, "two\n");
  link.process().send_signal(SIGHUP);
  admin.must({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
  source.command({"SET", "a", "1"});
  ASSERT_TRUE(wait_for(Millis{15000}, [&] {
    return admin.command({"EXISTS", "a"}).integer == 1;
  })) << link.output();
  EXPECT_NE(link.output().find("SIGHUP"), std::string::npos) << link.output();
  drain(link);
}

TEST(RespListenerLink, ShutdownWithTheTokenDrains) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  write_file(link.directory().file("token"), "sesame\n");
  link.run(source.uri(), target.uri(),
           {"--set", "http.token_file=" + link.directory().file("token")});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  RespClient resp("127.0.0.1", link.resp_port());
  EXPECT_TRUE(resp.command({"SHUTDOWN"}).is_error());
  EXPECT_TRUE(link.is_running());
  resp.must({"AUTH", "sesame"});
  resp.must({"SHUTDOWN"});
  EXPECT_EQ(link.wait_exit(Millis{15000}), 0) << link.output();
}

TEST(HttpListen, BeyondLoopbackNeedsAToken) {
  const Outcome refused = command({"run", "--source", "redis://127.0.0.1:1", "--target",
                                   "redis://127.0.0.1:2", "--http", "0.0.0.0:8484"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.output.find("http.token_file"), std::string::npos) << refused.output;
}

}  // namespace
}  // namespace keyferry::test
