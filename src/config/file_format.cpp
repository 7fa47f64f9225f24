#include "keyferry/config/file_format.hpp"

#include <chrono>

#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

// The digits text[at, at + count), or nullopt.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (const char c : text.substr(at, count)) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return value;
}

}  // namespace

FileFormat file_format_of(std::string_view path) {
  if (path.ends_with(".manifest")) return FileFormat::append_only;
  for (const std::string_view compressed : {".gz", ".zst"}) {
    if (path.ends_with(compressed)) path.remove_suffix(compressed.size());
  }
  if (path.ends_with(".resp")) return FileFormat::resp;
  if (path.ends_with(".jsonl")) return FileFormat::json;
  return path.ends_with(".rdb") ? FileFormat::rdb : FileFormat::unknown;
}

std::optional<Release> parse_release(std::string_view text) {
  Release release;
  release.is_valkey = text.starts_with("valkey-");
  if (!release.is_valkey && !text.starts_with("redis-")) return std::nullopt;
  text.remove_prefix(text.find('-') + 1);
  const std::size_t dot = text.find('.');
  if (dot == 0 || dot > 2 || text.size() - dot < 2 || text.size() - dot > 3) return std::nullopt;
  const std::optional<int> major = digits(text, 0, dot);
  const std::optional<int> minor = digits(text, dot + 1, 2);
  if (!major || !minor || *major < 4) return std::nullopt;
  release.major = *major;
  release.minor = *minor;
  return release;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  const std::optional<std::int64_t> seconds = parse_integer(text);
  if (seconds) return *seconds >= 0 ? seconds : std::nullopt;
  if (text.ends_with('Z')) text.remove_suffix(1);
  constexpr std::string_view form = "0000-00-00T00:00:00";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    const bool is_plain =
        form[i] == '0' || text[i] == form[i] || (form[i] == 'T' && text[i] == ' ');
    if (!is_plain) return std::nullopt;
  }
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *year < 1970 || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  return std::chrono::seconds(days).count() + *hour * 3600 + *minute * 60 + *second;
}

}  // namespace keyferry
