// A cluster as the source of files: one snapshot of all its keys, streams behind it, and what moves
// at the source meanwhile.
#include <filesystem>

#include "cluster_source.hpp"
#include "support/dataset.hpp"

namespace keyferry::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* library =
    "#!lua name=lib\nredis.register_function('f', function() return 1 end)";

int run_to_end(Keyferry& link, const std::string& source, const std::string& target,
               const std::vector<std::string>& more = {}) {
  link.run(source, target, more);
  return link.wait_exit(Millis{60000}).value_or(99);
}

void shell(const std::string& line) {
  ASSERT_EQ(std::system(line.c_str()), 0) << line;
}

// A standalone server that loads `file` as its dump.rdb.
void load_dump(RedisServer& server, const std::string& file) {
  server.stop();
  fs::copy_file(file, server.directory() + "/dump.rdb", fs::copy_options::overwrite_existing);
  server.restart();
}

void load_functions(RedisCluster& cluster, const std::string& code) {
  for (std::size_t i = 0; i < cluster.size(); ++i)
    cluster.node(i).command({"FUNCTION", "LOAD", "REPLACE", code});
}

// --- .rdb

TEST(ClusterRdbFile, HoldsTheKeysOfAllShardsAndPassesTheServersOwnCheck) {
  RedisCluster source(nodes(3));
  RedisServer loader = source_server();
  fill(source, busy(701).dataset);
  load_functions(source, library);
  const std::string file = loader.directory() + "/out.rdb";
  Keyferry link(KEYFERRY_BINARY);

  EXPECT_EQ(run_to_end(link, source.node(1).uri(), "file://" + file), 0) << link.output();

  EXPECT_EQ(count_of(link.output(), "full sync begins"), 3u);
  EXPECT_EQ(count_of(read_file(file), "#!lua name=lib"), 1u);
  shell("redis-check-rdb " + file + " > " + file + ".check");
  EXPECT_NE(read_file(file + ".check").find("RDB looks OK!"), std::string::npos);
  load_dump(loader, file);
  expect_equal(source, loader, link);
  EXPECT_FALSE(fs::exists(file + ".part"));
}

}  // namespace
}  // namespace keyferry::test
