// Bad input: each gives one clear line and its exit code (interface "Exit codes").

#include "e2e/link.hpp"
#include "support/fake_master.hpp"

namespace keyferry::test {
namespace {

// Runs to the end; expects `code`, and `words` in the output.
void expect_exit(Keyferry& link, int code, const std::string& words) {
  const auto got = link.wait_exit(Millis{30000});
  ASSERT_TRUE(got.has_value()) << "still running\n" << link.output();
  EXPECT_EQ(*got, code) << link.output();
  EXPECT_NE(link.output().find(words), std::string::npos) << link.output();
}

TEST(BadInput, WrongSourcePasswordExits3) {
  RedisServer source = [] {
    ServerOptions options;
    options.args = {"--requirepass", "right"};
    options.password = "right";
    return RedisServer(std::move(options));
  }();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run("redis://:wrong-secret@" + source.address(), target.uri());

  expect_exit(link, 3, "WRONGPASS");
  EXPECT_EQ(link.output().find("wrong-secret"), std::string::npos);
}

TEST(BadInput, MissingPasswordExits3) {
  ServerOptions options;
  options.args = {"--requirepass", "right"};
  options.password = "right";
  RedisServer target(std::move(options));
  RedisServer source = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 3, "NOAUTH");
}

TEST(BadInput, UserWithoutPsyncExits3) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command(
      {"ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+info", "+ping", "+client"});
  Keyferry link(KEYFERRY_BINARY);

  link.run("redis://reader:pw@" + source.address(), target.uri());

  expect_exit(link, 3, "NOPERM");
}

TEST(BadInput, UnreachableSourceExits3) {
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run("redis://127.0.0.1:" + std::to_string(free_port()), target.uri());

  expect_exit(link, 3, "Connection refused");
}

TEST(BadInput, UnreachableTargetExits3) {
  RedisServer source = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), "redis://127.0.0.1:" + std::to_string(free_port()));

  expect_exit(link, 3, "Connection refused");
}

TEST(BadInput, TargetThatIsAReplicaExits2) {
  RedisServer source = source_server();
  RedisServer master = source_server();
  RedisServer target = source_server({"--replicaof", "127.0.0.1 " + std::to_string(master.port())});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 2, "is a replica");
}

TEST(BadInput, SourceEqualsTargetByAddressExits2) {
  RedisServer source = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), source.uri());

  expect_exit(link, 2, "same");
}

TEST(BadInput, SourceEqualsTargetByRunIdExits2) {
  RedisServer source = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), "redis://localhost:" + std::to_string(source.port()));

  expect_exit(link, 2, "same server");
}

TEST(BadInput, ReplicaOfTheTargetAsSourceExits2) {
  RedisServer target = source_server();
  RedisServer source = source_server({"--replicaof", "127.0.0.1 " + std::to_string(target.port())});
  ASSERT_TRUE(wait_for(Millis{10000}, [&] { return source.info("master_link_status") == "up"; }));
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 2, "history");
}

TEST(BadInput, UnknownYamlKeyExits2WithASuggestion) {
  Keyferry link(KEYFERRY_BINARY);
  const std::string file = link.directory().file("keyferry.yaml");
  write_file(file,
             "source:\n  uri: redis://127.0.0.1:1\ntarget:\n  uri: redis://127.0.0.1:2\n  "
             "lanes_per_nod: 3\n");

  link.start({"run", "--config", file});

  expect_exit(link, 2, "lanes_per_node");
}

TEST(BadInput, HttpPortInUseExits2) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);

  link.start(
      {"run", "--source", source.uri(), "--target", target.uri(), "--http", source.address()});

  expect_exit(link, 2, source.address());
}

TEST(BadInput, TargetThatMustBeEmptyExits2) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  target.command({"SET", "own", "1"});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri(), {"--set", "target.before=must_be_empty"});

  expect_exit(link, 2, "must_be_empty");
  EXPECT_EQ(target.command({"GET", "own"}).text, "1");
}

// A snapshot as a real server writes it: header, one key, EOF, checksum 0 (= none).
const std::string small_rdb =
    std::string("REDIS0010\xfe\x00\x00\x01k\x01v\xff", 17) + std::string(8, '\0');

TEST(BadInput, CorruptSnapshotExits4) {
  RedisServer target = source_server();
  std::string rdb = small_rdb;
  rdb[11] = '\x63';  // a type byte that nobody writes
  FakeMaster source(rdb, "");
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 4, "snapshot");
}

TEST(BadInput, WrongSnapshotChecksumExits4) {
  RedisServer target = source_server();
  std::string rdb = small_rdb;
  rdb[rdb.size() - 1] = '\x01';
  FakeMaster source(rdb, "");
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 4, "checksum");
}

TEST(BadInput, TruncatedSnapshotIsAskedForAgainThenExits3) {
  RedisServer target = source_server();
  FakeMaster source(small_rdb, "", {.cut_after_rdb_bytes = 10});
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 3, "broke off");
  EXPECT_GT(source.full_syncs(), 1);
}

TEST(BadInput, GarbageInTheStreamExits4) {
  RedisServer target = source_server();
  FakeMaster source(small_rdb, "*2\r\n$3\r\nDEL\r\n$1\r\nx\r\nthis is not RESP\r\n");
  Keyferry link(KEYFERRY_BINARY);

  link.run(source.uri(), target.uri());

  expect_exit(link, 4, "offset");
  EXPECT_EQ(target.command({"GET", "k"}).text, "v");
}

}  // namespace
}  // namespace keyferry::test
