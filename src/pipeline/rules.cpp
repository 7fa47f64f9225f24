// Pipeline: the rules of filter, databases and transform, and what the link has to do with them.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

constexpr std::uint64_t doubts_told = 20;

}  // namespace

Error Pipeline::compile_rules() {
  Result<Transform> compiled = Transform::compile(options_);
  if (!compiled) return compiled.error();
  transform_ = std::move(*compiled);
  if (!transform_.is_active()) return Error();
  transform_.learnt = [this](ByteView name) { return sink_.nodes().learnt().find(name); };
  transform_.owns_target = [this] { return sink_.target_was_empty(); };
  transform_.on_doubt = [this](std::int32_t db, ByteView key) {
    if (sink_.is_exactly_once()) return sink_.suspects().add(db, key);
    if (++doubts_ > doubts_told) return;
    log_warn(
        "a command was left out of whose keys only some travel: key \"{}\" (database {}) may "
        "differ from now on",
        escaped(key), db);
  };
  rules_.on_left_out = [this](const rdb::Event& key) { sink_.spare_key(key); };
  sink_.transform = &transform_;
  return Error();
}

// The record tells under which rules the target was filled.
Error Pipeline::judge_rules() const {
  const std::optional<Record> record = sink_.resumable();
  if (!record || record->options == transform_.fingerprint()) return Error();
  return Error(Errc::usage,
               "the target was filled by this link under other rules (filter, databases, "
               "transform): go on with those, or begin again with --restart");
}

}  // namespace keyferry
