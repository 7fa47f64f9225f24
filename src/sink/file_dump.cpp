#include "keyferry/sink/file_dump.hpp"

#include <array>
#include <utility>

#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/command/command_table.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/rdb/restore.hpp"
#include "keyferry/rdb/rewrite_value.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

constexpr std::size_t part_bytes = 256 * 1024;
constexpr std::uint64_t losses_told = 20;

std::optional<rdb::TargetTraits> release_of(const Options& options) {
  const auto release = parse_release(options.target_file_release);
  if (!release) return std::nullopt;
  return rdb::TargetTraits{release->is_valkey ? rdb::Family::valkey : rdb::Family::redis,
                           release->major, release->minor};
}

}  // namespace

FileDump::FileDump(FileFormat format, const Options& options)
    : format_(format),
      options_(options),
      release_(release_of(options)),
      copy_(format == FileFormat::append_only) {
  rules_.restore_max_bytes = static_cast<std::size_t>(options.snapshot_restore_max_bytes);
}

void FileDump::begin_snapshot(rdb::Dialect dialect, Bytes& out) {
  dialect_ = dialect;
  target_ = release_ ? *release_ : rdb::oldest_reader_of(dialect);
  rewriter_.reset();
  skipping_ = goes_on_ = false;
  libraries_.clear();
  selected_db_ = -1;
  const bool is_rdb = format_ == FileFormat::rdb || format_ == FileFormat::append_only;
  if (is_rdb) copy_.begin(out, dialect, release_ ? &*release_ : nullptr);
}

void FileDump::go_on_with_snapshot(rdb::Dialect dialect) {
  dialect_ = dialect;
  rewriter_.reset();
  skipping_ = false;
  goes_on_ = true;
  copy_.go_on(dialect);
}

void FileDump::end_snapshot(Bytes& out) {
  if (format_ == FileFormat::rdb || format_ == FileFormat::append_only) copy_.end(out);
  begin_stream();
}

void FileDump::begin_stream() {
  selected_db_ = -1;
  annotated_s_ = 0;
}

Error FileDump::take(const rdb::Event& event, ByteView consumed,
                     const rdb::HashTemplates& templates, Bytes& out) {
  using Kind = rdb::Event::Kind;
  const bool begins_key = event.kind == Kind::key || event.kind == Kind::big_key;
  if (begins_key) {
    skipping_ = is_own_key(event.key);
    if (skipping_) {
      ++stats_->filtered;
      return Error();
    }
    ++stats_->keys;
  } else if (skipping_ && (event.kind == Kind::element || event.kind == Kind::big_key_end)) {
    return Error();
  }
  Error error;
  if (is_known(event, error)) return error;
  if (format_ == FileFormat::json) return take_json(event, templates, out);
  return format_ == FileFormat::resp ? take_resp(event, templates, out)
                                     : take_rdb(event, consumed, out);
}

// Whether a snapshot before said the same. (Scripts that are loaded twice do no harm.)
bool FileDump::is_known(const rdb::Event& event, Error& error) {
  using Kind = rdb::Event::Kind;
  if (event.kind == Kind::function) {
    has_functions_ = true;
    const Libraries::Known known = libraries_.add(event.text);
    if (!goes_on_) return false;  // within one server no two have the same name
    if (known == Libraries::Known::other) {
      error = lose(fmt::format("function library \"{}\" differs between the masters of the source: "
                               "the first one found would be kept",
                               escaped(library_name(event.text))),
                   options_.snapshot_on_lossy == LossPolicy::stop);
    }
    return known != Libraries::Known::no;
  }
  if (!goes_on_) return false;
  return event.kind == Kind::header || event.kind == Kind::resize_db ||
         (event.kind == Kind::aux && event.name != "lua");
}

// --- RDB

Error FileDump::take_rdb(const rdb::Event& event, ByteView consumed, Bytes& out) {
  using Kind = rdb::Event::Kind;
  if (event.kind == Kind::key || event.kind == Kind::big_key) {
    const rdb::Choice::Loss loss = copy_.judge(event);
    if (loss != rdb::Choice::Loss::nothing) {
      skipping_ = true;
      --stats_->keys;
      return lose(event, loss);
    }
  }
  if (event.kind == Kind::function && !copy_.has_functions()) {
    return lose("a function library has no place in this RDB version",
                options_.snapshot_on_lossy == LossPolicy::stop);
  }
  copy_.take(event, consumed, out);
  return Error();
}

// --- RESP

