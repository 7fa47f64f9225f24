#include <algorithm>
#include <limits>

#include "keyferry/command/command_table.hpp"

namespace keyferry {
namespace {

constexpr std::size_t longest_name = 128;

void to_upper(ByteView name, char* out) {
  std::transform(name.begin(), name.end(), out, [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
}

bool has_flag(const RespValue& flags, ByteView flag) {
  return std::any_of(flags.items.begin(), flags.items.end(), [flag](const RespValue& item) {
    return item.is_string() && item.text == flag;
  });
}

bool fits(const RespValue& value, std::int64_t least) {
  return value.kind == RespValue::Kind::integer && value.integer >= least &&
         value.integer <= std::numeric_limits<std::int8_t>::max();
}

// Items 3 to 5 of a row: first, last, step; first 0 means no key.
bool read_positions(const std::vector<RespValue>& row, CommandInfo& info) {
  if (!fits(row[3], 0) || !fits(row[4], std::numeric_limits<std::int8_t>::min())) return false;
  if (row[3].integer == 0) {
    info.shape = KeyShape::none;
    return true;
  }
  if (!fits(row[5], 1)) return false;
  info.first = static_cast<std::int8_t>(row[3].integer);
  info.last = static_cast<std::int8_t>(row[4].integer);
  info.step = static_cast<std::int8_t>(row[5].integer);
  return true;
}

}  // namespace

std::size_t LearntCommands::learn(const RespValue& command_reply) {
  std::size_t learnt = 0;
  for (const RespValue& item : command_reply.items) {
    const std::vector<RespValue>& row = item.items;
    if (row.size() < 6 || !row[0].is_string() || !has_flag(row[2], "write")) continue;
    const Bytes& name = row[0].text;
    if (name.empty() || name.size() > longest_name || find_command(name) || find(name)) continue;
    CommandInfo info;
    if (!read_positions(row, info)) continue;
    std::string upper(name.size(), '\0');
    to_upper(name, upper.data());
    const auto [at, inserted] = rows_.emplace(std::move(upper), info);
    at->second.name = at->first;  // nodes of an unordered_map stay where they are
    ++learnt;
  }
  return learnt;
}

const CommandInfo* LearntCommands::find(ByteView name) const {
  if (name.size() > longest_name) return nullptr;
  char upper[longest_name];
  to_upper(name, upper);
  const auto at = rows_.find(ByteView(upper, name.size()));
  return at == rows_.end() ? nullptr : &at->second;
}

}  // namespace keyferry
