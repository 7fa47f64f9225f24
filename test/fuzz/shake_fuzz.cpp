// A RedisShake configuration is any text: no crash, and what is made of it is YAML.
#include <yaml-cpp/yaml.h>

#include "fuzz.hpp"
#include "keyferry/config/shake.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  fuzz::ExactBuffer buffer;
  const Result<ShakeImport> got = import_shake(buffer.hold(fuzz::view(data, size)));
  if (!got) return 0;
  const YAML::Node root = YAML::Load(got->yaml);  // throws when it is none
  fuzz::require(root.IsMap() && root["target"].IsDefined(), "both ends are there");
  return 0;
}