Error FileDump::take_resp(const rdb::Event& event, const rdb::HashTemplates& templates,
                          Bytes& out) {
  using Kind = rdb::Event::Kind;
  switch (event.kind) {
    case Kind::key:
      return put_key(event, templates, out);
    case Kind::big_key:
      return begin_key(event, out);
    case Kind::element:
      return add_element(*event.element, out);
    case Kind::big_key_end:
      return end_key(event, out);
    case Kind::function:
      if (!rdb::is_at_least(target_, 7, 0)) {
        return lose("a function library cannot be loaded: that release has no functions",
                    options_.snapshot_on_lossy == LossPolicy::stop);
      }
      rdb::append_function_load(out, event.text);
      return Error();
    case Kind::aux:
      // A script the source had loaded (Redis 4.0 to 6.2 rdb.c rdbSaveInfoAuxFields).
      if (event.name == "lua") append_command(out, {"SCRIPT", "LOAD", event.text});
      return Error();
    default:
      return Error();
  }
}

void FileDump::select(std::int32_t db, Bytes& out) {
  if (db == selected_db_) return;
  append_command(out, {"SELECT", std::to_string(db)});
  selected_db_ = db;
}

// A module's value always goes raw: nobody else can say whether the reader has the module.
rdb::Choice FileDump::choose(const rdb::Event& key, std::size_t bytes) const {
  rdb::Choice choice = rdb::choose(key.type, key.value, bytes, dialect_, target_, rules_);
  if (key.type == rdb::type::module_2) {
    choice.way = rdb::Choice::Way::raw;
    choice.loss = rdb::Choice::Loss::nothing;
  }
  return choice;
}

Error FileDump::put_key(const rdb::Event& key, const rdb::HashTemplates& templates, Bytes& out) {
  if (!key.key_meta.empty()) {
    if (Error error = lose(key, rdb::Choice::Loss::key_meta)) return error;
  }
  const rdb::Choice choice = choose(key, key.value.size());
  if (choice.way != rdb::Choice::Way::raw) return put_foreign(key, choice, templates, out);
  select(key.db, out);
  rdb::append_restore(out, key, {dialect_.family, choice.version}, target_);
  return Error();
}

Error FileDump::put_foreign(const rdb::Event& key, rdb::Choice choice,
                            const rdb::HashTemplates& templates, Bytes& out) {
  if (choice.loss != rdb::Choice::Loss::nothing) {
    if (Error error = lose(key, choice.loss)) return error;
  }
  if (choice.way == rdb::Choice::Way::nothing) return Error();
  rdb::WholeValue value;
  value.key = key.key;
  value.type = key.type;
  value.bytes = key.value;
  value.dialect = dialect_;
  value.expire_ms = key.expire_ms;
  value.templates = &templates;
  auto rewritten = rdb::rewrite_value(value, target_);
  if (!rewritten) return rewritten.error();
  if (rewritten->lost_remembered) {
    if (Error error = lose(key, rdb::Choice::Loss::remembered)) return error;
  }
  ++stats_->rewritten_keys;
  select(key.db, out);
  out += rewritten->part.wire;
  return Error();
}

Error FileDump::begin_key(const rdb::Event& key, Bytes& out) {
  const rdb::Choice choice = choose(key, SIZE_MAX);
  if (choice.loss != rdb::Choice::Loss::nothing) {
    if (Error error = lose(key, choice.loss)) return error;
  }
  skipping_ = choice.way != rdb::Choice::Way::rewrite;
  if (skipping_) return Error();
  ++stats_->rewritten_keys;
  select(key.db, out);
  rewriter_.emplace(target_, part_bytes);
  rewriter_->begin(key.key, key.expire_ms);
  return Error();
}

Error FileDump::add_element(const rdb::Element& element, Bytes& out) {
  rewriter_->add(element);
  if (rewriter_->is_full()) out += rewriter_->take().wire;
  return Error();
}

Error FileDump::end_key(const rdb::Event& key, Bytes& out) {
  rewriter_->end(key.type == rdb::type::string);
  out += rewriter_->take().wire;
  const bool lost = rewriter_->lost_remembered();
  rewriter_.reset();
  return lost ? lose(key, rdb::Choice::Loss::remembered) : Error();
}

// --- JSON

Error FileDump::take_json(const rdb::Event& event, const rdb::HashTemplates& templates,
                          Bytes& out) {
  using Kind = rdb::Event::Kind;
  Error error;
  switch (event.kind) {
    case Kind::header:
      json_.header(dialect_);
      break;
    case Kind::aux:
      json_.aux(event.name, event.text);
      break;
    case Kind::function:
      json_.function(event.text);
      break;
    case Kind::key:
      error = put_json(event, templates);
      break;
    case Kind::big_key:
      json_.begin_key(event, rdb::value_type(event.type, dialect_), false);
      value_bytes_ = 0;
      break;
    case Kind::element:
      json_.element(*event.element);
      break;
    case Kind::big_key_end:
      json_.end_key(value_bytes_);
      break;
    case Kind::select_db:
    case Kind::resize_db:
    case Kind::skipped:
    case Kind::end:
      break;
  }
  out += json_.output();
  json_.output().clear();
  if (event.kind == Kind::big_key) in_line_ = true;
  if (event.kind == Kind::big_key_end) in_line_ = false;
  return error;
}

