// RedisSink: commands that this target cannot carry out, because their keys lie in several slots of
// a cluster, are found by a pattern, or get names that make it another command. What such a command
// wrote is copied from the source: its keys become suspect. Which commands these are is
// sink/route's, how suspects are healed pipeline's.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/command/written_keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

// A command's name for people and counters.
std::string RedisSink::shown_name(ByteView name) {
  constexpr std::size_t shown_max = 32;
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return escaped(out, shown_max);
}

void RedisSink::suspect(std::int32_t db, ByteView key, Offset behind) {
  // What brought it about is not acknowledged yet: a start from there meets it again.
  suspects_.add(db, key, behind, watermark_.applied());
}

// False: there is nobody to copy from.
bool RedisSink::leave_to_copies(const Batch& batch, const Command& command) {
  if (!can_heal) return false;
  std::vector<ByteView> args(batch.args_of(command).begin(), batch.args_of(command).end());
  std::int32_t db = command.db;
  if (command.origin != nullptr) {
    db = command.origin->db;
    args.clear();
    parse_command(command.origin->wire, args);
  }
  const CommandInfo* info = find_command(args[0]);
  if (info == nullptr) info = nodes_.learnt().find(args[0]);
  if (info == nullptr) return false;
  for (const WrittenKey& written : written_keys(*info, args, db))
    suspect(written.db, written.key, command.end);
  const std::string name = shown_name(batch.args_of(command)[0]);
  if (stats_.cross_slot.empty()) {
    log_info(
        "{} cannot be carried out as it is: what it writes is copied from the source, and so with "
        "others, counted by name",
        name);
  }
  ++stats_.cross_slot[name];
  ++stats_.applied;
  return true;
}

void RedisSink::note_healed(const Unit& unit) {
  std::vector<ByteView> args;
  parse_command(unit.source_wire(), args);
  if (args.size() > 1 && suspects_.healed(unit.source_db(), args[1], unit.end))
    ++stats_.healed_keys;
}

// At least once: some key is suspect.
void RedisSink::note_answered(const Unit& unit) {
  if (unit.is_copy) {
    note_healed(unit);
  } else {
    explains(unit, "");
  }
}

// At least once: refused because of a suspect key, which will be mended.
bool RedisSink::take_explained(const HeldUnit& held, const std::string& error) {
  if (events_.suspects == nullptr || suspects_.empty() || !explains(held.unit, error)) return false;
  Answered answered;
  answered.units = 1;
  answered.commands = held.unit.commands;
  answered.bytes = held.unit.wire.size();
  acknowledge(held.ticket, answered, held.received);
  return true;
}

}  // namespace keyferry
