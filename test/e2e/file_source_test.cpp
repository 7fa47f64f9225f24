// Files as a source: snapshots and append-only files of real servers, whole and damaged, into real
// targets, compared with the server that wrote them.
#include <filesystem>

#include "link.hpp"
#include "support/cluster.hpp"
#include "support/dataset.hpp"

namespace keyferry::test {
namespace {

namespace fs = std::filesystem;

RedisServer server_of(const std::string& name, std::vector<std::string> args) {
  ServerOptions options;
  if (!name.empty()) options.release = release(name);
  options.args = std::move(args);
  return RedisServer(std::move(options));
}

int load(Keyferry& link, const std::string& source, const std::string& target,
         const std::vector<std::string>& more = {}) {
  link.run(source, target, more);
  return link.wait_exit(Millis{60000}).value_or(99);
}

// A dump.rdb of every type, made once.
class Dump {
 public:
  Dump() {
    DatasetOptions options;
    options.keys = 600;
    fill(server_, options);
    server_.command({"SAVE"});
  }
  const RedisServer& server() const { return server_; }
  std::string file() const { return server_.directory() + "/dump.rdb"; }
  // A copy that a command line made of it: `command` reads dump.rdb and writes to `name`.
  std::string made_by(const std::string& command, const std::string& name) const {
    const std::string path = server_.directory() + "/" + name;
    const std::string line = "cat " + file() + " | " + command + " > " + path;
    if (std::system(line.c_str()) != 0) throw std::runtime_error(line);
    return path;
  }

