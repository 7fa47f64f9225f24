// Files as a target: what real servers and redis-cli make of them is compared with the source.
#include <csignal>
#include <filesystem>

#include "link.hpp"
#include "support/dataset.hpp"

namespace keyferry::test {
namespace {

namespace fs = std::filesystem;

RedisServer server_of(const std::string& name, std::vector<std::string> args = {}) {
  ServerOptions options;
  if (!name.empty()) options.release = release(name);
  options.args = std::move(args);
  return RedisServer(std::move(options));
}

int run_to_end(Keyferry& link, const std::string& source, const std::string& target,
               const std::vector<std::string>& more = {}) {
  link.run(source, target, more);
  return link.wait_exit(Millis{60000}).value_or(99);
}

DatasetOptions dataset(std::size_t keys = 1500) {
  DatasetOptions options;
  options.keys = keys;
  return options;
}

void shell(const std::string& line) {
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

// A server of the same release that loads `file` as its dump.rdb when it starts.
void load_dump(RedisServer& server, const std::string& file) {
  server.stop();
  fs::copy_file(file, server.directory() + "/dump.rdb", fs::copy_options::overwrite_existing);
  server.restart();
}

// --- .rdb

class RdbFileOf : public testing::TestWithParam<const char*> {};

TEST_P(RdbFileOf, OfEveryTypeIsLoadedByAServerOfThatRelease) {
  RedisServer source = server_of(GetParam());
  RedisServer loader = server_of(GetParam());
  DatasetOptions options = dataset();
  options.field_ttls = true;
  fill(source, options);
  source.command({"SET", "keyferry:{x}:y", "a record of somebody's link"});
  const std::string file = source.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file), 0) << link.output();

  load_dump(loader, file);
  EXPECT_EQ(loader.command({"EXISTS", "keyferry:{x}:y"}).integer, 0);
  source.command({"DEL", "keyferry:{x}:y"});
  EXPECT_EQ(describe(compare(source, loader)), "") << link.output();
  EXPECT_FALSE(fs::exists(file + ".part"));
}

INSTANTIATE_TEST_SUITE_P(Release, RdbFileOf,
                         testing::Values("", "redis-6.0", "redis-8.0", "valkey-9.1"),
                         [](const auto& one) {
                           std::string name = *one.param == '\0' ? "redis-7.0" : one.param;
                           for (char& c : name)
                             c = c == '-' || c == '.' ? '_' : c;
                           return name;
                         });

TEST(RdbFile, PassesTheServersOwnCheckCompressedOrNot) {
  RedisServer source = server_of("");
  fill(source, dataset());
  const std::string plain = source.directory() + "/out.rdb";
  const std::string gzip = source.directory() + "/out.rdb.gz";
  const std::string zstd = source.directory() + "/out.rdb.zst";
  for (const std::string& file : {plain, gzip, zstd}) {
    Keyferry link(KEYFERRY_BINARY);
    EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file), 0) << link.output();
  }

  shell("redis-check-rdb " + plain + " > " + plain + ".check");
  shell("gunzip -t " + gzip);
  shell("zstd -q -t " + zstd);
  EXPECT_LT(fs::file_size(zstd), fs::file_size(plain));
  EXPECT_NE(read_file(plain + ".check").find("RDB looks OK!"), std::string::npos);
}

TEST(RdbFile, MadeFromAFileOfAnOlderReleaseKeepsItsValuesAsTheyAre) {
  RedisServer source = server_of("redis-6.0");
  RedisServer loader = server_of("redis-6.0");
  fill(source, dataset());
  source.command({"SAVE"});
  const std::string file = source.directory() + "/copy.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, "file://" + source.directory() + "/dump.rdb", "file://" + file,
                       {"--set", "target.file.release=redis-6.0"}),
            0)
      << link.output();

  load_dump(loader, file);
  EXPECT_EQ(describe(compare(source, loader)), "") << link.output();
}

TEST(RdbFile, WithoutAPlaceForAValueNamesIt) {
  RedisServer source = server_of("");
  source.command({"HSET", "a hash", "f", "v"});
  const std::string file = source.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(
      run_to_end(link, source.uri(), "file://" + file, {"--set", "target.file.release=redis-6.0"}),
      1)
      << link.output();

  EXPECT_NE(link.output().find("key \"a hash\" (database 0): its type 16 (hash_listpack) has no "
                               "place in an RDB of version 9"),
            std::string::npos)
      << link.output();
  EXPECT_FALSE(fs::exists(file)) << "a file under its name is complete";
}

