#include "keyferry/config/option_kinds.hpp"

#include <algorithm>
#include <optional>

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

}  // namespace keyferry
