// The options of the comparison of both ends: group verify.
#include "keyferry/config/option_kinds.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t day_ms = std::int64_t{24} * 3600 * 1000;
constexpr std::int64_t largest = std::int64_t{1} << 40;

OptionDef yes_or_no(std::string name, Access<bool> access, std::string what) {
  return choice_option<bool>(std::move(name), std::move(access), {{"true", true}, {"false", false}},
                             std::move(what));
}

void add_rechecks(std::vector<OptionDef>& table) {
  table.push_back(integer_option(
      "verify.recheck_wait_ms",
      [](Options& o) -> std::int64_t& { return o.verify_recheck_wait_ms; }, {1, day_ms},
      "milliseconds",
      "How long after a difference was seen the key is looked at again; then twice as long, and so "
      "on. Should be more than the lag of the link."));
  table.push_back(integer_option(
      "verify.rechecks", [](Options& o) -> std::int64_t& { return o.verify_rechecks; }, {1, 100},
      "looks",
      "How often a key that the source did not change meanwhile must differ again before it is "
      "called different."));
}

}  // namespace

void add_verify_options(std::vector<OptionDef>& table) {
  table.push_back(choice_option<VerifyLevel>(
      "verify.level", [](Options& o) -> VerifyLevel& { return o.verify_level; },
      {{"exists", VerifyLevel::exists},
       {"ttl", VerifyLevel::ttl},
       {"digest", VerifyLevel::digest},
       {"full", VerifyLevel::full}},
      "How closely keys are compared: their names, type and expiry as well, their values as well, "
      "or with the first element that differs."));
  table.push_back(checked_option(
      "verify.sample", [](Options& o) -> std::string& { return o.verify_sample; },
      [](const std::string& text) {
        return std::string(parse_percent(text) ? "" : "is no part like 1% or 0.5%");
      },
      "percent", "Which part of the keys is compared, chosen by name and verify.seed."));
  table.push_back(integer_option(
      "verify.seed", [](Options& o) -> std::int64_t& { return o.verify_seed; }, {0, largest},
      "number", "Another one chooses another sample."));
  table.push_back(integer_option(
      "verify.ttl_tolerance_ms",
      [](Options& o) -> std::int64_t& { return o.verify_ttl_tolerance_ms; }, {0, day_ms},
      "milliseconds", "By how much the expiries of a key may differ."));
  add_rechecks(table);
  table.push_back(integer_option(
      "verify.keys_per_s", [](Options& o) -> std::int64_t& { return o.verify_keys_per_s; },
      {0, largest}, "per second, 0 = no limit", "How fast keys are read from both ends."));
  table.push_back(yes_or_no(
      "verify.repair", [](Options& o) -> bool& { return o.verify_repair; },
      "Copy keys again that are missing or different."));
  table.push_back(yes_or_no(
      "verify.repair_extra", [](Options& o) -> bool& { return o.verify_repair_extra; },
      "Remove keys from the target that the source does not have."));
  table.push_back(text_option(
      "verify.report_file", [](Options& o) -> std::string& { return o.verify_report_file; },
      Empty::allowed, "path, - = standard output, \"\" = none",
      "Where differences go, one JSON object a line."));
}

}  // namespace keyferry
