#include "keyferry/cluster/slot_import.hpp"

#include "keyferry/base/number.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

// What stands behind the word, up to the end.
std::span<const ByteView> behind(std::span<const ByteView> args, ByteView word) {
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (is_word(args[i], word)) return args.subspan(i + 1);
  }
  return {};
}

ShardSlots read_ranges(std::span<const ByteView> numbers) {
  ShardSlots out;
  for (std::size_t i = 0; i + 1 < numbers.size(); i += 2) {
    std::size_t first = 0;
    std::size_t last = 0;
    const bool is_range = read_number(numbers[i], first) && read_number(numbers[i + 1], last) &&
                          first <= last && last < slot_count;
    if (!is_range) return out.set();
    for (std::size_t slot = first; slot <= last; ++slot)
      out.set(slot);
  }
  return out.any() ? out : out.set();
}

}  // namespace

std::optional<SlotImport> read_slot_import(std::span<const ByteView> args) {
  if (args.size() < 3 || !is_word(args[0], "CLUSTER") || !is_word(args[1], "SYNCSLOTS"))
    return std::nullopt;
  const bool begins = is_word(args[2], "ESTABLISH");
  if (!begins && !is_word(args[2], "FINISH")) return std::nullopt;
  SlotImport out;
  const std::span<const ByteView> name = behind(args.subspan(3), "NAME");
  if (!name.empty()) out.job = name.front();
  if (begins) out.slots = read_ranges(behind(args.subspan(3), "SLOTSRANGE"));
  return out;
}

}  // namespace keyferry
