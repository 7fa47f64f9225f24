#include "keyferry/command/scratch_command.hpp"

#include <algorithm>

#include "keyferry/command/keys.hpp"
#include "keyferry/command/written_keys.hpp"

namespace keyferry {
namespace {

constexpr ByteView scripts[] = {"EVAL", "EVALSHA", "FCALL"};

bool is_in_table(const CommandInfo& info) {
  return find_command(info.name) == &info;
}

}  // namespace

bool can_run_on_copies(const CommandInfo& info, std::span<const ByteView> args) {
  // What a module's command looks at besides its keys nobody knows.
  if (info.kind != CommandKind::write || !is_in_table(info)) return false;
  if (std::count(std::begin(scripts), std::end(scripts), info.name) > 0) return false;
  if (reads_keys_by_pattern(info, args)) return false;
  const auto written = written_keys(info, args, 0);
  return std::all_of(written.begin(), written.end(), [](const auto& key) { return key.db == 0; });
}

ScratchCommand scratch_command(const CommandInfo& info, std::span<const ByteView> args) {
  ScratchCommand out;
  out.args = args;
  std::vector<std::size_t> places;
  for_each_key(info, args, [&](std::size_t at) { places.push_back(at); });
  std::vector<std::size_t> key_at(args.size(), args.size());
  for (const std::size_t at : places) {
    const auto known = std::find_if(out.keys.begin(), out.keys.end(),
                                    [&](const auto& key) { return key.name == args[at]; });
    key_at[at] = static_cast<std::size_t>(known - out.keys.begin());
    if (known == out.keys.end()) out.keys.push_back({args[at]});
  }
  for (std::size_t& key : key_at)
    key = std::min(key, out.keys.size());
  out.key_of_arg = std::move(key_at);
  for (const WrittenKey& written : written_keys(info, args, 0)) {
    for (ScratchCommand::Key& key : out.keys)
      key.is_written = key.is_written || key.name == written.key;
  }
  return out;
}

Bytes under_names(const ScratchCommand& command, std::span<const std::string> names) {
  std::vector<ByteView> args(command.args.begin(), command.args.end());
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (command.key_of_arg[i] < command.keys.size()) args[i] = names[command.key_of_arg[i]];
  }
  Bytes out;
  append_command(out, args);
  return out;
}

}  // namespace keyferry
