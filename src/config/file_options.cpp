// The options of ends that are files.
#include "keyferry/config/file_format.hpp"
#include "keyferry/config/option_kinds.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t mebibyte = std::int64_t{1024} * 1024;
constexpr std::int64_t day_ms = std::int64_t{24} * 3600 * 1000;

// A text that must be empty or pass `is_right`.
OptionDef checked_text(std::string name, Access<std::string> access,
                       bool (*is_right)(const std::string&), std::string range, std::string what) {
  OptionDef def = text_option(std::move(name), std::move(access), Empty::allowed, std::move(range),
                              std::move(what));
  def.set = [set = def.set, is_right, form = def.range](Options& options,
                                                        const std::string& value) {
    if (!value.empty() && !is_right(value)) return "write it as " + form;
    return set(options, value);
  };
  return def;
}

}  // namespace

void add_file_options(std::vector<OptionDef>& table) {
  table.push_back(choice_option<OnTruncated>(
      "source.aof.on_truncated",
      [](Options& o) -> OnTruncated& { return o.source_aof_on_truncated; },
      {{"stop", OnTruncated::stop}, {"keep", OnTruncated::keep}},
      "An append-only file whose last command is cut off: end with an error, or keep what is "
      "whole."));
  table.push_back(checked_text(
      "source.aof.until", [](Options& o) -> std::string& { return o.source_aof_until; },
      [](const std::string& text) { return parse_time(text).has_value(); },
      "seconds since 1970 or 2026-01-31T12:00:00Z, \"\" = all",
      "Apply an append-only file up to this time (it needs aof-timestamp-enabled yes)."));
  table.push_back(checked_text(
      "target.file.release", [](Options& o) -> std::string& { return o.target_file_release; },
      [](const std::string& text) { return parse_release(text).has_value(); },
      "redis-7.0, valkey-9.0 or the like, \"\" = as the source's data",
      "The oldest release that a target file is meant for."));
  table.push_back(size_option(
      "target.file.rotate_bytes",
      [](Options& o) -> std::int64_t& { return o.target_file_rotate_bytes; },
      {0, mebibyte * mebibyte},
      "Begin a new target file when one holds this much of the stream; 0 never does."));
  table.push_back(integer_option(
      "target.file.fsync_interval_ms",
      [](Options& o) -> std::int64_t& { return o.target_file_fsync_interval_ms; }, {20, day_ms},
      "milliseconds", "How often a target file is synced to disk."));
}

}  // namespace keyferry
