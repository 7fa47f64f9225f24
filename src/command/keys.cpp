#include "keyferry/command/keys.hpp"

#include "keyferry/base/checksum.hpp"
#include "words.hpp"

namespace keyferry {
namespace {

using Args = std::span<const ByteView>;
using Positions = std::vector<std::size_t>;

// A word of a command's options and how many arguments follow it.
struct Option {
  ByteView word;
  std::size_t arguments;
};

const Option* option_of(ByteView arg, std::span<const Option> options) {
  for (const Option& option : options) {
    if (is_word(arg, option.word)) return &option;
  }
  return nullptr;
}

void num_keys_positions(const CommandInfo& info, Args args, Positions& out) {
  const auto count_at = static_cast<std::size_t>(info.first);
  if (count_at >= args.size()) return;
  if (info.last > 0) out.push_back(static_cast<std::size_t>(info.last));
  const std::size_t count = number_of_keys(args[count_at], args.size());
  const auto step = static_cast<std::size_t>(info.step);
  for (std::size_t i = 0, at = count_at + 1; i < count && at < args.size(); ++i, at += step) {
    out.push_back(at);
  }
}

// XREADGROUP GROUP group consumer [options] STREAMS key ... id ...
constexpr Option xread_options[] = {
    {"GROUP", 2},    {"COUNT", 1},   {"BLOCK", 1}, {"NOACK", 0}, {"CLAIM", 1},  // Redis 8.4
    {"MAXCOUNT", 1}, {"MAXSIZE", 1},                                            // Redis 8.10
};

void xread_positions(Args args, Positions& out) {
  for (std::size_t i = 1; i < args.size(); ++i) {
    if (is_word(args[i], "STREAMS")) {
      const std::size_t keys = (args.size() - i - 1) / 2;
      for (std::size_t at = i + 1; at <= i + keys; ++at)
        out.push_back(at);
      return;
    }
    const Option* option = option_of(args[i], xread_options);
    if (option == nullptr) return;
    i += option->arguments;
  }
}

// MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS
// key ...]
constexpr Option migrate_options[] = {{"COPY", 0}, {"REPLACE", 0}, {"AUTH", 1}, {"AUTH2", 2}};

void migrate_positions(const CommandInfo& info, Args args, Positions& out) {
  const auto key_at = static_cast<std::size_t>(info.first);
  if (key_at >= args.size()) return;
  if (!args[key_at].empty()) {
    out.push_back(key_at);
    return;
  }
  for (std::size_t i = 6; i < args.size(); ++i) {
    if (is_word(args[i], "KEYS")) {
      while (++i < args.size())
        out.push_back(i);
      return;
    }
    const Option* option = option_of(args[i], migrate_options);
    if (option == nullptr) return;
    i += option->arguments;
  }
}

// The last STORE counts, as in Redis 7.0.15 (COMMAND GETKEYS); patterns of BY and GET are not keys.
constexpr Option sort_options[] = {{"LIMIT", 2}, {"GET", 1}, {"BY", 1}, {"STORE", 1}};
constexpr Option georadius_options[] = {{"COUNT", 1}, {"STORE", 1}, {"STOREDIST", 1}};

// A key at 1 and an optional destination behind STORE or STOREDIST somewhere from `options_at` on.
void store_positions(Args args, std::size_t options_at, std::span<const Option> options,
                     Positions& out) {
  if (args.size() < 2) return;
  out.push_back(1);
  std::size_t destination = 0;
  for (std::size_t i = options_at; i < args.size(); ++i) {
    const Option* option = option_of(args[i], options);
    if (option == nullptr) continue;
    if (option->word.starts_with("STORE") && i + 1 < args.size()) destination = i + 1;
    i += option->arguments;
  }
  if (destination != 0) out.push_back(destination);
}

}  // namespace

Slot slot_of(ByteView key) {
  const std::size_t open = key.find('{');
  if (open != ByteView::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != ByteView::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return static_cast<Slot>(crc16(key) % slot_count);
}

void odd_key_positions(const CommandInfo& info, Args args, Positions& out) {
  switch (info.shape) {
    case KeyShape::none:
    case KeyShape::range:
      return;
    case KeyShape::num_keys:
      return num_keys_positions(info, args, out);
    case KeyShape::xread:
      return xread_positions(args, out);
    case KeyShape::migrate:
      return migrate_positions(info, args, out);
    case KeyShape::sort:
      return store_positions(args, 2, sort_options, out);
    case KeyShape::georadius:
      return store_positions(args, 5, georadius_options, out);
  }
}

std::size_t first_key_at(const CommandInfo* info, Args args) {
  std::size_t first = 0;
  const auto note = [&first](std::size_t at) { first = first == 0 ? at : first; };
  if (info != nullptr) for_each_key(*info, args, note);
  return first == 0 ? 1 : first;
}

KeySlots key_slots(const CommandInfo& info, Args args) {
  KeySlots result;
  for_each_key(info, args, [&](std::size_t at) {
    const ByteView key = args[at];
    if (is_own_key(key)) result.own_key = true;
    if (result.span == KeySlots::Span::many_slots) return;
    const Slot slot = slot_of(key);
    if (result.span == KeySlots::Span::no_key) {
      result.span = KeySlots::Span::one_slot;
      result.slot = slot;
    } else if (slot != result.slot) {
      result.span = KeySlots::Span::many_slots;
    }
  });
  return result;
}

bool touches_own_key(const CommandInfo& info, Args args) {
  bool own = false;
  for_each_key(info, args, [&](std::size_t at) { own = own || is_own_key(args[at]); });
  return own;
}

}  // namespace keyferry