TEST(RdbFile, IsNeverWrittenOverAnotherUnlessToldTo) {
  RedisServer source = server_of("");
  const std::string file = source.directory() + "/out.rdb";
  write_file(file, "precious");
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file), 2) << link.output();
  EXPECT_EQ(read_file(file), "precious");
  EXPECT_EQ(run_to_end(link, source.uri(), "file://" + file, {"--set", "target.before=flush"}), 0)
      << link.output();
  EXPECT_TRUE(read_file(file).starts_with("REDIS0010"));
}

// --- .resp

LiveOptions busy(std::uint64_t seed) {
  LiveOptions live;
  live.dataset = dataset(600);
  live.seed = seed;
  live.commands_per_s = 3000;
  return live;
}

// Runs a link to `file` under a writer until the file has everything.
void follow(RedisServer& source, const std::string& file, std::uint64_t seed,
            const std::vector<std::string>& more = {}) {
  const LiveOptions live = busy(seed);
  fill(source, live.dataset);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file, more);
  LiveWriter writer(source, live);
  wait_streaming(link);
  std::this_thread::sleep_for(Millis{800});
  writer.stop();
  drain(link);
}

TEST(RespFile, GoesThroughRedisCliIntoAnEqualServer) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const std::string file = source.directory() + "/out.resp";
  follow(source, file, 51);

  shell("redis-cli -p " + std::to_string(target.port()) + " --pipe < " + file + " > " + file +
        ".log");

  EXPECT_EQ(describe(compare(source, target)), "") << read_file(file + ".log");
  EXPECT_NE(read_file(file + ".log").find("errors: 0"), std::string::npos);
}

TEST(RespFile, IsRotatedBySizeAndEachPartStandsAlone) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const std::string folder = source.directory();
  follow(source, folder + "/out.resp.gz", 52, {"--set", "target.file.rotate_bytes=100KiB"});
  ASSERT_TRUE(fs::exists(folder + "/out.2.resp.gz"));

  for (int i = 1; fs::exists(folder + "/out." + std::to_string(i) + ".resp.gz") || i == 1; ++i) {
    const std::string file = i == 1 ? "/out.resp.gz" : "/out." + std::to_string(i) + ".resp.gz";
    shell("gunzip -c " + folder + file + " | redis-cli -p " + std::to_string(target.port()) +
          " --pipe > /dev/null");
  }

  EXPECT_EQ(describe(compare(source, target)), "");
}

TEST(RespFile, IsLoadedByKeyferryItself) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  const std::string file = source.directory() + "/out.resp.zst";
  follow(source, file, 53);
  Keyferry load(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(load, "file://" + file, target.uri()), 0) << load.output();

  EXPECT_EQ(describe(compare(source, target)), "") << load.output();
}

TEST(RespFile, IsMadeFromAnAppendOnlyFile) {
  RedisServer source = source_server({"--appendonly", "yes"});
  RedisServer target = source_server();
  fill(source, dataset(600));
  const std::string file = source.directory() + "/out.resp";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, "file://" + source.directory() + "/appendonlydir", "file://" + file),
            0)
      << link.output();
  shell("redis-cli -p " + std::to_string(target.port()) + " --pipe < " + file + " > /dev/null");

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

// --- .jsonl

