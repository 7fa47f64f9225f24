#include "keyferry/command/written_keys.hpp"

#include <algorithm>
#include <charconv>

#include "keyferry/command/keys.hpp"
#include "words.hpp"

namespace keyferry {
namespace {

using Args = std::span<const ByteView>;

// Commands that only read their other keys (key specifications of COMMAND DOCS, Redis 7.0.15).
struct Destination {
  ByteView name;
  std::size_t at;
};
constexpr Destination destinations[] = {
    {"BITOP", 2},       {"COPY", 2},        {"GEOSEARCHSTORE", 1}, {"PFMERGE", 1},
    {"SDIFFSTORE", 1},  {"SINTERSTORE", 1}, {"SUNIONSTORE", 1},    {"ZDIFFSTORE", 1},
    {"ZINTERSTORE", 1}, {"ZRANGESTORE", 1}, {"ZUNIONSTORE", 1},
};

// Nothing when it is not a number: then the command did nothing.
std::int32_t read_db(ByteView text, std::int32_t otherwise) {
  std::int32_t db = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), db);
  return db;
}

// COPY source destination [DB db] [REPLACE]
std::int32_t db_of_copy(Args args, std::int32_t db) {
  for (std::size_t i = 3; i + 1 < args.size(); ++i) {
    if (is_word(args[i], "DB")) db = read_db(args[i + 1], db);
  }
  return db;
}

}  // namespace

std::vector<WrittenKey> written_keys(const CommandInfo& info, Args args, std::int32_t db) {
  std::vector<WrittenKey> out;
  const auto* const found =
      std::find_if(std::begin(destinations), std::end(destinations),
                   [&](const Destination& row) { return row.name == info.name; });
  if (found != std::end(destinations)) {
    if (found->at < args.size())
      out.push_back({info.name == "COPY" ? db_of_copy(args, db) : db, args[found->at]});
    return out;
  }
  for_each_key(info, args, [&](std::size_t at) { out.push_back({db, args[at]}); });
  const bool stores = info.shape == KeyShape::sort || info.shape == KeyShape::georadius;
  if (stores && out.size() > 1) out.erase(out.begin());
  if (info.name == "MOVE" && args.size() > 2) out.push_back({read_db(args[2], db), args[1]});
  return out;
}

bool reads_keys_by_pattern(const CommandInfo& info, Args args) {
  if (info.shape != KeyShape::sort) return false;
  for (std::size_t i = 2; i + 1 < args.size(); ++i) {
    if (is_word(args[i], "GET")) return true;
    if (is_word(args[i], "BY") && args[i + 1].find('*') != ByteView::npos) return true;
    if (is_word(args[i], "BY") || is_word(args[i], "STORE")) ++i;
    if (is_word(args[i], "LIMIT")) i += 2;
  }
  return false;
}

}  // namespace keyferry
