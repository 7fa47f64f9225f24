// What tests of running links share: their options, starting them, once more after a kill, and the
// comparison at the end. The lease is short, so that the next start need not wait for it.
#pragma once

#include "e2e/link.hpp"

namespace keyferry::test {

inline const std::vector<std::string> quick_lease = {"--set", "delivery.lease_s=1"};

// Twenty keys in turn, so that what is lost or repeated shows.
inline void increment_counters(const RedisServer& server, int times) {
  RespClient client = server.client();
  for (int i = 0; i < times; ++i)
    client.must({"INCR", "n:" + std::to_string(i % 20)});
}

inline std::vector<std::string> with(std::vector<std::string> more) {
  more.insert(more.begin(), quick_lease.begin(), quick_lease.end());
  return more;
}

inline std::vector<std::string> with_settings(const std::vector<std::string>& settings,
                                              std::vector<std::string> more = {}) {
  for (const std::string& setting : settings)
    more.insert(more.end(), {"--set", setting});
  return more;
}

inline std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
    ++count;
  return count;
}

// Until the snapshot has been applied. The ends: servers, clusters, proxies.
template <class Source, class Target>
void start(Keyferry& link, const Source& source, const Target& target,
           const std::vector<std::string>& options = quick_lease) {
  link.run(source.uri(), target.uri(), options);
  wait_streaming(link);
}

template <class Source, class Target>
void kill_and_start(Keyferry& link, const Source& source, const Target& target,
                    const std::vector<std::string>& options = quick_lease) {
  link.process().kill9();
  start(link, source, target, options);
}

template <class Source, class Target>
void expect_equal_after_drain(const Source& source, const Target& target, Keyferry& link) {
  drain(link);
  EXPECT_EQ(describe(compare(source, target)), "") << link.output();
}

}  // namespace keyferry::test
