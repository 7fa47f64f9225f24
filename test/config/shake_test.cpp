#include "keyferry/config/shake.hpp"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "keyferry/config/options.hpp"

namespace keyferry {
namespace {

std::string data(const std::string& name) {
  std::ifstream file(std::string(KEYFERRY_TEST_DATA) + "/shake/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

ShakeImport import(const std::string& toml) {
  const Result<ShakeImport> result = import_shake(toml);
  EXPECT_TRUE(result) << result.error().what;
  return result ? *result : ShakeImport();
}

bool names(const std::vector<std::string>& lines, const std::string& what) {
  for (const std::string& line : lines) {
    if (line.starts_with(what + ":")) return true;
  }
  return false;
}

std::string listed(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines)
    out += line + "\n";
  return out;
}

// The smallest file with `more` in it.
std::string with(const std::string& more) {
  return "[sync_reader]\naddress = \"10.0.0.1:6379\"\n[redis_writer]\naddress = "
         "\"10.0.0.2:6379\"\n" +
         more;
}

// What the program makes of the result.
Options loaded(const ShakeImport& import) {
  const std::string path =
      testing::TempDir() + "keyferry_shake_" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(path) << import.yaml;
  CommandLine line;
  line.config_file = path;
  const Result<Options> options = load_options(line, {});
  EXPECT_TRUE(options) << options.error().what << import.yaml;
  std::remove(path.c_str());
  return options ? *options : Options();
}

TEST(ImportShake, TakesTheUsualFileOfVersion4) {
  const ShakeImport got = import(data("v4_sync.toml"));
  const Options options = loaded(got);

  EXPECT_EQ(options.source.uri.hosts.at(0), (HostPort{"10.0.0.1", 6379}));
  EXPECT_EQ(options.target.uri.hosts.at(0), (HostPort{"10.0.0.2", 6380}));
  EXPECT_EQ(options.target.topology, Topology::cluster);
  EXPECT_EQ(options.snapshot_on_existing_key, ExistingKey::replace);
  EXPECT_EQ(options.target_before, TargetBefore::flush);
  EXPECT_EQ(options.http_listen, "127.0.0.1:8080");
  EXPECT_EQ(options.log_level, "debug");
  EXPECT_EQ(options.source_psync_command, "nmfu2sl5osync");
  EXPECT_EQ(listed(got.missing), "");
  EXPECT_TRUE(names(got.not_needed, "advanced.pipeline_count_limit")) << listed(got.not_needed);
}

TEST(ImportShake, TakesFilesOfVersion3) {
  const ShakeImport got = import(data("v3_sync.toml"));
  const Options options = loaded(got);

  EXPECT_EQ(options.source.uri.user, "reader");
  EXPECT_EQ(options.target.topology, Topology::cluster);
  EXPECT_EQ(options.snapshot_on_existing_key, ExistingKey::skip);
  EXPECT_EQ(options.source_psync_command, "abcpsync");
  EXPECT_EQ(listed(got.missing), "");
}

TEST(ImportShake, PrintsNoSecretAndNamesAFileForIt) {
  const ShakeImport got = import(data("v4_secrets.toml"));

  for (const std::string& text : {got.yaml, listed(got.to_do), listed(got.not_needed)})
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  EXPECT_NE(got.yaml.find("password_file: source.password\n"), std::string::npos) << got.yaml;
  EXPECT_NE(got.yaml.find("password_file: target.sentinel.password\n"), std::string::npos);
  EXPECT_NE(got.yaml.find("uri: rediss://app%40eu@10.0.0.1:6379\n"), std::string::npos) << got.yaml;
  EXPECT_NE(got.yaml.find("uri: redis-sentinel://10.0.0.9:26379/mymaster\n"), std::string::npos)
      << got.yaml;
  EXPECT_NE(got.yaml.find("ca_file: /etc/ca.pem\n"), std::string::npos) << got.yaml;
  EXPECT_TRUE(names(got.to_do, "sync_reader.password")) << listed(got.to_do);
  EXPECT_TRUE(names(got.to_do, "sync_reader.tls")) << listed(got.to_do);
}

TEST(ImportShake, TakesTheSentinelOfVersions42) {
  const ShakeImport got = import(
      "[sync_reader]\naddress = \"10.0.0.1:6379\"\n[redis_writer]\nsentinel = true\n"
      "master = \"mymaster\"\naddress = \"10.0.0.9:26379\"\n");

  EXPECT_EQ(loaded(got).target.uri.sentinel_master, "mymaster");
}

// "panic" is their default, "replace" is ours.
TEST(ImportShake, KeepsTheirDefaultsWhereOursDiffer) {
  EXPECT_EQ(loaded(import(with(""))).snapshot_on_existing_key, ExistingKey::fail);
  EXPECT_EQ(loaded(import(with("[advanced]\nrdb_restore_command_behavior = \"panic\"\n")))
                .snapshot_on_existing_key,
            ExistingKey::fail);
}

TEST(ImportShake, TurnsPartsOff) {
  const Options options =
      loaded(import("[sync_reader]\naddress = \"10.0.0.1:6379\"\nsync_aof = false\n[redis_writer]\n"
                    "address = \"10.0.0.2:6379\"\n"));

  EXPECT_FALSE(options.stream_enabled);
  EXPECT_TRUE(options.snapshot_enabled);
}

TEST(ImportShake, NamesWhatChangesTheDataAndHasNoEquivalent) {
  const ShakeImport got =
      import(with("[filter]\nfunction = \"shake.call(DB, ARGV)\"\n"
                  "[advanced]\naws_psync = \"10.0.0.1:6379@a,10.0.0.3:6379@b\"\n"));

  EXPECT_TRUE(names(got.missing, "filter.function")) << listed(got.missing);
  EXPECT_TRUE(names(got.missing, "advanced.aws_psync")) << listed(got.missing);
  EXPECT_EQ(got.missing.size(), 2U) << listed(got.missing);
}

TEST(ImportShake, CarriesFiltersOver) {
  const ShakeImport got = import(with(
      "[filter]\nallow_key_prefix = [\"user:\", \"cart:\"]\nblock_command = [\"XGROUP-CREATE\"]\n"
      "allow_command_group = [\"SORTED_SET\", \"TAIRHASH\"]\nblock_db = [3]\nallow_db = []\n"
      "[advanced]\ntarget_redis_max_qps = 5000\n"));

  EXPECT_NE(got.yaml.find("prefixes: [\"user:\", \"cart:\"]"), std::string::npos) << got.yaml;
  EXPECT_NE(got.yaml.find("XGROUP|CREATE"), std::string::npos) << got.yaml;
  EXPECT_NE(got.yaml.find("groups: [sorted-set]"), std::string::npos) << got.yaml;
  EXPECT_NE(got.yaml.find("databases: [3]"), std::string::npos) << got.yaml;
  EXPECT_TRUE(names(got.missing, "filter.allow_command_group")) << "TAIRHASH";
  EXPECT_EQ(got.missing.size(), 1U) << listed(got.missing);
  EXPECT_EQ(loaded(got).limits_target_ops_per_s, 5000);
}

TEST(ImportShake, CarriesScansOver) {
  const ShakeImport got = import(
      "[scan_reader]\naddress = \"10.0.0.1:6379\"\ndbs = [1]\nksn = true\ncount = 500\n"
      "[redis_writer]\naddress = \"10.0.0.2:6379\"\n");
  const Options options = loaded(got);

  EXPECT_NE(got.yaml.find("mode: scan\n"), std::string::npos) << got.yaml;
  EXPECT_EQ(options.source_scan_count, 500);
  EXPECT_TRUE(options.stream_enabled);
  EXPECT_EQ(listed(got.missing), "");
}

TEST(ImportShake, FollowsAScanOnlyWhereItDid) {
  const ShakeImport got = import(
      "[scan_reader]\naddress = \"10.0.0.1:6379\"\n[redis_writer]\naddress = \"10.0.0.2:6379\"\n");

  EXPECT_FALSE(loaded(got).stream_enabled) << "ksn is false where it is not said";
}

TEST(ImportShake, CarriesFilesOver) {
  const ShakeImport got = import(
      "[aof_reader]\nfilepath = \"/data/appendonlydir/appendonly.aof.manifest\"\n"
      "timestamp = 1700000000\n[file_writer]\nfilepath = \"/backup/out.resp\"\ntype = \"aof\"\n");
  const Options options = loaded(got);

  EXPECT_EQ(options.source.uri.path, "/data/appendonlydir/appendonly.aof.manifest");
  EXPECT_EQ(options.source_aof_until, "1700000000");
  EXPECT_EQ(options.target.uri.path, "/backup/out.resp");
  EXPECT_EQ(listed(got.missing), "");
}

TEST(ImportShake, NamesWhatRedisShakeIgnores) {
  const ShakeImport got = import(with("[filter]\nallow_key_prefixes = [\"a\"]\n"));

  EXPECT_TRUE(names(got.to_do, "filter.allow_key_prefixes")) << listed(got.to_do);
}

TEST(ImportShake, TakesTheReaderThatRedisShakeWouldTake) {
  const ShakeImport got = import(with("[scan_reader]\naddress = \"10.0.0.7:6379\"\n"));

  EXPECT_EQ(got.yaml.find("10.0.0.7"), std::string::npos);
  EXPECT_TRUE(names(got.not_needed, "scan_reader")) << listed(got.not_needed);
}

TEST(ImportShake, RefusesWhatIsNotOfRedisShake) {
  const Result<ShakeImport> broken = import_shake("[sync_reader]\npassword = \"hunter2\n");
  ASSERT_FALSE(broken);
  EXPECT_TRUE(broken.error().is(Errc::usage));
  EXPECT_EQ(broken.error().what, "line 2: not valid TOML");

  for (const char* text :
       {"", "a = 1\n", "[sync_reader]\naddress = \"a:1\"\n", "[source]\naddress=\"a:1\"\n"})
    EXPECT_FALSE(import_shake(text)) << text;
}

}  // namespace
}  // namespace keyferry
