// What `keyferry run` shows while it works: one live line on a terminal, log lines elsewhere.
#include <algorithm>
#include <sstream>

#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

// Ferries everything with standard error on a terminal; what was written there.
std::string on_terminal(const RedisServer& source, const RedisServer& target,
                        const std::string& environment, const std::string& more = "") {
  TempDir directory;
  ProcessOptions how;
  // script(1) is the terminal.
  how.args = {"script", "-qec",
              environment + " TERM=xterm " + KEYFERRY_BINARY + " run --source " + source.uri() +
                  " --target " + target.uri() + " --http 127.0.0.1:" + std::to_string(free_port()) +
                  " --set admin.resp_listen= --set spool.dir=" + directory.file("spool") +
                  " --stop-when lag-zero " + more,
              "/dev/null"};
  how.output_file = directory.file("output");
  Process process(how);
  EXPECT_EQ(process.wait(Millis{30000}), 0);
  return read_file(how.output_file);
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

TEST(Progress, KeepsOneLiveLineOnATerminal) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 400'000, 300);
  const std::string shown = on_terminal(source, target, "");

  EXPECT_NE(shown.find("\x1b[33msnapshot\x1b[0m  ["), std::string::npos) << shown;
  EXPECT_NE(shown.find("/400,000 keys"), std::string::npos) << shown;
  EXPECT_NE(shown.find("eta "), std::string::npos) << shown;
  EXPECT_NE(shown.find("\x1b[32msteady\x1b[0m  lag 0 B"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("progress: "), std::string::npos) << shown;
  // It is redrawn in place, and the log lines stand on lines of their own.
  EXPECT_GT(count_of(shown, "\r\x1b[K"), 5u);
  EXPECT_NE(shown.find("\r\x1b[K20"), std::string::npos) << shown;
  EXPECT_NE(shown.find("info done\r\n"), std::string::npos) << shown;
}

TEST(Progress, HonoursNoColorAndJson) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  const std::string plain = on_terminal(source, target, "NO_COLOR=1");
  EXPECT_NE(plain.find("lag 0 B"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("\x1b[3"), std::string::npos) << plain;

  const std::string json = on_terminal(source, target, "", "--log-format json");
  EXPECT_EQ(json.find("\x1b["), std::string::npos) << json;
  EXPECT_NE(json.find("\"message\":\"progress: phase="), std::string::npos) << json;
}

TEST(Progress, WritesLogLinesElsewhere) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri(), {"--log-format", "json"});
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  std::this_thread::sleep_for(Millis{5500});
  const std::string applied = link.status("stream.applied_offset");
  drain(link);

  // The first, one after 5 s, the last; each line is JSON.
  EXPECT_GE(count_of(link.output(), "progress: phase="), 3u) << link.output();
  EXPECT_EQ(link.output().find("\x1b["), std::string::npos);
  EXPECT_NE(link.output().find("offset=" + applied), std::string::npos) << link.output();
  std::istringstream lines(link.output());
  for (std::string line; std::getline(lines, line);)
    EXPECT_NE(json_field(line, "message"), "") << line;
}

}  // namespace
}  // namespace keyferry::test
