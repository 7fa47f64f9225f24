// What the tests of `keyferry check` share: running it and reading its findings.
#pragma once

#include "e2e/link.hpp"

namespace keyferry::test {

struct CheckOutcome {
  int code = -1;
  std::string json;
  std::string output;

  // "warn", and what the finding says, with its advice; "absent" when there is none.
  std::string verdict(const std::string& name) const { return field(name, "verdict"); }
  std::string text(const std::string& name) const { return field(name, "text"); }
  std::string advice(const std::string& name) const { return field(name, "advice"); }

 private:
  std::string field(const std::string& name, const std::string& what) const {
    std::string worst = "absent";
    for (int i = 0;; ++i) {
      const std::string at = "checks." + std::to_string(i) + ".";
      const std::string found = json_field(json, at + "name");
      if (found.empty()) return worst;
      if (found == name && (worst == "absent" || json_field(json, at + "verdict") == "fail"))
        worst = json_field(json, at + what);
    }
  }
};

inline CheckOutcome check(const std::string& source, const std::string& target,
                          std::vector<std::string> more = {}) {
  Keyferry program(KEYFERRY_BINARY);
  std::vector<std::string> args = {"check", "--json", "--source", source, "--target", target};
  args.insert(args.end(), more.begin(), more.end());
  program.start(args);
  CheckOutcome out;
  out.code = program.wait_exit(Millis{20000}).value_or(-1);
  out.json = out.output = program.output();
  return out;
}

}  // namespace keyferry::test
