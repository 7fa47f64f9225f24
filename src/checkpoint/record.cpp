#include "keyferry/checkpoint/record.hpp"

#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "keyferry/base/checksum.hpp"

namespace keyferry {
namespace {

constexpr ByteView magic = "keyferry1";
constexpr std::size_t replid_size = 40;

// Takes the next word off `text`; empty at the end.
ByteView next_word(ByteView& text) {
  const std::size_t space = std::min(text.find(' '), text.size());
  const ByteView word = text.substr(0, space);
  text.remove_prefix(std::min(space + 1, text.size()));
  return word;
}

// The value of "name=value", empty when the word is another one.
ByteView value_of(ByteView word, ByteView name) {
  return word.starts_with(name) && word.size() > name.size() && word[name.size()] == '='
             ? word.substr(name.size() + 1)
             : ByteView();
}

template <class Number>
bool read_number(ByteView text, Number& out, int base = 10) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return !text.empty() && ec == std::errc() && end == text.data() + text.size();
}

bool is_replid(ByteView text) {
  return text.size() == replid_size && text.find_first_not_of("0123456789abcdef") == ByteView::npos;
}

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
  if (!read_number(value_of(next_word(text), "options"), record.options, 16)) return false;
  if (!read_number(value_of(next_word(text), "judged"), record.judged)) return false;
  const ByteView history = next_word(text);
  if (history.size() <= replid_size || history[replid_size] != ':') return false;
  if (!is_replid(history.substr(0, replid_size))) return false;
  record.replid = history.substr(0, replid_size);
  return read_number(history.substr(replid_size + 1), record.offset) && record.judged >= 0 &&
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
