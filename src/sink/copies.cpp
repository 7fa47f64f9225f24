// RedisSink: copies of suspect keys in the form this target takes. A payload of the source is given
// to RESTORE as it is where both sides are alike; else it gets an older footer, or becomes
// commands, as in the snapshot (load.cpp).
#include "keyferry/base/log.hpp"
#include "keyferry/rdb/dump.hpp"
#include "keyferry/rdb/restore.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

std::vector<Bytes> RedisSink::copy_wires(const KeyCopy& copy, std::int32_t& db) {
  db = copy.db;
  std::vector<Bytes> wires;
  if (transform != nullptr) {
    wires = transform->of_copy(copy, db);
  } else if (copy.payload) {
    wires.push_back(make_command(
        {"RESTORE", copy.key, std::to_string(copy.expire_ms), *copy.payload, "REPLACE", "ABSTTL"}));
  } else {
    wires.push_back(make_command({"DEL", copy.key}));
  }
  std::vector<Bytes> out;
  for (Bytes& wire : wires)
    append_copy(out, std::move(wire), db);
  return out;
}

void RedisSink::append_copy(std::vector<Bytes>& out, Bytes wire, std::int32_t db) {
  std::vector<ByteView> args;
  parse_command(wire, args);
  const bool is_restore = args.size() > 3 && args[0] == "RESTORE";
  const auto dump = is_restore ? rdb::parse_dump(args[3]) : Result<rdb::DumpPayload>(Error());
  if (!is_restore || !dump) {
    out.push_back(std::move(wire));
    return;
  }
  // Whole as it is: how large a RESTORE may be is the snapshot's concern.
  const rdb::Choice choice =
      rdb::choose(dump->type, dump->value, 0, dump->dialect, nodes_.identity().traits, load_.rules);
  const bool is_raw = choice.way == rdb::Choice::Way::raw;
  // What modules have attached to the key is in the payload only.
  if (is_raw && (choice.version == dump->dialect.version || !dump->key_meta.empty())) {
    out.push_back(std::move(wire));
    return;
  }
  const Bytes key(args[1]);
  const std::int64_t expire_ms = std::atoll(std::string(args[2]).c_str());
  if (is_raw) {
    rdb::Event event;
    event.kind = rdb::Event::Kind::key;
    event.key = key;
    event.type = dump->type;
    event.value = dump->value;
    if (expire_ms != 0) event.expire_ms = expire_ms;
    const rdb::Dialect footer{dump->dialect.family, choice.version};
    rdb::append_restore(out.emplace_back(), event, footer, nodes_.identity().traits, false);
    return;
  }
  const std::size_t before = out.size();
  Error error;
  if (choice.loss != rdb::Choice::Loss::nothing) error = judge_loss(key, db, choice.loss);
  if (!error && choice.way == rdb::Choice::Way::rewrite) {
    rdb::WholeValue value;
    value.key = key;
    value.type = dump->type;
    value.bytes = dump->value;
    value.dialect = dump->dialect;
    if (expire_ms != 0) value.expire_ms = expire_ms;
    error = append_rewritten(out, value);
  }
  if (error) fail(std::move(error));
  // What cannot be there must not stay as it was.
  if (out.size() == before) out.push_back(make_command({"DEL", key}));
}

Error RedisSink::append_rewritten(std::vector<Bytes>& out, const rdb::WholeValue& value) {
  auto rewritten = rdb::rewrite_value(value, nodes_.identity().traits);
  if (!rewritten) return rewritten.error();
  ByteView rest = rewritten->part.wire;
  while (!rest.empty()) {
    std::vector<ByteView> args;
    const CommandParse parsed = parse_command(rest, args);
    KEYFERRY_ASSERT(parsed.status == CommandParse::Status::command);
    out.emplace_back(rest.substr(0, parsed.size));
    rest.remove_prefix(parsed.size);
  }
  return Error();
}

}  // namespace keyferry
