// The words for what a comparison finds: one JSON object a line for a difference, a table for the
// whole, a progress line. Pure text.
#pragma once

#include <optional>
#include <string>

#include "keyferry/verify/difference.hpp"
#include "keyferry/verify/doubts.hpp"
#include "keyferry/verify/summary.hpp"

namespace keyferry {

struct DifferenceReport {
  const Doubt* doubt = nullptr;
  Reading target;
  std::int32_t target_db = 0;
  ByteView target_key;
  std::optional<ElementDifference> element;
};

// {"kind":"value","db":0,"key":"a","type":"hash","source":{...},"target":{...}}, without an end of
// line. Keys are printable: \xNN stands for a byte, \\ and \" for these characters.
std::string difference_line(const DifferenceReport& report, VerifyLevel level);

// Several lines, for people.
std::string summary_table(const VerifySummary& summary);
// The same as a JSON object.
std::string summary_json(const VerifySummary& summary);
// "verify: 12,000 of 1,000,000 keys ...", one line.
std::string progress_text(const VerifySummary& summary);

const char* to_string(VerifyLevel level);

}  // namespace keyferry
