#include "keyferry/config/uri.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace keyferry {
namespace {

std::string problem(const std::string& text) {
  const Result<Uri> uri = parse_uri(text);
  if (uri) return "no problem";
  EXPECT_TRUE(uri.error().is(Errc::usage)) << text;
  return uri.error().what;
}

TEST(Uri, ReadsEveryPart) {
  const Uri uri = parse_uri("redis://ann:s3cret@db.example:6380/5").value();

  EXPECT_EQ(uri.kind, Uri::Kind::tcp);
  EXPECT_EQ(uri.user, "ann");
  EXPECT_EQ(uri.password, "s3cret");
  EXPECT_EQ(uri.hosts, (std::vector<HostPort>{{"db.example", 6380}}));
  EXPECT_EQ(uri.db, 5);
}

TEST(Uri, TakesDefaultsForWhatIsLeftOut) {
  const std::vector<HostPort> expected = {{"db", 6379}};

  EXPECT_EQ(parse_uri("redis://db").value().hosts, expected);
  EXPECT_EQ(parse_uri("redis://db/").value().hosts, expected);
  EXPECT_EQ(parse_uri("valkey://db:6379").value().hosts, expected);
  EXPECT_EQ(parse_uri("db").value().hosts, expected);
  EXPECT_EQ(parse_uri("db:6379").value().hosts, expected);
  EXPECT_EQ(parse_uri("redis://db").value().db, 0);
  EXPECT_EQ(parse_uri("redis://db").value().user, "");
}

TEST(Uri, ReadsSeveralHostsAndIpv6) {
  const Uri uri = parse_uri("redis://a:1,[::1]:2,[fe80::1%eth0],b/7").value();

  EXPECT_EQ(uri.hosts,
            (std::vector<HostPort>{{"a", 1}, {"::1", 2}, {"fe80::1%eth0", 6379}, {"b", 6379}}));
  EXPECT_EQ(uri.db, 7);
}

TEST(Uri, DecodesPercentEscapesOfUserAndPassword) {
  const Uri uri = parse_uri("redis://a%3ab:p%40%2F%3A%25@h").value();

  EXPECT_EQ(uri.user, "a:b");
  EXPECT_EQ(uri.password, "p@/:%");
}

TEST(Uri, ToleratesRawSeparatorsInPasswords) {
  const Uri uri = parse_uri("redis://:p@ss/w:rd?@h:1").value();

  EXPECT_EQ(uri.user, "");
  EXPECT_EQ(uri.password, "p@ss/w:rd?");
  EXPECT_EQ(uri.hosts, (std::vector<HostPort>{{"h", 1}}));
}

TEST(Uri, ReadsUnixSockets) {
  const Uri uri = parse_uri("unix:///run/redis%20x.sock").value();
  const Uri with_user = parse_uri("unix://ann:pw@/run/a@b.sock").value();

  EXPECT_EQ(uri.kind, Uri::Kind::unix_socket);
  EXPECT_EQ(uri.path, "/run/redis x.sock");
  EXPECT_EQ(with_user.user, "ann");
  EXPECT_EQ(with_user.password, "pw");
  EXPECT_EQ(with_user.path, "/run/a@b.sock");
}

TEST(Uri, ReadsTlsForms) {
  for (const char* text : {"rediss://ann:pw@h:7000", "valkeys://ann:pw@h:7000"}) {
    const Uri uri = parse_uri(text).value();
    EXPECT_TRUE(uri.tls) << text;
    EXPECT_EQ(uri.hosts, (std::vector<HostPort>{{"h", 7000}}));
    EXPECT_EQ(redacted(uri), "rediss://ann:***@h:7000");
  }
  EXPECT_FALSE(parse_uri("redis://h").value().tls);
}

TEST(Uri, ReadsSentinelForms) {
  const Uri uri = parse_uri("redis-sentinel://ann:p%40w@a,b:1/my-master.1").value();
  const Uri tls = parse_uri("rediss-sentinel://[::1]:2/m/3").value();

  EXPECT_EQ(uri.sentinel_master, "my-master.1");
  EXPECT_EQ(uri.hosts, (std::vector<HostPort>{{"a", 26379}, {"b", 1}}));
  EXPECT_EQ(uri.password, "p@w");
  EXPECT_FALSE(uri.tls);
  EXPECT_EQ(redacted(uri), "redis-sentinel://ann:***@a:26379,b:1/my-master.1");
  EXPECT_TRUE(tls.tls);
  EXPECT_EQ(tls.sentinel_master, "m");
  EXPECT_EQ(tls.db, 3);
  EXPECT_EQ(redacted(tls), "rediss-sentinel://[::1]:2/m/3");
  EXPECT_TRUE(parse_uri("valkey-sentinel://a/m").has_value());
}

TEST(Uri, ReadsFiles) {
  const Uri file = parse_uri("file:///backup/a%20b%25.rdb").value();
  const Uri input = parse_uri("-").value();

  EXPECT_EQ(file.kind, Uri::Kind::file);
  EXPECT_EQ(file.path, "/backup/a b%.rdb");
  EXPECT_EQ(redacted(file), "file:///backup/a b%.rdb");
  EXPECT_EQ(input.kind, Uri::Kind::file);
  EXPECT_EQ(redacted(input), "-");
  EXPECT_EQ(problem("file://dump.rdb"),
            "file:// takes no host and needs an absolute path: file:///backup/dump.rdb");
  EXPECT_EQ(problem("file:///a%2"),
            "the file's path holds a '%' that is not followed by two hex digits (%25)");
}

struct BadUri {
  const char* text;
  const char* part_of_message;
};

TEST(Uri, RefusesMalformedAddressesByReason) {
  const std::vector<BadUri> table = {
      {"", "empty"},
      {"redis://", "host is missing"},
      {"redis://:6379", "host is missing"},
      {"redis://a,", "host is missing"},
      {"redis://a,,b", "host is missing"},
      {"redis://a:", "port is not a number"},
      {"redis://a:0", "port is not a number"},
      {"redis://a:65536", "port is not a number"},
      {"redis://a:-1", "port is not a number"},
      {"redis://a:+1", "port is not a number"},
      {"redis://a:12x", "port is not a number"},
      {"redis://::1:6379", "brackets"},
      {"redis://[::1", "']' is missing"},
      {"redis://[]:1", "do not hold an IPv6"},
      {"redis://[a]:1", "do not hold an IPv6"},
      {"redis://[::1]6379", "may follow ']'"},
      {"redis://a/x", "database after '/'"},
      {"redis://a/-1", "database after '/'"},
      {"redis://a/1/2", "database after '/'"},
      {"redis://a/99999999999", "database after '/'"},
      {"redis://a/0?x=1", "'?'"},
      {"redis://a b", "space"},
      {"redis://a\n", "control"},
      {"redis://a!b", "characters that no host name has"},
      {"redis://:p%4@h", "%25"},
      {"redis://:p%zz@h", "%25"},
      {"http://a", "before :// is not known"},
      {"redis-sentinel://a", "master's name is missing"},
      {"redis-sentinel://a/", "master's name is missing"},
      {"redis-sentinel://a/m/x", "is not a number"},
      {"redis-sentinel://a/m n", "space"},
      {"redis-sentinel://a/m!", "that no name has"},
      {"unix://run", "absolute path"},
      {"unix://host/run", "takes no host"},
      {"unix:///", "path is missing"},
      {"unix:///%00", "bad '%' escape"},
      {"ann:pw@h:1", "starts with redis://"},
  };
  for (const BadUri& bad : table) {
    EXPECT_NE(problem(bad.text).find(bad.part_of_message), std::string::npos)
        << bad.text << " -> " << problem(bad.text);
  }
  EXPECT_NE(problem("unix:///" + std::string(107, 'x')).find("107 bytes"), std::string::npos);
  EXPECT_TRUE(parse_uri("unix:///" + std::string(106, 'x')).has_value());
}

TEST(Uri, NeverRepeatsASecretInAProblem) {
  const std::vector<std::string> texts = {"redis://ann:hunter2@h:notaport",
                                          "redis://ann:hunter2@",
                                          "redis://:hunter2%4@h",
                                          "redis://ann:hunter2@h/x",
                                          "redis://ann:hunter2@h h",
                                          "redis://:hunter2@h?x",
                                          "ann:hunter2@h",
                                          "nosuch://ann:hunter2@h",
                                          "file://ann:hunter2@h",
                                          "redis-sentinel://:hunter2@h",
                                          "redis-sentinel://:hunter2@h/a!",
                                          "unix://ann:hunter2@",
                                          "unix://ann:hunter2%@/path",
                                          "redis://ann:hunter2",
                                          "redis://h:hunter2",
                                          "redis://[hunter2]",
                                          "redis://h/hunter2",
                                          "hunter2://h",
                                          "hunter2!",
                                          "unix://hunter2/path"};
  for (const std::string& text : texts) {
    EXPECT_EQ(problem(text).find("hunter2"), std::string::npos) << problem(text);
    EXPECT_NE(problem(text), "no problem") << text;
  }
}

TEST(Uri, RedactedHidesThePasswordAndKeepsTheRest) {
  EXPECT_EQ(redacted(parse_uri("redis://ann:hunter2@h:1/3").value()), "redis://ann:***@h:1/3");
  EXPECT_EQ(redacted(parse_uri("redis://:hunter2@h").value()), "redis://:***@h:6379");
  EXPECT_EQ(redacted(parse_uri("redis://hunter2@h").value()), "redis://***@h:6379");
  EXPECT_EQ(redacted(parse_uri("redis://a%40b:x@h").value()), "redis://a%40b:***@h:6379");
  EXPECT_EQ(redacted(parse_uri("valkey://a:1,[::1]:2").value()), "redis://a:1,[::1]:2");
  EXPECT_EQ(redacted(parse_uri("unix://:hunter2@/run/r").value()), "unix://:***@/run/r");
}

TEST(Listen, ReadsHostAndPort) {
  EXPECT_EQ(parse_listen("127.0.0.1:8484").value(), (HostPort{"127.0.0.1", 8484}));
  EXPECT_EQ(parse_listen("[::1]:0").value(), (HostPort{"::1", 0}));
  EXPECT_FALSE(parse_listen("127.0.0.1").has_value());
  EXPECT_FALSE(parse_listen(":8484").has_value());
  EXPECT_FALSE(parse_listen("").has_value());
}

TEST(Listen, KnowsLoopbackAddresses) {
  EXPECT_TRUE(is_loopback({"127.0.0.1", 1}));
  EXPECT_TRUE(is_loopback({"127.1.2.3", 1}));
  EXPECT_TRUE(is_loopback({"::1", 1}));
  EXPECT_TRUE(is_loopback({"localhost", 1}));
  EXPECT_FALSE(is_loopback({"0.0.0.0", 1}));
  EXPECT_FALSE(is_loopback({"127.example.com", 1}));
  EXPECT_FALSE(is_loopback({"::", 1}));
}

}  // namespace
}  // namespace keyferry