 private:
  RedisServer server_ = source_server();
};

TEST(SnapshotFile, IsLoadedAndTheRunEndsByItself) {
  const Dump dump;
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file://" + dump.file(), target.uri()), 0) << link.output();

  EXPECT_EQ(describe(compare(dump.server(), target)), "") << link.output();
  EXPECT_EQ(key_count(target), key_count(dump.server())) << "no record of ours is left behind";
}

TEST(SnapshotFile, IsDecompressedByItsMagicWhateverItsName) {
  const Dump dump;
  const std::string gzip = dump.made_by("gzip -c", "dump.rdb.gz");
  const std::string zstd = dump.made_by("zstd -c", "dump");
  for (const std::string& path : {gzip, zstd}) {
    RedisServer target = source_server();
    Keyferry link(KEYFERRY_BINARY);

    EXPECT_EQ(load(link, "file://" + path, target.uri()), 0) << link.output();

    EXPECT_EQ(describe(compare(dump.server(), target)), "") << path << "\n" << link.output();
  }
}

TEST(SnapshotFile, ComesThroughStandardInput) {
  const Dump dump;
  RedisServer target = source_server();
  Keyferry shell("/bin/sh");
  const std::string line = std::string("gzip -c < ") + dump.file() + " | " + KEYFERRY_BINARY +
                           " run --source - --target " + target.uri() +
                           " --set http.listen= --set admin.resp_listen=";
  shell.start({"-c", line});

  EXPECT_EQ(shell.wait_exit(Millis{60000}).value_or(99), 0) << shell.output();

  EXPECT_EQ(describe(compare(dump.server(), target)), "") << shell.output();
}

TEST(SnapshotFile, GoesToACluster) {
  DatasetOptions options;
  options.keys = 600;
  options.cluster_safe = true;
  RedisServer source = source_server();
  fill(source, options);
  source.command({"SAVE"});
  RedisCluster target;
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file://" + source.directory() + "/dump.rdb", target.uri()), 0)
      << link.output();

  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

TEST(SnapshotFile, WithADamagedByteOrACutEndIsRefusedWithItsPlace) {
  const Dump dump;
  const std::string bytes = read_file(dump.file());
  struct Case {
    std::string file;
    std::string text;
  };
  std::string flipped = bytes;
  flipped[bytes.size() / 2] ^= 0x20;
  std::string wrong_sum = bytes;
  wrong_sum.back() ^= 1;
  const Case cases[] = {{bytes.substr(0, bytes.size() / 2), "cut off"},
                        {wrong_sum, "checksum"},
                        {flipped, ""},
                        {"", "the file is empty"},
                        {"hello", "neither a snapshot nor an append-only file"}};
  for (const Case& one : cases) {
    RedisServer target = source_server();
    const std::string path = dump.server().directory() + "/damaged.rdb";
    write_file(path, one.file);
    Keyferry link(KEYFERRY_BINARY);

    EXPECT_EQ(load(link, "file://" + path, target.uri()), 4) << link.output();

    EXPECT_NE(link.output().find("damaged.rdb"), std::string::npos) << link.output();
    EXPECT_NE(link.output().find(one.text), std::string::npos) << link.output();
    EXPECT_EQ(link.output().find("done"), std::string::npos) << link.output();
    EXPECT_EQ(target.command({"DBSIZE"}).integer, 0) << "damage is known before";
  }
}

TEST(SnapshotFile, CompressedAndCutOffIsRefused) {
  const Dump dump;
  const std::string gzip = dump.made_by("gzip -c | head -c 20000", "cut.rdb.gz");
  const std::string zstd = dump.made_by("zstd -c | head -c 20000", "cut.rdb.zst");
  for (const std::string& path : {gzip, zstd}) {
    RedisServer target = source_server();
    Keyferry link(KEYFERRY_BINARY);

    EXPECT_EQ(load(link, "file://" + path, target.uri()), 4) << link.output();

    EXPECT_NE(link.output().find("cut off at byte 20000"), std::string::npos) << link.output();
  }
}

TEST(SnapshotFile, IsLookedAtByCheck) {
  const Dump dump;
  RedisServer target = source_server();
  Keyferry check(KEYFERRY_BINARY);
  check.start({"check", "--source", "file://" + dump.file(), "--target", target.uri()});
  EXPECT_EQ(check.wait_exit(Millis{10000}).value_or(99), 0) << check.output();
  EXPECT_NE(check.output().find("dump.rdb: snapshot, 1 file"), std::string::npos) << check.output();

  check.start({"check", "--source", "file:///no/dump.rdb", "--target",
               "file://" + dump.server().directory() + "/dump.rdb"});
  EXPECT_EQ(check.wait_exit(Millis{10000}).value_or(99), 1) << check.output();
  for (const char* words : {"fail  source.file  /no/dump.rdb: No such file or directory",
                            "fail  target.file", "dump.rdb is there already"}) {
    EXPECT_NE(check.output().find(words), std::string::npos) << check.output();
  }
}

TEST(SnapshotFile, ThatIsNotThereLeavesTheTargetAlone) {
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file:///no/such/dump.rdb", target.uri()), 4);

  EXPECT_NE(link.output().find("/no/such/dump.rdb: No such file or directory"), std::string::npos)
      << link.output();
}

// --- append-only files

// A server with an append-only file that was rewritten in between: a base and commands behind it.
struct AofCase {
  const char* name;
  const char* release;  // "" = the installed 7.0
  std::vector<std::string> args;
  const char* file;  // in its folder
};

void PrintTo(const AofCase& one, std::ostream* out) {
  *out << one.name;
}

class AppendOnly : public testing::TestWithParam<AofCase> {};

void wait_rewritten(const RedisServer& server) {
  server.command({"BGREWRITEAOF"});
  ASSERT_TRUE(wait_for(Millis{20000}, [&] {
    return server.info("aof_rewrite_in_progress") == "0" &&
           server.info("aof_rewrite_scheduled") == "0" &&
           server.info("aof_last_bgrewrite_status") == "ok";
  }));
}

void write_for_a_while(const RedisServer& server, const DatasetOptions& dataset,
                       std::uint64_t commands) {
  LiveOptions live;
  live.dataset = dataset;
  live.commands_per_s = 0;
  LiveWriter writer(server, live);
  wait_for(Millis{20000}, [&] { return writer.commands() > commands; });
  writer.stop();
  EXPECT_TRUE(writer.errors().empty()) << writer.errors().front();
}

DatasetOptions some_keys() {
  DatasetOptions options;
  options.keys = 600;
  return options;
}

TEST_P(AppendOnly, IsLoadedWithEverythingThatFollowsItsBase) {
  std::vector<std::string> args = {"--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"};
  args.insert(args.end(), GetParam().args.begin(), GetParam().args.end());
  RedisServer source = server_of(GetParam().release, args);
  RedisServer target = server_of(GetParam().release, {});
  fill(source, some_keys());
  wait_rewritten(source);
  write_for_a_while(source, some_keys(), 3000);
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file://" + source.directory() + "/" + GetParam().file, target.uri()), 0)
      << link.output();

  source.restart();  // what the server itself makes of its file is the measure
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

const AofCase aof_cases[] = {
    {"Redis60WithPreamble", "redis-6.0", {}, "appendonly.aof"},
    {"Redis60Plain", "redis-6.0", {"--aof-use-rdb-preamble", "no"}, "appendonly.aof"},
    {"Redis70", "", {}, "appendonlydir/appendonly.aof.manifest"},
    {"Redis70Folder", "", {"--aof-timestamp-enabled", "yes"}, "appendonlydir"},
    {"Redis70PlainBase", "", {"--aof-use-rdb-preamble", "no"}, "appendonlydir"},
    {"Redis80", "redis-8.0", {}, "appendonlydir"},
    {"Valkey90", "valkey-9.1", {"--aof-timestamp-enabled", "yes"}, "appendonlydir"},
};

INSTANTIATE_TEST_SUITE_P(File, AppendOnly, testing::ValuesIn(aof_cases),
                         [](const auto& one) { return std::string(one.param.name); });

// A server killed in the middle of a rewrite leaves a manifest with two incremental files.
TEST(AppendOnlySet, WithSeveralIncrementsIsLoadedWhole) {
  RedisServer source = source_server({"--appendonly", "yes", "--rdb-key-save-delay", "20000"});
  fill(source, some_keys());
  source.command({"BGREWRITEAOF"});
  source.command({"SET", "behind", "the rewrite's begin"});
  source.kill9();
  source.restart({"--rdb-key-save-delay", "0"});
  source.command({"SET", "behind", "the restart"});
  const std::string folder = source.directory() + "/appendonlydir";
  const std::string manifest = read_file(folder + "/appendonly.aof.manifest");
  ASSERT_NE(manifest.find("2.incr.aof"), std::string::npos) << manifest;
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file://" + folder, target.uri()), 0) << link.output();

  EXPECT_EQ(describe(compare(source, target)), "") << manifest << link.output();
}

// What is wrong with a set of files is found before the target is written to.
TEST(AppendOnlySet, DamagedOrIncompleteLeavesTheTargetAlone) {
  RedisServer source = source_server({"--appendonly", "yes"});
  fill(source, some_keys());
  wait_rewritten(source);
  source.command({"SET", "a", "b"});
  const std::string folder = source.directory() + "/appendonlydir";
  const std::string manifest = folder + "/appendonly.aof.manifest";
  const std::string text = read_file(manifest);
  const std::string base = folder + "/appendonly.aof.2.base.rdb";
  const std::string increment = folder + "/appendonly.aof.2.incr.aof";
  ASSERT_TRUE(fs::exists(base) && fs::exists(increment)) << text;
  source.stop();
  RedisServer target = source_server();
  target.command({"SET", "kept", "1"});
  const auto refused = [&](const std::string& words) {
    Keyferry link(KEYFERRY_BINARY);
    EXPECT_EQ(load(link, "file://" + folder, target.uri()), 4) << link.output();
    EXPECT_NE(link.output().find(words), std::string::npos) << link.output();
    EXPECT_EQ(key_count(target), 1u) << link.output();
  };

  write_file(manifest, text.substr(0, text.size() - 5));
  refused("the last line is cut off");
  write_file(manifest, "file x seq 1 type q\n");
  refused("line 1: the type of a file is none of b, i and h");
  write_file(manifest, text);
  fs::rename(base, base + ".away");
  refused("appendonly.aof.2.base.rdb: No such file or directory");
  fs::rename(base + ".away", base);
  const std::string commands = read_file(increment);
  write_file(increment, read_file(base));
  refused("it holds a snapshot where only commands may be");
  write_file(increment, commands);
  fs::remove(manifest);
  refused("the folder holds no manifest");
}

// --- the tail

class Tail : public testing::Test {
 protected:
  // Ten INCRs and an open transaction that was cut off.
  Tail() {
    source_.command({"SET", "a", "0"});
    for (int i = 0; i < 10; ++i)
      source_.command({"INCR", "a"});
    source_.stop();
    whole_ = read_file(file());
  }
  std::string folder() const { return source_.directory() + "/appendonlydir"; }
  std::string file() const { return folder() + "/appendonly.aof.1.incr.aof"; }
  int load_tail(const std::vector<std::string>& more) {
    return load(link_, "file://" + folder(), target_.uri(), more);
  }
  Reply value() const { return target_.command({"GET", "a"}); }

  RedisServer source_ = source_server({"--appendonly", "yes"});
  RedisServer target_ = source_server();
  Keyferry link_{KEYFERRY_BINARY};
  std::string whole_;
};

const std::vector<std::string> keep = {"--set", "source.aof.on_truncated=keep"};

TEST_F(Tail, CutInsideACommandIsAnErrorUnlessToldToKeepTheRest) {
  write_file(file(), whole_.substr(0, whole_.size() - 7));

  EXPECT_EQ(load_tail({}), 4) << link_.output();
  EXPECT_NE(link_.output().find("the last command is cut off: what is whole ends in "
                                "appendonly.aof.1.incr.aof at byte " +
                                std::to_string(whole_.size() - 21)),
            std::string::npos)
      << link_.output();
  EXPECT_EQ(target_.command({"DBSIZE"}).integer, 0) << "damage is known before";
  EXPECT_EQ(load_tail(keep), 0) << link_.output();
  EXPECT_EQ(value().text, "9");
}

TEST_F(Tail, CutInsideATransactionLosesAllOfIt) {
  write_file(file(), whole_ + "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n");

  EXPECT_EQ(load_tail({}), 4) << link_.output();
  EXPECT_EQ(load_tail(keep), 0) << link_.output();
  EXPECT_EQ(value().text, "10");
}

TEST_F(Tail, DamageIsNoTruncation) {
  std::string damaged = whole_;
  damaged[damaged.size() - 21] = 'x';
  write_file(file(), damaged);

  EXPECT_EQ(load_tail(keep), 4) << link_.output();
  EXPECT_NE(link_.output().find("appendonly.aof.1.incr.aof at byte " +
                                std::to_string(whole_.size() - 21)),
            std::string::npos)
      << link_.output();
}

TEST_F(Tail, OfAFileWithOthersBehindItIsAlwaysAnError) {
  write_file(file(), whole_.substr(0, whole_.size() - 7));
  write_file(folder() + "/appendonly.aof.2.incr.aof", "*2\r\n$4\r\nINCR\r\n$1\r\na\r\n");
  const std::string manifest = folder() + "/appendonly.aof.manifest";
  write_file(manifest, read_file(manifest) + "file appendonly.aof.2.incr.aof seq 2 type i\n");

  EXPECT_EQ(load_tail(keep), 4) << link_.output();
  EXPECT_NE(link_.output().find("the file ends inside a command, and others follow it"),
            std::string::npos)
      << link_.output();
}

// --- moments

TEST(PointInTime, EndsInFrontOfTheFirstCommandBehindIt) {
  RedisServer source = source_server({"--appendonly", "yes", "--aof-timestamp-enabled", "yes"});
  source.command({"SET", "a", "1"});
  source.command({"SELECT", "0"});
  std::this_thread::sleep_for(Millis{1100});
  source.command({"SET", "b", "2"});
  const std::int64_t now_s = std::stoll(source.command({"TIME"}).items[0].text);
  std::this_thread::sleep_for(Millis{2100});
  source.command({"SET", "c", "3"});
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(load(link, "file://" + source.directory() + "/appendonlydir", target.uri(),
                 {"--set", "source.aof.until=" + std::to_string(now_s)}),
            0)
      << link.output();

  EXPECT_EQ(target.command({"EXISTS", "a", "b"}).integer, 2) << link.output();
  EXPECT_EQ(target.command({"EXISTS", "c"}).integer, 0) << link.output();
}

// --- expiry

// A server that loads such a file lets nothing expire while it does.
TEST(AppendOnlySet, RenewsKeysThatHadExpiredInBetween) {
  for (const char* name : {"redis-6.0", "", "valkey-9.1"}) {
    RedisServer source = server_of(name, {"--appendonly", "yes"});
    RedisServer target = server_of(name, {});
    RespClient client = source.client();
    client.must({"SET", "in base", "1", "PX", "1500"});
    client.must({"SET", "gone", "1", "PX", "1500"});
    wait_rewritten(source);
    client.must({"SET", "session", "1", "PX", "1500"});
    client.must({"HSET", "a hash", "f", "v"});
    client.must({"PEXPIRE", "a hash", "1500"});
    client.must({"SET", "kept", "1", "PX", "1500"});
    for (const char* key : {"in base", "session", "a hash"})
      client.must({"PEXPIRE", key, "100000"});
    client.must({"PERSIST", "kept"});
    client.must({"SELECT", "5"});
    client.must({"SET", "elsewhere", "1", "PX", "100000"});
    std::this_thread::sleep_for(Millis{1600});
    Keyferry link(KEYFERRY_BINARY);
    const std::string folder = source.directory() + "/appendonly";
    const std::string file = fs::exists(folder + "dir") ? folder + "dir" : folder + ".aof";

    EXPECT_EQ(load(link, "file://" + file, target.uri()), 0) << link.output();

    EXPECT_EQ(describe(compare(source, target)), "") << name << link.output();
    EXPECT_EQ(target.command({"EXISTS", "in base", "session", "a hash", "kept"}).integer, 4);
    EXPECT_EQ(target.command({"EXISTS", "gone"}).integer, 0);
  }
}

// --- going on

TEST(AppendOnlySet, GoesOnExactlyWhereAKilledRunWas) {
  for (const char* preamble : {"yes", "no"}) {
    RedisServer source = server_of("redis-6.0", {"--appendonly", "yes", "--aof-use-rdb-preamble",
                                                 preamble, "--auto-aof-rewrite-percentage", "0"});
    fill(source, some_keys());
    wait_rewritten(source);
    RespClient client = source.client();
    for (int i = 0; i < 40000; ++i)
      client.append({"INCR", "counter:" + std::to_string(i % 10)});
    client.flush();
    for (int i = 0; i < 40000; ++i)
      client.read();
    RedisServer target = server_of("redis-6.0", {});
    Keyferry link(KEYFERRY_BINARY);
    const std::string file = "file://" + source.directory() + "/appendonly.aof";
    int kills = 0;
    for (int i = 0; i < 6; ++i) {
      link.run(file, target.uri(), {"--set", "delivery.lease_s=1"});
      wait_for(Millis{10000}, [&] {
        const Reply at = target.client().command({"GET", "counter:9"});
        return !link.is_running() || std::atoi(at.text.c_str()) > 400 * (i + 1);
      });
      if (link.is_running()) ++kills;
      link.process().kill9();
    }

    EXPECT_EQ(load(link, file, target.uri(), {"--set", "delivery.lease_s=1"}), 0) << link.output();

    EXPECT_GE(kills, 2) << "nothing was interrupted";
    source.restart();
    EXPECT_EQ(describe(compare(source, target)), "") << preamble << link.output();
  }
}

}  // namespace
}  // namespace keyferry::test
