// What monitoring reads: Prometheus' own tools over /metrics and the alerts, the real
// redis_exporter over the RESP listener.
#include "e2e/link.hpp"

namespace keyferry::test {
namespace {

struct Outcome {
  int code = -1;
  std::string output;
};

Outcome shell(const std::string& command) {
  TempDir directory;
  ProcessOptions how;
  how.args = {"sh", "-c", command};
  how.output_file = directory.file("output");
  Process process(how);
  Outcome out;
  out.code = process.wait(Millis{30000}).value_or(-1);
  out.output = read_file(how.output_file);
  return out;
}

TEST(Prometheus, AcceptsTheMetricsOfARunningLink) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  source.command({"SET", "b", "1"});
  ASSERT_TRUE(link.wait_status("counters.applied", "2", Millis{5000}));
  const std::string metrics = link.directory().file("metrics");
  write_file(metrics, link.http_get("/metrics").body);

  const Outcome checked = shell("promtool check metrics < " + metrics);
  EXPECT_EQ(checked.code, 0) << checked.output;
  EXPECT_EQ(checked.output, "");
}

TEST(Prometheus, AcceptsAndPlaysTheAlerts) {
  const std::string root = KEYFERRY_SOURCE_DIR;
  const Outcome checked = shell("promtool check rules " + root + "/config/prometheus/alerts.yml");
  EXPECT_EQ(checked.code, 0) << checked.output;
  EXPECT_NE(checked.output.find("11 rules found"), std::string::npos) << checked.output;
  const Outcome played = shell("promtool test rules " + root + "/test/prometheus/alerts_test.yml");
  EXPECT_EQ(played.code, 0) << played.output;
  // Every alert is played.
  const std::string alerts = read_file(root + "/config/prometheus/alerts.yml");
  const std::string tests = read_file(root + "/test/prometheus/alerts_test.yml");
  const std::string word = "- alert: ";
  for (std::size_t at = alerts.find(word); at != std::string::npos;
       at = alerts.find(word, at + 1)) {
    const std::size_t begin = at + word.size();
    const std::string name = alerts.substr(begin, alerts.find('\n', begin) - begin);
    EXPECT_NE(tests.find("- name: " + name + "\n"), std::string::npos) << name;
  }
}

// The value of a sample in the Prometheus text format, "" when it is not there.
std::string sample(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

TEST(RedisExporter, ReadsTheRespListener) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  fill_strings(source, 1000, 100);
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();

  const std::uint16_t port = free_port();
  ProcessOptions how;
  how.args = {"prometheus-redis-exporter", "-redis.addr",
              "redis://127.0.0.1:" + std::to_string(link.resp_port()), "-web.listen-address",
              "127.0.0.1:" + std::to_string(port)};
  how.output_file = link.directory().file("exporter");
  Process exporter(how);
  std::string text;
  ASSERT_TRUE(wait_for(Millis{10000}, [&] {
    try {
      text = http_request(port, "GET", "/metrics").body;
    } catch (const std::runtime_error&) {
      return false;
    }
    return !text.empty();
  })) << read_file(how.output_file);

  EXPECT_EQ(sample(text, "redis_up"), "1") << read_file(how.output_file);
  EXPECT_NE(text.find("role=\"slave\""), std::string::npos);
  EXPECT_NE(text.find("\nredis_master_link_up{master_host=\"127.0.0.1\",master_port=\"" +
                      std::to_string(source.port()) + "\"} 1\n"),
            std::string::npos);
  EXPECT_EQ(sample(text, "redis_memory_max_bytes"), "2.68435456e+08");
  EXPECT_EQ(sample(text, "redis_connected_clients"), "1");
  EXPECT_NE(sample(text, "redis_uptime_in_seconds"), "");
  EXPECT_NE(sample(text, "redis_net_input_bytes_total"), "");
  drain(link);
}

// A standby waits for days: whoever restarts what is not alive must let it.
TEST(Livez, IsTrueOfAStandbyThatWaits) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  Keyferry first(KEYFERRY_BINARY);
  first.run(source.uri(), target.uri());
  ASSERT_TRUE(first.wait_synced(Millis{15000})) << first.output();
  Keyferry standby(KEYFERRY_BINARY);
  standby.run(source.uri(), target.uri(), {"--standby"});

  std::this_thread::sleep_for(Millis{11500});  // /livez gives 10 s

  EXPECT_EQ(standby.http_get("/livez").status, 200) << standby.output();
  EXPECT_EQ(standby.http_get("/readyz").status, 503);
  EXPECT_EQ(standby.status("phase"), "connecting");
  drain(first);
}

TEST(RedisExporter, InfoAgreesWithStatus) {
  RedisServer source = source_server();
  RedisServer target = source_server();
  source.command({"SET", "a", "1"});
  Keyferry link(KEYFERRY_BINARY);
  link.run(source.uri(), target.uri());
  ASSERT_TRUE(link.wait_synced(Millis{15000})) << link.output();
  RespClient resp("127.0.0.1", link.resp_port());
  const std::string info = "\n" + resp.must({"INFO"}).text;

  EXPECT_EQ(info_field(info, "slave_repl_offset"), link.status("stream.applied_offset"));
  EXPECT_EQ(info_field(info, "total_commands_processed"), link.status("counters.applied"));
  EXPECT_EQ(info_field(info, "master_replid"), link.status("shards.0.replid"));
  EXPECT_EQ(info_field(info, "maxmemory"), link.status("memory.max_bytes"));
  EXPECT_EQ(resp.must({"ROLE"}).items.at(0).text, "slave");
  drain(link);
}

}  // namespace
}  // namespace keyferry::test
