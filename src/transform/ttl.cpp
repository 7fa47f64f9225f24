#include "keyferry/transform/ttl.hpp"

#include <algorithm>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

using Args = std::vector<ByteView>;
using Texts = std::deque<Bytes>;

// How a command writes a time.
struct Form {
  ByteView word;         // of an option; or the command's name
  std::int64_t unit_ms;  // 1000: seconds
  bool is_absolute;
  ByteView in_ms;  // the same in milliseconds
};
constexpr Form options[] = {{"EX", 1000, false, "PX"},
                            {"PX", 1, false, "PX"},
                            {"EXAT", 1000, true, "PXAT"},
                            {"PXAT", 1, true, "PXAT"}};
constexpr Form verbs[] = {
    {"EXPIRE", 1000, false, "PEXPIRE"},    {"PEXPIRE", 1, false, "PEXPIRE"},
    {"EXPIREAT", 1000, true, "PEXPIREAT"}, {"PEXPIREAT", 1, true, "PEXPIREAT"},
    {"SETEX", 1000, false, "PSETEX"},      {"PSETEX", 1, false, "PSETEX"}};

// Writes the moved time, in milliseconds, and the word that says so.
bool shift(const Remap& remap, const Form& form, ByteView& word, ByteView& time, Texts& texts) {
  std::int64_t number = 0;
  constexpr std::int64_t largest = std::int64_t{1} << 50;
  if (!read_number(time, number) || number > largest || number < -largest) return false;
  const std::int64_t ms = std::max<std::int64_t>(1, number * form.unit_ms + remap.ttl().shift_ms);
  word = form.in_ms;
  time = texts.emplace_back(std::to_string(ms));
  return true;
}

// SET, GETEX, MSETEX: an option somewhere from `at` on.
TtlChange change_option(const Remap& remap, Args& args, std::size_t at, Texts& texts) {
  for (; at + 1 < args.size(); ++at) {
    for (const Form& form : options) {
      if (!is_word(args[at], form.word)) continue;
      if (remap.ttl().kind == TtlPolicy::Kind::none) {
        args.erase(args.begin() + static_cast<std::ptrdiff_t>(at),
                   args.begin() + static_cast<std::ptrdiff_t>(at) + 2);
        return TtlChange::changed;
      }
      return shift(remap, form, args[at], args[at + 1], texts) ? TtlChange::changed
                                                               : TtlChange::none;
    }
  }
  return TtlChange::none;
}

// SETEX key time value, PSETEX likewise.
TtlChange change_setex(const Remap& remap, const Form& form, Args& args, Texts& texts) {
  if (remap.ttl().kind == TtlPolicy::Kind::none) {
    args = {"SET", args[1], args[3]};
    return TtlChange::changed;
  }
  return shift(remap, form, args[0], args[2], texts) ? TtlChange::changed : TtlChange::none;
}

// RESTORE key ttl payload ...
TtlChange change_restore(const Remap& remap, Args& args, Texts& texts) {
  std::int64_t ttl = 0;
  if (!read_number(args[2], ttl) || ttl == 0) return TtlChange::none;
  const bool never = remap.ttl().kind == TtlPolicy::Kind::none;
  const std::int64_t moved = never ? 0 : std::max<std::int64_t>(1, ttl + remap.ttl().shift_ms);
  args[2] = texts.emplace_back(std::to_string(moved));
  return TtlChange::changed;
}

}  // namespace

TtlChange change_ttl(const Remap& remap, const CommandInfo& info, Args& args, Texts& texts) {
  if (!remap.maps_ttl() || args.size() < 2) return TtlChange::none;
  const bool never = remap.ttl().kind == TtlPolicy::Kind::none;
  if (info.name == "PERSIST") return never ? TtlChange::drop : TtlChange::none;
  if (info.name.starts_with("RESTORE"))
    return args.size() > 3 ? change_restore(remap, args, texts) : TtlChange::none;
  if (info.name == "SET") return change_option(remap, args, 3, texts);
  if (info.name == "GETEX") return never ? TtlChange::drop : change_option(remap, args, 2, texts);
  if (info.name == "MSETEX") {
    std::int64_t pairs = 0;
    const bool counted = read_number(args[1], pairs) && pairs > 0 &&
                         static_cast<std::size_t>(pairs) < args.size() / 2;
    const auto behind = static_cast<std::size_t>(2 + 2 * pairs);
    return counted ? change_option(remap, args, behind, texts) : TtlChange::none;
  }
  for (const Form& form : verbs) {
    if (info.name != form.word) continue;
    if (info.name.ends_with("SETEX"))
      return args.size() == 4 ? change_setex(remap, form, args, texts) : TtlChange::none;
    if (never) return TtlChange::drop;
    const bool ok = args.size() > 2 && shift(remap, form, args[0], args[2], texts);
    return ok ? TtlChange::changed : TtlChange::none;
  }
  return TtlChange::none;
}

}  // namespace keyferry