Error FileDump::put_json(const rdb::Event& key, const rdb::HashTemplates& templates) {
  json_.begin_key(key, rdb::value_type(key.type, dialect_), true);
  if (key.type == rdb::type::module_2) {
    json_.raw_value(key.value);
  } else {
    rdb::ElementReader reader;
    rdb::Element element;
    reader.start(key.type, dialect_, &templates);
    ByteView rest = key.value;
    std::size_t consumed = 0;
    auto status = reader.next(rest, element, consumed);
    for (; status == rdb::ElementReader::Status::element;
         status = reader.next(rest, element, consumed)) {
      json_.element(element);
      rest.remove_prefix(consumed);
    }
    if (status != rdb::ElementReader::Status::end) {
      return Error(Errc::corrupt, fmt::format("key \"{}\": its value cannot be decoded: {}",
                                              escaped(key.key), reader.problem()));
    }
  }
  json_.end_key(key.value.size());
  return Error();
}

// --- the stream

// What only means something between servers, or to those who listen now, is left out.
bool FileDump::is_wanted(const Batch& batch, const Command& command) {
  if (command.info == nullptr) return true;
  switch (command.info->kind) {
    case CommandKind::publish:
    case CommandKind::spublish:
    case CommandKind::never:
      return false;
    case CommandKind::all_nodes:
      if (command.info->name != "FUNCTION") return true;
      has_functions_ = true;
      return !is_shared_ || libraries_.take(batch.args_of(command));
    case CommandKind::write:
      return !touches_own_key(*command.info, batch.args_of(command));
    case CommandKind::control:
      return true;
  }
  return true;
}

void FileDump::take(const Batch& batch, std::int64_t now_s, Bytes& out) {
  for (const Command& command : batch.commands) {
    if (command.refusal != nullptr) {
      ++stats_->failed;
      continue;
    }
    if (!is_wanted(batch, command)) {
      ++stats_->filtered;
      continue;
    }
    const bool is_frame = command.group == GroupMark::first || command.group == GroupMark::last;
    if (!is_frame) ++stats_->commands;
    if (format_ == FileFormat::json) {
      json_.command(command.db, batch.args_of(command));
      continue;
    }
    const bool begins = command.group == GroupMark::none || command.group == GroupMark::first;
    if (format_ == FileFormat::append_only && begins && now_s != annotated_s_) {
      out += fmt::format("#TS:{}\r\n", now_s);
      annotated_s_ = now_s;
    }
    if (command.group != GroupMark::last) select(command.db, out);
    out += command.wire;
  }
  out += json_.output();
  json_.output().clear();
}

// FLUSHALL leaves functions (Redis 7.0 db.c flushallCommand).
void FileDump::flush_all(Bytes& out) {
  constexpr ByteView name = "FLUSHALL";
  constexpr std::array<ByteView, 2> functions = {"FUNCTION", "FLUSH"};
  const bool had_functions = std::exchange(has_functions_, false);
  if (format_ == FileFormat::json) {
    // The value that the snapshot broke off in stays half.
    if (std::exchange(in_line_, false)) out += '\n';
    json_.command(0, std::span<const ByteView>(&name, 1));
    if (had_functions) json_.command(0, functions);
    out += json_.output();
    json_.output().clear();
  } else if (format_ == FileFormat::resp) {
    append_command(out, {name});
    if (had_functions) append_command(out, {functions[0], functions[1]});
  }
}

// --- losses

Error FileDump::lose(const rdb::Event& key, rdb::Choice::Loss loss) {
  std::string what;
  const bool has_form = format_ == FileFormat::rdb || format_ == FileFormat::append_only;
  const std::string name = fmt::format("key \"{}\" (database {})", escaped(key.key), key.db);
  if (has_form && loss == rdb::Choice::Loss::value) {
    what = fmt::format(
        "{}: its type {} ({}) has no place in an RDB of version {}; it would be left out "
        "(choose a later target.file.release)",
        name, key.type, rdb::value_type(key.type, dialect_).name, copy_.dialect().version);
  } else {
    what = fmt::format("{} would lose {}", name, rdb::describe(loss));
  }
  return lose(what, options_.snapshot_on_lossy == LossPolicy::stop);
}

Error FileDump::lose(const std::string& what, bool is_fatal) {
  stats_->last_error = what;
  if (is_fatal) {
    ++stats_->failed;
    return Error(Errc::data_refused, what + " (snapshot.on_lossy is stop)");
  }
  if (++stats_->losses <= losses_told) log_warn("{}", what);
  if (stats_->losses == losses_told) log_warn("further losses are only counted");
  return Error();
}

}  // namespace keyferry
