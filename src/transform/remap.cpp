#include "keyferry/transform/remap.hpp"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

// Each text with its length in front, so that no two rule sets have the same form.
void append_part(std::string& out, std::string_view text) {
  out += fmt::format("{}:{}", text.size(), text);
}

void append_parts(std::string& out, const std::vector<std::string>& texts) {
  out += fmt::format("[{}]", texts.size());
  for (const std::string& text : texts)
    append_part(out, text);
}

void append_parts(std::string& out, const std::map<std::string, std::string>& texts) {
  out += fmt::format("[{}]", texts.size());
  for (const auto& [name, text] : texts) {
    append_part(out, name);
    append_part(out, text);
  }
}

void append_rules(std::string& out, const FilterRules& rules) {
  for (const auto* list :
       {&rules.keys, &rules.prefixes, &rules.suffixes, &rules.globs, &rules.regexes, &rules.slots,
        &rules.databases, &rules.commands, &rules.groups, &rules.types})
    append_parts(out, *list);
}

}  // namespace

Result<Remap> Remap::compile(const TransformOptions& options) {
  Remap remap;
  for (const auto& [from, to] : options.databases) {
    if (from != to) remap.databases_[std::atoi(from.c_str())] = std::atoi(to.c_str());
  }
  for (const auto& [db, prefix] : options.database_prefix) {
    if (!prefix.empty()) remap.prefixes_[std::atoi(db.c_str())] = prefix;
  }
  remap.strip_ = options.key_prefix_strip;
  for (const auto& [from, to] : options.key_prefix_replace) {
    if (from.empty()) {
      return Error(Errc::usage,
                   "transform.key_prefix.replace: an empty beginning fits every key; that is "
                   "transform.key_prefix.add");
    }
    remap.replace_.emplace_back(from, to);
  }
  std::sort(remap.replace_.begin(), remap.replace_.end(),
            [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  remap.add_ = options.key_prefix_add;
  remap.ttl_ = parse_ttl_policy(options.ttl).value_or(TtlPolicy());
  remap.maps_databases_ = !remap.databases_.empty();
  remap.maps_keys_ = !remap.prefixes_.empty() || !remap.strip_.empty() || !remap.replace_.empty() ||
                     !remap.add_.empty();
  remap.maps_ttl_ = remap.ttl_.kind == TtlPolicy::Kind::none || remap.ttl_.shift_ms != 0;
  remap.may_collide_ = !remap.strip_.empty() || !remap.replace_.empty();
  for (const auto& [from, to] : remap.databases_)
    remap.may_collide_ = remap.may_collide_ || remap.shares_database(from);
  if (remap.key(0, "keyferry:").starts_with("keyferry:") && remap.add_.starts_with("keyferry:"))
    return Error(Errc::usage, "transform.key_prefix.add: names that begin with keyferry: are ours");
  return remap;
}

std::int32_t Remap::db(std::int32_t source_db) const {
  if (!maps_databases_) return source_db;
  const auto at = databases_.find(source_db);
  return at == databases_.end() ? source_db : at->second;
}

ByteView Remap::prefix_of(std::int32_t source_db) const {
  if (prefixes_.empty()) return {};
  const auto at = prefixes_.find(source_db);
  return at == prefixes_.end() ? ByteView() : ByteView(at->second);
}

void Remap::append_key(Bytes& out, std::int32_t source_db, ByteView key) const {
  out += prefix_of(source_db);
  out += add_;
  if (!strip_.empty() && key.starts_with(strip_)) key.remove_prefix(strip_.size());
  for (const auto& [from, to] : replace_) {
    if (!key.starts_with(from)) continue;
    out += to;
    key.remove_prefix(from.size());
    break;
  }
  out += key;
}

Bytes Remap::key(std::int32_t source_db, ByteView key) const {
  Bytes out;
  append_key(out, source_db, key);
  return out;
}

std::vector<std::pair<std::int32_t, Bytes>> Remap::origins(std::int32_t target_db,
                                                           ByteView key) const {
  std::vector<std::pair<std::int32_t, Bytes>> out;
  if (!databases_.contains(target_db)) add_origins(target_db, key, out);
  for (const auto& [from, to] : databases_) {
    if (to == target_db) add_origins(from, key, out);
  }
  return out;
}

// Undoes each step in every way it may have been done; what does not lead back here is left out.
void Remap::add_origins(std::int32_t source_db, ByteView key,
                        std::vector<std::pair<std::int32_t, Bytes>>& out) const {
  const Bytes front = Bytes(prefix_of(source_db)) + add_;
  if (!key.starts_with(front)) return;
  const ByteView rest = key.substr(front.size());
  std::vector<Bytes> names = {Bytes(rest)};
  for (const auto& [from, to] : replace_) {
    if (rest.starts_with(to)) names.push_back(from + Bytes(rest.substr(to.size())));
  }
  if (!strip_.empty()) {
    const std::size_t count = names.size();
    for (std::size_t i = 0; i < count; ++i)
      names.push_back(strip_ + names[i]);
  }
  for (Bytes& name : names) {
    if (this->key(source_db, name) == key) out.emplace_back(source_db, std::move(name));
  }
}

std::optional<std::int64_t> Remap::expire(std::optional<std::int64_t> source_ms) const {
  if (!source_ms || ttl_.kind == TtlPolicy::Kind::none) return std::nullopt;
  return std::max<std::int64_t>(1, *source_ms + ttl_.shift_ms);
}

bool Remap::shares_database(std::int32_t source_db) const {
  const std::int32_t target = db(source_db);
  // The one that has this number by nature.
  if (target != source_db && !databases_.contains(target)) return true;
  return std::any_of(databases_.begin(), databases_.end(), [&](const auto& entry) {
    return entry.first != source_db && entry.second == target;
  });
}

std::uint64_t Remap::fingerprint(const FilterOptions& filter, const TransformOptions& transform,
                                 ByteView script) {
  TransformOptions plain = transform;
  plain.script_file.clear();  // what is in it counts
  plain.decode = false;
  if (filter == FilterOptions() && plain == TransformOptions() && script.empty()) return 0;
  std::string text;
  append_rules(text, filter.allow);
  append_rules(text, filter.block);
  text += fmt::format("{} {} {} {} ", filter.min_bytes, filter.max_bytes, filter.min_ttl_s,
                      filter.max_ttl_s);
  if (!filter.shard.empty()) append_part(text, filter.shard);
  append_parts(text, transform.databases);
  append_parts(text, transform.database_prefix);
  append_parts(text, transform.key_prefix_replace);
  for (const std::string* part :
       {&transform.key_prefix_strip, &transform.key_prefix_add, &transform.ttl})
    append_part(text, *part);
  append_part(text, script);
  return crc64(0, text) | 1;
}

}  // namespace keyferry