TEST(JsonFile, HoldsOneObjectPerKeyAndCommandAndEveryByte) {
  RedisServer source = source_server();
  source.command({"SET", std::string("k\xff\0", 3), "a\"b"});
  source.command({"RPUSH", "list", "x", "\xe2\x82\xac"});
  const std::string file = source.directory() + "/out.jsonl";
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + file);
  wait_streaming(link);
  RespClient client = source.client();
  client.must({"SELECT", "3"});
  client.must({"SET", "s", std::string("\x01\xfe", 2)});
  drain(link);

  const std::string text = read_file(file);
  for (const char* line : {"{\"key\":{\"base64\":\"a/8A\"},\"db\":0,\"type\":\"string\"",
                           "\"value\":\"a\\\"b\"", "\"value\":[\"x\",\"\xe2\x82\xac\"]",
                           "{\"db\":3,\"command\":[\"SET\",\"s\",{\"base64\":\"Af4=\"}]}\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
  shell("python3 -c 'import json,sys; [json.loads(l) for l in open(\"" + file + "\")]'");
}

// --- filter and mapping

// What a link with the same rules brings to a server.
TEST(FileRules, HoldInEveryFormatAsTheyDoAtAServer) {
  const std::vector<std::string> rules = {"--set", "filter.block.prefixes=[\"tmp:\"]",
                                          "--set", "filter.block.types=[zset]",
                                          "--set", "databases.map={1: 5}",
                                          "--set", "transform.key_prefix.replace={\"a:\": \"b:\"}",
                                          "--set", "transform.ttl=+1h"};
  RedisServer source = source_server();
  RespClient client = source.client();
  const auto write = [&client](const std::string& n) {
    for (const char* db : {"0", "1"}) {
      client.must({"SELECT", db});
      client.must({"SET", "a:" + n, "1", "EX", "5000"});
      client.must({"RPUSH", "list:" + n, std::string(70000, 'l'), "x"});
      client.must({"SET", "tmp:" + n, "1"});
      client.must({"ZADD", "z:" + n, "1", "m"});
      client.must({"MSET", "tmp:" + n, "2", "a:m" + n, "2"});
      client.must({"INCR", "a:count"});
    }
  };
  write("1");
  for (int i = 0; i < 300; ++i)  // in pieces
    client.must({"RPUSH", "long", std::string(10000, 'x')});
  RedisServer server = source_server();
  const std::string folder = source.directory();
  Keyferry to_server(KEYFERRY_BINARY);
  Keyferry to_resp(KEYFERRY_BINARY);
  Keyferry to_manifest(KEYFERRY_BINARY);
  Keyferry to_rdb(KEYFERRY_BINARY);
  to_server.run(source.uri(), server.uri(), rules);
  to_resp.run(source.uri(), "file://" + folder + "/x.resp", rules);
  to_manifest.run(source.uri(), "file://" + folder + "/x.manifest", rules);
  for (Keyferry* link : {&to_server, &to_resp, &to_manifest})
    wait_streaming(*link);
  write("2");
  write("1");
  for (Keyferry* link : {&to_server, &to_resp, &to_manifest})
    drain(*link);
  EXPECT_EQ(run_to_end(to_rdb, source.uri(), "file://" + folder + "/x.rdb", rules), 0)
      << to_rdb.output();

  EXPECT_EQ(server.client().must({"EXISTS", "b:1", "b:2", "list:2", "a:1"}).integer, 3);
  RespClient mapped = server.client();
  mapped.must({"SELECT", "5"});
  EXPECT_EQ(mapped.must({"EXISTS", "b:1", "long", "tmp:1", "z:1"}).integer, 2);
  for (const char* file : {"/x.resp", "/x.manifest", "/x.rdb"}) {
    RedisServer loaded = source_server();
    Keyferry load(KEYFERRY_BINARY);
    EXPECT_EQ(run_to_end(load, "file://" + folder + file, loaded.uri(),
                         {"--set", "delivery.mode=at_least_once"}),
              0)
        << load.output();
    EXPECT_EQ(describe(compare(loaded, server)), "") << file;
  }
}

// --- the source has lost what comes next

// Lets the source write more than it remembers while nobody reads.
void lose_history(RedisServer& source, Keyferry& link) {
  kill(link.process().pid(), SIGSTOP);
  source.command({"CLIENT", "KILL", "TYPE", "replica"});
  source.command({"DEL", "gone"});
  RespClient client = source.client();
  for (int i = 0; i < 200; ++i)
    client.must({"SET", "big:" + std::to_string(i), std::string(10000, 'b')});
  kill(link.process().pid(), SIGCONT);
  ASSERT_TRUE(link.wait_status("counters.full_resyncs", "1", Millis{20000})) << link.output();
  wait_streaming(link);
}

TEST(AnotherFullSync, LeavesFilesThatCanBeRestored) {
  for (const char* file : {"/x.resp", "/x.manifest"}) {
    RedisServer source = source_server({"--repl-backlog-size", "16kb"});
    const std::string folder = source.directory();
    Keyferry link(KEYFERRY_BINARY);
    source.command({"SET", "gone", "1"});
    link.run(source.uri(), "file://" + folder + file,
             {"--set", "target.file.fsync_interval_ms=50"});
    wait_streaming(link);
    source.command({"INCR", "n"});
    ASSERT_TRUE(link.wait_status("lag.bytes", "0", Millis{10000})) << link.output();
    lose_history(source, link);
    source.command({"INCR", "n"});
    drain(link);

    RedisServer now = source_server();
    Keyferry load(KEYFERRY_BINARY);
    EXPECT_EQ(run_to_end(load, "file://" + folder + file, now.uri()), 0) << load.output();
    EXPECT_EQ(describe(compare(source, now)), "") << link.output();
    if (std::string(file) == "/x.resp") continue;
    RedisServer older = source_server();
    EXPECT_EQ(run_to_end(load, "file://" + folder + "/x.1.manifest", older.uri()), 0)
        << load.output();
    EXPECT_EQ(older.command({"GET", "n"}).text, "1");
    EXPECT_EQ(older.command({"GET", "gone"}).text, "1");
  }
}

// --- .manifest: a continuous backup

TEST(Backup, IsAnAppendOnlyFileThatAServerStartsFrom) {
  RedisServer source = source_server();
  RedisServer loader = source_server();
  loader.stop();
  fs::create_directory(loader.directory() + "/appendonlydir");
  follow(source, loader.directory() + "/appendonlydir/appendonly.aof.manifest", 54,
         {"--set", "target.file.rotate_bytes=100KiB"});

  loader.restart({"--appendonly", "yes"});

  EXPECT_EQ(describe(compare(source, loader)), "");
  EXPECT_TRUE(fs::exists(loader.directory() + "/appendonlydir/appendonly.aof.2.incr.aof"));
}

TEST(Backup, IsRestoredToAnyMomentKept) {
  RedisServer source = source_server();
  const std::string manifest = source.directory() + "/b.manifest";
  source.command({"SET", "n", "0"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + manifest);
  wait_streaming(link);
  std::vector<std::int64_t> moments;
  for (int i = 1; i <= 2; ++i) {
    source.command({"SET", "n", std::to_string(i)});
    std::this_thread::sleep_for(Millis{1200});
    moments.push_back(std::stoll(source.command({"TIME"}).items[0].text));
    std::this_thread::sleep_for(Millis{1200});
  }
  drain(link);

  for (int i = 1; i <= 2; ++i) {
    RedisServer target = source_server();
    Keyferry load(KEYFERRY_BINARY);
    EXPECT_EQ(run_to_end(load, "file://" + manifest, target.uri(),
                         {"--set", "source.aof.until=" +
                                       std::to_string(moments[static_cast<std::size_t>(i - 1)])}),
              0)
        << load.output();
    EXPECT_EQ(target.command({"GET", "n"}).text, std::to_string(i)) << load.output();
  }
}

TEST(Backup, KilledKeepsWhatWasSyncedAndTheNextRunBeginsAnotherBase) {
  RedisServer source = source_server();
  const std::string folder = source.directory();
  const std::vector<std::string> quick = {"--set", "target.file.fsync_interval_ms=50"};
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), "file://" + folder + "/b.manifest", quick);
  wait_streaming(link);
  for (int i = 0; i < 1000; ++i)
    source.command({"INCR", "n"});
  std::this_thread::sleep_for(Millis{500});
  link.process().kill9();

  RedisServer first = source_server();
  Keyferry load(KEYFERRY_BINARY);
  EXPECT_EQ(run_to_end(load, "file://" + folder + "/b.manifest", first.uri()), 0) << load.output();
  EXPECT_EQ(first.command({"GET", "n"}).text, "1000");

  link.run(source.uri(), "file://" + folder + "/b.manifest", quick);
  wait_streaming(link);
  source.command({"INCR", "n"});
  drain(link);
  RedisServer second = source_server();
  RedisServer older = source_server();
  EXPECT_EQ(run_to_end(load, "file://" + folder + "/b.manifest", second.uri()), 0) << load.output();
  EXPECT_EQ(second.command({"GET", "n"}).text, "1001");
  EXPECT_EQ(run_to_end(load, "file://" + folder + "/b.1.manifest", older.uri()), 0)
      << load.output();
  EXPECT_EQ(older.command({"GET", "n"}).text, "1000");
}

}  // namespace
}  // namespace keyferry::test
