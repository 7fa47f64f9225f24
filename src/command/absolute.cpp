// is_absolute(): whether the options of a command spoil or grant what its table row says.
#include "keyferry/command/command_table.hpp"
#include "words.hpp"

namespace keyferry {
namespace {

using Args = std::span<const ByteView>;

bool any_of(Args args, std::span<const ByteView> words) {
  for (ByteView arg : args) {
    if (is_one_of(arg, words)) return true;
  }
  return false;
}

// Redis 8.4 and Valkey 8.1 added the comparing forms (IFEQ and so on).
constexpr ByteView set_spoilers[] = {"NX",   "XX",   "GET",   "KEEPTTL",
                                     "IFEQ", "IFNE", "IFDEQ", "IFDNE"};
constexpr ByteView zadd_spoilers[] = {"NX", "XX", "GT", "LT", "INCR"};
constexpr ByteView msetex_spoilers[] = {"NX", "XX", "KEEPTTL"};
constexpr ByteView restore_replace[] = {"REPLACE"};
constexpr ByteView restore_absolute_ttl[] = {"ABSTTL"};

// Options stand before the first score; CH changes the reply only. Later words may be members.
bool zadd_is_absolute(Args args) {
  for (std::size_t i = 2; i < args.size(); ++i) {
    if (is_one_of(args[i], zadd_spoilers)) return false;
    if (!is_word(args[i], "CH")) return true;
  }
  return false;
}

// RESTORE key ttl payload [options]
bool restore_is_absolute(Args args) {
  if (args.size() < 5 || !any_of(args.subspan(4), restore_replace)) return false;
  return args[2] == "0" || any_of(args.subspan(4), restore_absolute_ttl);
}

// MSETEX n key value ... [options]
bool msetex_is_absolute(Args args) {
  const std::size_t pairs = args.size() < 2 ? 0 : number_of_keys(args[1], args.size());
  const std::size_t options = 2 + 2 * pairs;
  return pairs > 0 && options <= args.size() && !any_of(args.subspan(options), msetex_spoilers);
}

}  // namespace

bool is_absolute(const CommandInfo& info, Args args) {
  if (!info.is_absolute || args.size() < 2) return false;
  switch (info.absolute_when) {
    case AbsoluteWhen::always:
      return true;
    case AbsoluteWhen::no_option:
      return args.size() == 3;
    case AbsoluteWhen::set:
      return args.size() >= 3 && !any_of(args.subspan(3), set_spoilers);
    case AbsoluteWhen::zadd:
      return zadd_is_absolute(args);
    case AbsoluteWhen::restore:
      return restore_is_absolute(args);
    case AbsoluteWhen::msetex:
      return msetex_is_absolute(args);
  }
  return false;
}

}  // namespace keyferry
