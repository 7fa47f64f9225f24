#include "keyferry/config/shake.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "keyferry/config/option_table.hpp"
#include "keyferry/config/uri.hpp"
#include "shake_rows.hpp"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace keyferry {
namespace {

// Dotted name -> value, for every value of the file.
using Values = std::map<std::string, const toml::node*>;

constexpr int max_depth = 8;  // theirs is 3: section.sentinel.tls_config.cert

void flatten(const toml::table& table, const std::string& prefix, int depth, Values& out) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    const toml::table* below = node.as_table();
    if (below != nullptr && depth < max_depth) {
      flatten(*below, name + ".", depth + 1, out);
    } else {
      out[name] = &node;
    }
  }
}

std::vector<std::string> texts(const toml::node& node);

// A scalar as text; "[]" for an empty list.
std::string text(const toml::node& node) {
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* value = node.as_integer()) return std::to_string(value->get());
  if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
  if (node.is_array())
    return texts(node).empty() ? "[]" : fmt::format("{}", fmt::join(texts(node), ","));
  return "?";
}

std::vector<std::string> texts(const toml::node& node) {
  std::vector<std::string> out;
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& one : *list)
      out.push_back(text(one));
  }
  return out;
}

std::string percent_encoded(std::string_view plain) {
  std::string out;
  for (const char c : plain) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || std::string_view("-._~").find(c) != plain.npos;
    out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// v3 has [source] and [target], and says above them how the source is read (v3.1.11: sync.toml,
// scan.toml, restore.toml). Their options are those of v4's readers and of its writer.
Values as_version_4(const Values& values) {
  const auto type = values.find("type");
  if (type == values.end()) return values;
  const std::map<std::string, std::string> readers = {
      {"sync", "sync_reader"}, {"scan", "scan_reader"}, {"restore", "rdb_reader"}};
  const auto reader = readers.find(text(*type->second));
  Values out;
  for (const auto& [name, node] : values) {
    if (name == "source.elasticache_psync") {
      out["advanced.aws_psync"] = node;
    } else if (name == "source.rdb_file_path") {
      out["rdb_reader.filepath"] = node;
    } else if (name.starts_with("source.") && reader != readers.end()) {
      out[reader->second + name.substr(6)] = node;
    } else if (name.starts_with("target.")) {
      out["redis_writer" + name.substr(6)] = node;
    } else if (name != "type") {
      out[name] = node;
    }
  }
  return out;
}

class Importer {
 public:
  explicit Importer(Values values) : values_(std::move(values)) {}

  Result<ShakeImport> run() {
    reader_ = first_section({"sync_reader", "scan_reader", "rdb_reader", "aof_reader"});
    writer_ = first_section({"file_writer", "redis_writer"});
    if (reader_.empty() || writer_.empty()) {
      return Error(Errc::usage,
                   "names no reader or no writer: is it a file of RedisShake v3 or v4?");
    }
    source();
    target();
    for (const ShakeRow& row : shake_rows)
      carry(row);
    unknown_names();
    out_.yaml = YAML::Dump(root_) + "\n";
    return std::move(out_);
  }

 private:
  bool has_section(std::string_view section) const {
    const auto at = values_.lower_bound(std::string(section) + ".");
    return at != values_.end() && at->first.starts_with(std::string(section) + ".");
  }
  // RedisShake takes the first one there is, in this order (v4.6.2 cmd/redis-shake/main.go).
  std::string first_section(const std::vector<std::string>& order) {
    std::string first;
    for (const std::string& section : order) {
      if (!has_section(section)) continue;
      if (first.empty()) {
        first = section;
      } else {
        unused_.insert(section);
        out_.not_needed.push_back(fmt::format("{}: RedisShake uses {} only", section, first));
      }
    }
    return first;
  }
  const toml::node* find(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? nullptr : at->second;
  }
  std::string value(const std::string& name) const {
    const toml::node* node = find(name);
    return node == nullptr ? "" : text(*node);
  }
  YAML::Node place(const std::string& option) {
    YAML::Node at = root_;
    for (std::size_t begin = 0; begin <= option.size();) {
      const std::size_t end = std::min(option.find('.', begin), option.size());
      YAML::Node below = at[option.substr(begin, end - begin)];
      at.reset(below);
      begin = end + 1;
    }
    return at;
  }
  bool has_option(const std::string& theirs, const std::string& ours) {
    if (find_option(ours) != nullptr) return true;
    out_.missing.push_back(fmt::format("{}: this version has no {}", theirs, ours));
    return false;
  }
  void set(const std::string& theirs, const std::string& ours, const std::string& given) {
    if (has_option(theirs, ours)) place(ours) = given;
  }

  void source();
  void target();
  void end(const std::string& section, const std::string& group);
  std::string address_of(const std::string& section, const std::string& group);
  void security(const std::string& section, const std::string& group);
  void password(const std::string& theirs, const std::string& ours, const std::string& file);
  void address(const std::string& theirs, const std::string& group, const std::string& uri);
  void carry(const ShakeRow& row);
  void carry_words(const ShakeRow& row, const std::string& theirs, const std::string& given);
  void carry_list(const ShakeRow& row, const std::string& theirs, const toml::node& node);
  void carry_psync(const std::string& theirs, const std::string& given);
  void unknown_names();

  Values values_;
  std::string reader_;
  std::string writer_;
  std::set<std::string> unused_;  // sections
  YAML::Node root_{YAML::NodeType::Map};
  ShakeImport out_;
};

void Importer::source() {
  if (reader_ == "rdb_reader" || reader_ == "aof_reader") {
    return address(reader_ + ".filepath", "source", "file://" + value(reader_ + ".filepath"));
  }
  end(reader_, "source");
  if (reader_ != "scan_reader") return;
  set(reader_, "source.mode", "scan");
  if (value("scan_reader.ksn") != "true") set("scan_reader.ksn", "stream.enabled", "false");
}

void Importer::target() {
  if (writer_ == "file_writer") {
    address("file_writer.filepath", "target", "file://" + value("file_writer.filepath"));
    out_.to_do.push_back(
        "file_writer.filepath: the name must end in .resp (as type aof) or .jsonl (as type json)");
    return;
  }
  end(writer_, "target");
  // Theirs is "panic" where nothing is said.
  set("advanced.rdb_restore_command_behavior", "snapshot.on_existing_key", "fail");
}

void Importer::end(const std::string& section, const std::string& group) {
  address(section + ".address", group, address_of(section, group));
  if (value(section + ".cluster") == "true" || value(section + ".type") == "cluster") {
    set(section + ".cluster", group + ".topology", "cluster");
  }
  password(section + ".password", group + ".password_file", group + ".password");
  security(section, group);
}

std::string Importer::address_of(const std::string& section, const std::string& group) {
  const std::string tls = value(section + ".tls") == "true" ? "rediss" : "redis";
  const std::string user = value(section + ".username");
  const std::string at = user.empty() ? "" : percent_encoded(user) + "@";
  std::string hosts = value(section + ".address");
  std::string master = value(section + ".sentinel.master_name");
  if (!master.empty()) {
    hosts = value(section + ".sentinel.address");
    if (const std::string name = value(section + ".sentinel.username"); !name.empty()) {
      set(section + ".sentinel.username", group + ".sentinel.user", name);
    }
    password(section + ".sentinel.password", group + ".sentinel.password_file",
             group + ".sentinel.password");
  } else if (value(section + ".sentinel") == "true") {  // before v4.3
    master = value(section + ".master");
  }
  if (master.empty()) return fmt::format("{}://{}{}", tls, at, hosts);
  return fmt::format("{}-sentinel://{}{}/{}", tls, at, hosts, percent_encoded(master));
}

void Importer::security(const std::string& section, const std::string& group) {
  if (value(section + ".tls") == "true") {
    out_.to_do.push_back(
        fmt::format("{}.tls: the certificate is checked here, RedisShake did not ({}.tls.verify)",
                    section, group));
  }
  const std::pair<const char*, const char*> files[] = {
      {"ca_cert", "ca_file"}, {"cert", "cert_file"}, {"key", "key_file"}};
  for (const auto& [theirs, ours] : files) {
    const std::string name = fmt::format("{}.tls_config.{}", section, theirs);
    if (!value(name).empty()) set(name, fmt::format("{}.tls.{}", group, ours), value(name));
  }
}

void Importer::password(const std::string& theirs, const std::string& ours,
                        const std::string& file) {
  if (value(theirs).empty()) return;
  set(theirs, ours, file);
  out_.to_do.push_back(fmt::format("{}: write it into the file {} ({}), readable for keyferry only",
                                   theirs, file, ours));
}

void Importer::address(const std::string& theirs, const std::string& group,
                       const std::string& uri) {
  place(group + ".uri") = uri;
  const Result<Uri> parsed = parse_uri(uri);
  if (!parsed) out_.missing.push_back(fmt::format("{}: {}", theirs, parsed.error().what));
}

void Importer::carry(const ShakeRow& row) {
  const std::string theirs(row.theirs);
  if (unused_.contains(theirs.substr(0, theirs.find('.')))) return;
  const toml::node* node = find(theirs);
  if (node == nullptr) return;
  const std::string given = text(*node);
  if (given.empty() || given == row.usual) return;
  switch (row.carry) {
    case Carry::text:
      return set(theirs, std::string(row.ours), given);
    case Carry::list:
    case Carry::commands:
    case Carry::groups:
      return carry_list(row, theirs, *node);
    case Carry::words:
    case Carry::log_level:
      return carry_words(row, theirs, given);
    case Carry::local_port:
      return set(theirs, std::string(row.ours), "127.0.0.1:" + given);
    case Carry::psync:
      return carry_psync(theirs, given);
    case Carry::not_needed:
      return out_.not_needed.push_back(fmt::format("{}: {}", theirs, row.how));
    case Carry::missing:
      return out_.missing.push_back(fmt::format("{}: {}", theirs, row.how));
  }
}

void Importer::carry_words(const ShakeRow& row, const std::string& theirs,
                           const std::string& given) {
  const std::string how = " " + std::string(row.how) + " ";
  const std::size_t at = how.find(" " + given + "=");
  if (at == how.npos || given.find_first_of(" =") != given.npos) {
    return out_.missing.push_back(theirs + ": RedisShake knows no such value");
  }
  const std::size_t begin = at + given.size() + 2;
  set(theirs, std::string(row.ours), how.substr(begin, how.find(' ', begin) - begin));
}

void Importer::carry_list(const ShakeRow& row, const std::string& theirs, const toml::node& node) {
  static const std::set<std::string> without_us = {
      "cluster", "connection", "transactions", "sentinel", "tairhash", "tairstring", "tairzset"};
  if (!has_option(theirs, std::string(row.ours))) return;
  YAML::Node list = place(std::string(row.ours));
  list.SetStyle(YAML::EmitterStyle::Flow);
  for (std::string one : texts(node)) {
    if (row.carry == Carry::commands) std::replace(one.begin(), one.end(), '-', '|');
    if (row.carry == Carry::groups) {
      std::transform(one.begin(), one.end(), one.begin(), [](char c) {
        return c == '_' ? '-' : (c >= 'A' && c <= 'Z') ? static_cast<char>(c + 32) : c;
      });
      if (without_us.contains(one)) {
        out_.missing.push_back(fmt::format("{}: there is no group {} here", theirs, one));
        continue;
      }
    }
    list.push_back(one);
  }
}

// "10.0.0.1:6379@xyzpsync,10.0.0.2:6379@abcpsync"; v3 has only the command.
void Importer::carry_psync(const std::string& theirs, const std::string& given) {
  if (given.find(',') != given.npos) {
    return out_.missing.push_back(theirs + ": one name of PSYNC for the source, not one per node");
  }
  set(theirs, "source.psync_command", given.substr(given.find('@') + 1));
}

void Importer::unknown_names() {
  std::set<std::string> known;
  for (const ShakeRow& row : shake_rows)
    known.emplace(row.theirs);
  for (const auto& [name, node] : values_) {
    const std::size_t dot = name.find('.');
    const std::string section = name.substr(0, dot);
    const std::string key = dot == name.npos ? "" : name.substr(dot + 1);
    const bool is_end = std::find(shake_end_keys.begin(), shake_end_keys.end(),
                                  key.substr(0, key.find('.'))) != shake_end_keys.end();
    const bool of_an_end = section.ends_with("_reader") || section.ends_with("_writer");
    if (known.contains(name) || unused_.contains(section) || (is_end && of_an_end)) continue;
    if (name == "redis_writer.type") continue;  // v3: standalone or cluster
    out_.to_do.push_back(name + ": no option of RedisShake (it ignores such names); misspelt?");
  }
}

}  // namespace

Result<ShakeImport> import_shake(std::string_view toml) {
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed) {
    return Error(Errc::usage,
                 fmt::format("line {}: not valid TOML", parsed.error().source().begin.line));
  }
  Values values;
  flatten(parsed.table(), "", 0, values);
  return Importer(as_version_4(values)).run();
}

}  // namespace keyferry
