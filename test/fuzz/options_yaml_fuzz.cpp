// A configuration file is any text: no crash; either it is settings, or each problem names a line.
#include "fuzz.hpp"
#include "keyferry/config/yaml.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  std::vector<Setting> settings;
  std::vector<std::string> problems;
  read_yaml(std::string(fuzz::view(data, size)), "file.yaml", settings, problems);
  for (const std::string& problem : problems)
    fuzz::require(problem.starts_with("file.yaml:"), "a problem names its place");
  for (const Setting& setting : settings)
    fuzz::require(!setting.name.empty(), "a setting has a name");
  return 0;
}
