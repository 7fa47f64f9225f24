#include "keyferry/checkpoint/sources_record.hpp"

#include "record_text.hpp"

namespace keyferry {

using namespace record_text;

void append_sources_record(Bytes& out, const SourcesRecord& record) {
  out.append(magic);
  out.append(record.owns_target ? " target=own" : " target=shared");
  out.append(record.is_complete ? " state=complete" : " state=loading");
}

Result<SourcesRecord> parse_sources_record(ByteView text) {
  ByteView rest = text;
  const bool has_magic = next_word(rest) == magic;
  const ByteView target = value_of(next_word(rest), "target");
  const ByteView state = value_of(next_word(rest), "state");
  const bool knows_target = target == "own" || target == "shared";
  const bool knows_state = state == "loading" || state == "complete";
  if (!has_magic || !knows_target || !knows_state) {
    return Error(Errc::corrupt, "not a record of several sources: \"" + escaped(text, 200) + "\"");
  }
  SourcesRecord record;
  record.owns_target = target == "own";
  record.is_complete = state == "complete";
  return record;
}

}  // namespace keyferry
