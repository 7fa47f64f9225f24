#include "keyferry/verify/report.hpp"

#include <fmt/format.h>

#include "keyferry/base/present.hpp"
#include "keyferry/config/rules.hpp"

namespace keyferry {
namespace {

constexpr std::size_t key_bytes_max = 1 << 16;

// Of printable text, as escaped() makes it.
std::string quoted(std::string_view printable) {
  std::string out = "\"";
  for (const char c : printable) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string quoted_or_null(const std::optional<std::string>& text) {
  return text ? quoted(*text) : "null";
}

const char* kind_name(ValueKind kind) {
  const auto at = static_cast<std::size_t>(kind);
  return kind != ValueKind::unknown && at < type_names().size() ? type_names()[at].c_str()
                                                                : "unknown";
}

std::string side(const Reading& reading, VerifyLevel level) {
  if (reading.state != Reading::State::here) return "null";
  if (level == VerifyLevel::exists) return "{}";
  std::string out = fmt::format("{{\"type\":\"{}\",\"expire_ms\":{}",
                                kind_name(reading.digest.kind), reading.expire_ms);
  if (level != VerifyLevel::ttl) out += fmt::format(",\"digest\":\"{:016x}\"", reading.digest.hash);
  return out + "}";
}

}  // namespace

const char* to_string(VerifyLevel level) {
  switch (level) {
    case VerifyLevel::exists:
      return "exists";
    case VerifyLevel::ttl:
      return "ttl";
    case VerifyLevel::digest:
      return "digest";
    case VerifyLevel::full:
      return "full";
  }
  return "";
}

std::string difference_line(const DifferenceReport& report, VerifyLevel level) {
  const Doubt& doubt = *report.doubt;
  std::string out = fmt::format("{{\"kind\":\"{}\",\"db\":{},\"key\":{}", to_string(doubt.finding),
                                doubt.db, quoted(escaped(doubt.key, key_bytes_max)));
  if (report.target_db != doubt.db || report.target_key != doubt.key) {
    out += fmt::format(",\"target_db\":{},\"target_key\":{}", report.target_db,
                       quoted(escaped(report.target_key, key_bytes_max)));
  }
  out += fmt::format(",\"source\":{},\"target\":{}", side(doubt.source, level),
                     side(report.target, level));
  if (report.element) {
    out += fmt::format(",\"element\":{{\"at\":{},\"source\":{},\"target\":{}}}",
                       quoted(report.element->element), quoted_or_null(report.element->source),
                       quoted_or_null(report.element->target));
  }
  return out + "}";
}

std::string summary_table(const VerifySummary& s) {
  const double rate = s.seconds > 0 ? static_cast<double>(s.keys) / s.seconds : 0;
  std::string out = fmt::format(
      "compared   {} keys of the source, {} of the target, level {}, in {} ({} keys/s)\n",
      shown_count(s.keys), shown_count(s.target_keys), s.level, shown_duration(s.seconds),
      shown_rate(rate));
  for (std::size_t i = 0; i < difference_kinds; ++i) {
    out += fmt::format("{:<10} {}\n", to_string(static_cast<KeyFinding>(i)),
                       shown_count(s.differences[i]));
  }
  const auto line = [&out](const char* name, std::uint64_t count) {
    if (count > 0) out += fmt::format("{:<10} {}\n", name, shown_count(count));
  };
  line("repaired", s.repaired);
  line("changing", s.changing);
  line("unreadable", s.unreadable);
  if (!s.problem.empty()) return out + "broke off: " + s.problem + "\n";
  if (s.is_equal()) return out + (s.repaired > 0 ? "equal now\n" : "equal\n");
  return out + "DIFFERENT\n";
}

std::string summary_json(const VerifySummary& s) {
  std::string out = fmt::format(
      "{{\"attempt\":{},\"running\":{},\"level\":\"{}\",\"equal\":{},\"seconds\":{:.1f},"
      "\"keys\":{},\"keys_total\":{},\"target_keys\":{}",
      s.attempt, s.running, s.level, s.is_equal(), s.seconds, s.keys, s.keys_total, s.target_keys);
  for (std::size_t i = 0; i < difference_kinds; ++i)
    out += fmt::format(",\"{}\":{}", to_string(static_cast<KeyFinding>(i)), s.differences[i]);
  out +=
      fmt::format(",\"doubts\":{},\"looks\":{},\"changing\":{},\"unreadable\":{},\"repaired\":{}",
                  s.doubts, s.looks, s.changing, s.unreadable, s.repaired);
  return out + fmt::format(",\"problem\":{}}}",
                           s.problem.empty() ? "null" : quoted(escaped(s.problem, key_bytes_max)));
}

std::string progress_text(const VerifySummary& s) {
  const double rate = s.seconds > 0 ? static_cast<double>(s.keys) / s.seconds : 0;
  std::string out = fmt::format("compared={} of={} keys_per_s={} different={} doubts={}", s.keys,
                                s.keys_total, shown_rate(rate), s.different(), s.doubts);
  if (rate > 0 && s.keys_total > s.keys)
    out += fmt::format(" eta=\"{}\"",
                       shown_duration(static_cast<double>(s.keys_total - s.keys) / rate));
  return out;
}

}  // namespace keyferry
