#include "keyferry/sink/late.hpp"

#include <vector>

#include "keyferry/command/expiry.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t always_late_ms = 1000;
constexpr std::int64_t never_late_ms = 10;
constexpr std::int64_t lives_for_each_wait = 100;

}  // namespace

bool is_late(const Unit& unit, TimePoint received, TimePoint now) {
  const std::int64_t waited_ms = elapsed_ms(received, now);
  if (unit.is_late || waited_ms > always_late_ms) return true;
  if (waited_ms <= never_late_ms) return false;
  std::vector<ByteView> args;
  parse_command(unit.wire, args);
  const auto expire_ms = expiry_set_by(args);
  return expire_ms && *expire_ms < unix_now_ms() + waited_ms * lives_for_each_wait;
}

}  // namespace keyferry
