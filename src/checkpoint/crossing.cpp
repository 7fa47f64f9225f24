#include "keyferry/checkpoint/crossing.hpp"

#include <fmt/format.h>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/command_parser.hpp"

namespace keyferry {
namespace {

constexpr ByteView magic = "keyferry1 generation=";
constexpr ByteView end_field = " end=";

Error corrupt() {
  return Error(Errc::corrupt, "the target's note of a command over several slots is not readable");
}

}  // namespace

void append_crossing(Bytes& out, const Crossing& crossing) {
  out += fmt::format("{}{}{}{}\n", magic, crossing.generation, end_field, crossing.end);
  for (const Bytes& wire : crossing.wires)
    out += wire;
}

Result<Crossing> parse_crossing(ByteView text) {
  const std::size_t line = text.find('\n');
  if (line == ByteView::npos || !text.starts_with(magic)) return corrupt();
  const ByteView head = text.substr(magic.size(), line - magic.size());
  const std::size_t field = head.find(end_field);
  if (field == ByteView::npos) return corrupt();
  Crossing out;
  if (!read_number(head.substr(0, field), out.generation) ||
      !read_number(head.substr(field + end_field.size()), out.end))
    return corrupt();
  std::vector<ByteView> args;
  for (ByteView rest = text.substr(line + 1); !rest.empty();) {
    args.clear();
    const CommandParse parsed = parse_command(rest, args);
    if (parsed.status != CommandParse::Status::command || args.size() < 2) return corrupt();
    out.wires.emplace_back(rest.substr(0, parsed.size));
    rest.remove_prefix(parsed.size);
  }
  return out;
}

CrossingStep next_step(const Crossing& last, Offset end, bool all_written, bool any) {
  if (all_written) return CrossingStep::skip;
  if (end == last.end) return CrossingStep::finish;
  return end < last.end || any ? CrossingStep::copy_again : CrossingStep::run;
}

}  // namespace keyferry
