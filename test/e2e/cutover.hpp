// What the tests of the cutover share: keyferry as a command, and a look at who takes writes.
#pragma once

#include "e2e/link.hpp"

namespace keyferry::test {

struct Outcome {
  int code = -1;
  std::string output;
};

inline Outcome command(const std::vector<std::string>& args) {
  Keyferry program(KEYFERRY_BINARY);
  program.start(args);
  Outcome out;
  out.code = program.wait_exit(Millis{30000}).value_or(-1);
  out.output = program.output();
  return out;
}

inline std::string http_of(const Keyferry& link) {
  return "127.0.0.1:" + std::to_string(link.http_port());
}

// A write on a connection of its own: its answer, or "no answer" after a second.
inline std::string write_to(const RedisServer& server) {
  try {
    return server.client(Millis{1000}).command({"SET", "probe", "1"}).text;
  } catch (const std::runtime_error&) {
    return "no answer";
  }
}

}  // namespace keyferry::test
