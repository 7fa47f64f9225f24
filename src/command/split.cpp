// split_by_slot(): one command per slot out of DEL, UNLINK, MSET and MSETNX.
#include <unordered_map>

#include "keyferry/command/keys.hpp"

namespace keyferry {

std::vector<SplitPart> split_by_slot(const CommandInfo& info, std::span<const ByteView> args) {
  if (info.split == SplitShape::no || args.size() < 2) return {};
  const std::size_t width = info.split == SplitShape::key_value_pairs ? 2 : 1;
  if ((args.size() - 1) % width != 0) return {};

  const ByteView name = info.name == "MSETNX" ? ByteView("MSET") : args[0];
  std::vector<SplitPart> parts;
  std::unordered_map<Slot, std::size_t> part_of;
  for (std::size_t at = 1; at < args.size(); at += width) {
    const Slot slot = slot_of(args[at]);
    const auto [found, is_new] = part_of.try_emplace(slot, parts.size());
    if (is_new) parts.push_back({slot, {name}});
    SplitPart& part = parts[found->second];
    for (std::size_t i = at; i < at + width; ++i)
      part.args.push_back(args[i]);
  }
  return parts;
}

}  // namespace keyferry
