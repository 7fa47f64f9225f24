// RedisSink: snapshot commands that go through the user's script. Each command that it returns is a
// unit of its own, in the lane of its first key.
#include "keyferry/base/log.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

// `wires`: one command or several, one behind the other. False: the script changes nothing, they
// can go as they are.
bool RedisSink::put_scripted(const Unit& unit, ByteView wires) {
  if (transform == nullptr || !transform->has_script()) return false;
  std::vector<Bytes> made;
  bool is_same = true;
  const ByteView all = wires;
  std::size_t compared = 0;
  while (!wires.empty()) {
    std::vector<ByteView> args;
    const CommandParse parsed = parse_command(wires, args);
    KEYFERRY_ASSERT(parsed.status == CommandParse::Status::command);
    wires.remove_prefix(parsed.size);
    std::vector<Bytes> answer;
    if (Error error = transform->run_script(unit.db, args, answer)) {
      refuse_scripted(error, args);
      is_same = false;
      continue;
    }
    for (Bytes& wire : answer) {
      is_same = is_same && all.substr(compared).starts_with(wire);
      compared += wire.size();
      made.push_back(std::move(wire));
    }
    is_same = is_same && compared == all.size() - wires.size();
  }
  if (is_same) return false;
  if (made.empty()) ++stats_.filtered;
  for (std::size_t i = 0; i < made.size(); ++i) {
    std::vector<ByteView> args;
    parse_command(made[i], args);
    const CommandInfo* info = find_command(args[0]);
    Unit one = unit;
    one.load = Load::other;
    one.commands = i + 1 == made.size() ? unit.commands : 0;
    if (info != nullptr) {
      const KeySlots keys = key_slots(*info, args);
      if (keys.span != KeySlots::Span::no_key) one.slot = keys.slot;
    }
    put_wire(one, std::move(made[i]));
  }
  return true;
}

void RedisSink::refuse_scripted(const Error& error, const std::vector<ByteView>& args) {
  ++stats_.errors["script_error"];
  const std::string what = fmt::format("script: {} \"{}\": {}", escaped(args[0], 32),
                                       args.size() > 1 ? escaped(args[1]) : "", error.what);
  if (options_.errors_policy == ErrorPolicy::stop) {
    ++stats_.failed;
    return fail(Error(Errc::data_refused, what));
  }
  ++stats_.skipped;
  stats_.last_error = what;
  log_warn("skipped: {}", what);
}

}  // namespace keyferry
