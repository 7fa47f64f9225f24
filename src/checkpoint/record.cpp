#include "keyferry/checkpoint/record.hpp"

#include <fmt/format.h>

#include "keyferry/base/checksum.hpp"
#include "record_text.hpp"

namespace keyferry {

using namespace record_text;

namespace {

bool read_fields(ByteView text, Record& record) {
  if (next_word(text) != magic) return false;
  if (!read_number(value_of(next_word(text), "generation"), record.generation)) return false;
  const ByteView state = value_of(next_word(text), "state");
  if (state != "loading" && state != "complete") return false;
  record.state = state == "loading" ? Record::State::loading : Record::State::complete;
  const ByteView target = value_of(next_word(text), "target");
  if (target != "own" && target != "shared") return false;
  record.owns_target = target == "own";
  if (!read_number(value_of(next_word(text), "db"), record.db) || record.db < 0) return false;
  if (!read_hex_number(value_of(next_word(text), "options"), record.options)) return false;
  if (!read_number(value_of(next_word(text), "judged"), record.judged)) return false;
  return read_history(next_word(text), record.replid, record.offset) && record.judged >= 0 &&
         record.offset >= record.judged;
}

}  // namespace

void append_record(Bytes& out, const Record& record) {
  fmt::format_to(std::back_inserter(out),
                 "{} generation={} state={} target={} db={} options={:016x} judged={} {}:{}", magic,
                 record.generation, record.state == Record::State::loading ? "loading" : "complete",
                 record.owns_target ? "own" : "shared", record.db, record.options, record.judged,
                 record.replid, record.offset);
}

Result<Record> parse_record(ByteView text) {
  Record record;
  if (!read_fields(text, record))
    return Error(Errc::corrupt, "not a record of this version: \"" + escaped(text, 200) + "\"");
  return record;
}

OwnKeys own_keys(const std::string& link, const std::string& tag) {
  const std::string base = fmt::format("keyferry:{{{}}}:{}", tag, link);
  return {base, base + ":lease", base + ":fence"};
}

std::string link_name(const std::string& uri_without_credentials) {
  return fmt::format("{:016x}", crc64(0, uri_without_credentials)).substr(0, 12);
}

}  // namespace keyferry
