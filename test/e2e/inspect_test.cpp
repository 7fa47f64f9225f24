// keyferry inspect on real servers and their files.

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

std::string inspect(const std::vector<std::string>& args, int code) {
  Keyferry program(KEYFERRY_BINARY);
  std::vector<std::string> all = {"inspect"};
  all.insert(all.end(), args.begin(), args.end());
  program.start(all);
  const auto got = program.wait_exit(Millis{30000});
  EXPECT_EQ(got.value_or(-1), code) << program.output();
  return program.output();
}

TEST(Inspect, SaysTheSameOfAServerAndOfItsFile) {
  RedisServer server = source_server();
  server.command({"SET", "greeting", "hello"});
  server.command({"ZADD", "board", "1.5", "ann", "-inf", "bob"});
  server.command({"XADD", "log", "5-1", "field", "value"});
  server.command({"SAVE"});

  const std::string from_server = inspect({"--json", server.uri()}, 0);
  const std::string from_file = inspect({"--json", server.directory() + "/dump.rdb"}, 0);

  for (const std::string line :
       {"\"key\":\"greeting\",\"db\":0,\"type\":\"string\",\"encoding\":\"plain\",\"rdb_type\":0,"
        "\"value\":\"hello\"",
        "\"value\":[[\"bob\",\"-inf\"],[\"ann\",1.5]]", "[[\"5-1\",[\"field\",\"value\"]]]"}) {
    EXPECT_NE(from_server.find(line), std::string::npos) << line << "\n" << from_server;
    EXPECT_NE(from_file.find(line), std::string::npos) << line << "\n" << from_file;
  }
}

TEST(Inspect, EndsWithTheRightExitCode) {
  TempDir folder;
  write_file(folder.file("no.rdb"), "this is no snapshot");
  write_file(folder.file("future.rdb"), std::string("REDIS0010\xfe\x00\x63\x01k!", 15));

  EXPECT_NE(inspect({folder.file("no.rdb")}, 4).find("no.rdb: "), std::string::npos);
  EXPECT_NE(inspect({folder.file("future.rdb")}, 4)
                .find("Redis RDB version 10 at offset 11: value type 99 of key \"k\" is not known"),
            std::string::npos);
  EXPECT_NE(inspect({folder.file("missing.rdb")}, 2).find("No such file"), std::string::npos);
  EXPECT_NE(inspect({"redis://:secret@127.0.0.1:1"}, 3).find("127.0.0.1:1"), std::string::npos);
}

}  // namespace
}  // namespace keyferry::test
