#include "keyferry/config/option_kinds.hpp"

#include <algorithm>
#include <optional>

#include <yaml-cpp/yaml.h>

#include "keyferry/base/bytes.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

// `show` only has a const Options; the accessors promise not to change what they refer to.
template <class T>
T read(const Access<T>& access, const Options& options) {
  Options copy = options;
  return access(copy);
}

bool is_plain_text(const std::string& text) {
  for (const char c : text) {
    if ((c >= 0 && c < ' ') || c == 0x7f) return false;
  }
  return true;
}

}  // namespace

std::string shown_value(const std::string& text) {
  if (text.find('@') != std::string::npos || text.find("://") != std::string::npos)
    return "the value";
  return "'" + escaped(text, 40) + "'";
}

bool same_choice(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return (x == '-' ? '_' : x) == (y == '-' ? '_' : y); });
}

OptionDef integer_option(std::string name, Access<std::int64_t> access, ValueRange limits,
                         std::string unit, std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = fmt::format("{}, {} to {}", unit, limits.min, limits.max);
  def.set = [access, limits, range = def.range](Options& options, const std::string& text) {
    const std::optional<std::int64_t> value = parse_integer(text);
    if (!value) return fmt::format("{} is not a whole number ({})", shown_value(text), range);
    if (*value < limits.min || *value > limits.max) {
      return fmt::format("{} is out of range ({})", *value, range);
    }
    access(options) = *value;
    return std::string();
  };
  def.show = [access](const Options& options) { return fmt::format("{}", read(access, options)); };
  return def;
}

OptionDef size_option(std::string name, Access<std::int64_t> access, ValueRange limits,
                      std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = fmt::format("bytes, KiB, MiB, GiB, KB, MB or GB; {} to {}", format_size(limits.min),
                          format_size(limits.max));
  def.set = [access, limits, range = def.range](Options& options, const std::string& text) {
    const std::optional<std::int64_t> value = parse_size(text);
    if (!value) return fmt::format("{} is not a size ({})", shown_value(text), range);
    if (*value < limits.min || *value > limits.max) {
      return fmt::format("{} is out of range ({})", shown_value(text), range);
    }
    access(options) = *value;
    return std::string();
  };
  def.show = [access](const Options& options) { return format_size(read(access, options)); };
  return def;
}

OptionDef text_option(std::string name, Access<std::string> access, Empty empty, std::string range,
                      std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = std::move(range);
  def.set = [access, empty](Options& options, const std::string& value) {
    if (value.empty() && empty == Empty::refused) return std::string("must not be empty");
    if (!is_plain_text(value)) return std::string("holds a control character");
    access(options) = value;
    return std::string();
  };
  def.show = [access](const Options& options) { return read(access, options); };
  return def;
}

OptionDef address_option(std::string name, EndOptions Options::*end, std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range =
      "redis://[user[:password]@]host:port[,host:port...], rediss:// for TLS, "
      "redis-sentinel://host:port[,host:port...]/master-name, unix:///path or file:///path";
  def.set = [end](Options& options, const std::string& value) {
    Result<Uri> uri = parse_uri(value);
    if (!uri) return uri.error().what;
    // Dropping the number silently would move more than was asked for.
    if (uri->db != 0)
      return std::string("choosing a database is not available yet: all databases are moved");
    (options.*end).uri = std::move(*uri);
    return std::string();
  };
  def.show = [end](const Options& options) {
    const Uri& uri = (options.*end).uri;
    return uri.hosts.empty() && uri.path.empty() ? std::string() : redacted(uri);
  };
  return def;
}

OptionDef listen_option(std::string name, Access<std::string> access, std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = "HOST:PORT, \"\" = off";
  def.set = [access](Options& options, const std::string& value) {
    if (!value.empty()) {
      const Result<HostPort> parsed = parse_listen(value);
      if (!parsed) return parsed.error().what;
    }
    access(options) = value;
    return std::string();
  };
  def.show = [access](const Options& options) { return read(access, options); };
  return def;
}

namespace {

// The flow form of a list or a map; what is wrong goes to `problem`.
YAML::Node flow_value(const std::string& text, std::string& problem) {
  try {
    return YAML::Load(text);
  } catch (const YAML::Exception&) {
    problem = "is not well-formed: " + shown_value(text);
    return YAML::Node();
  }
}

template <class Container>
std::string flow_text(const Container& items, const char* empty) {
  if (items.empty()) return empty;
  YAML::Emitter out;
  out << YAML::Flow << items;
  return out.c_str();
}

}  // namespace

OptionDef list_option(std::string name, Access<std::vector<std::string>> access, ItemCheck check,
                      std::string range, std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = std::move(range);
  def.is_structured = true;
  def.set = [access, check](Options& options, const std::string& text) {
    std::vector<std::string> items;
    if (!text.starts_with('[')) {
      if (!text.empty()) items.push_back(text);
    } else {
      std::string problem;
      const YAML::Node list = flow_value(text, problem);
      if (!problem.empty()) return problem;
      if (!list.IsSequence()) return std::string("expected a list, like [a, b]");
      for (const YAML::Node& item : list) {
        if (!item.IsScalar()) return std::string("expected a list of single values");
        items.push_back(item.Scalar());
      }
    }
    for (const std::string& item : items) {
      if (item.empty()) return std::string("holds an empty item");
      const std::string wrong = check ? check(item) : std::string();
      if (!wrong.empty()) return fmt::format("{}: {}", shown_value(item), wrong);
    }
    access(options) = std::move(items);
    return std::string();
  };
  def.show = [access](const Options& options) { return flow_text(read(access, options), "[]"); };
  return def;
}

OptionDef map_option(std::string name, Access<std::map<std::string, std::string>> access,
                     ItemCheck check_name, ItemCheck check_value, std::string range,
                     std::string what) {
  OptionDef def;
  def.name = std::move(name);
  def.what = std::move(what);
  def.range = std::move(range);
  def.is_structured = true;
  def.set = [access, check_name, check_value](Options& options, const std::string& text) {
    std::string problem;
    const YAML::Node map = flow_value(text, problem);
    if (!problem.empty()) return problem;
    if (!map.IsMap()) return std::string("expected a map, like {a: b}");
    std::map<std::string, std::string> items;
    for (const auto& entry : map) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar())
        return std::string("expected a map of single values");
      const std::string item = entry.first.Scalar();
      const std::string value = entry.second.Scalar();
      std::string wrong = check_name ? check_name(item) : std::string();
      if (wrong.empty() && check_value) wrong = check_value(value);
      if (!wrong.empty()) return fmt::format("{}: {}", shown_value(item + ": " + value), wrong);
      if (!items.emplace(item, value).second)
        return fmt::format("{} is given twice", shown_value(item));
    }
    access(options) = std::move(items);
    return std::string();
  };
  def.show = [access](const Options& options) { return flow_text(read(access, options), "{}"); };
  return def;
}

OptionDef checked_option(std::string name, Access<std::string> access, ItemCheck check,
                         std::string range, std::string what) {
  OptionDef def =
      text_option(std::move(name), access, Empty::refused, std::move(range), std::move(what));
  def.set = [access, check](Options& options, const std::string& text) {
    const std::string wrong = check(text);
    if (!wrong.empty()) return fmt::format("{} {}", shown_value(text), wrong);
    access(options) = text;
    return std::string();
  };
  return def;
}

}  // namespace keyferry
