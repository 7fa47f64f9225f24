#include "keyferry/transform/transform.hpp"

#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/config/secret.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/resp.hpp"
#include "keyferry/resp/word.hpp"
#include "keyferry/transform/script.hpp"
#include "keyferry/transform/ttl.hpp"

namespace keyferry {
namespace {

constexpr std::size_t script_max_bytes = 1024 * 1024;
constexpr ByteView multi_wire = "*1\r\n$5\r\nMULTI\r\n";
constexpr ByteView exec_wire = "*1\r\n$4\r\nEXEC\r\n";

bool read_db(ByteView text, std::int32_t& out) {
  return read_number(text, out) && out >= 0;
}

// SORT finds further keys by patterns, which no table of positions tells.
bool has_key_pattern(const CommandInfo& info, std::span<const ByteView> args) {
  if (info.shape != KeyShape::sort) return false;
  for (std::size_t i = 2; i + 1 < args.size(); ++i) {
    const bool takes = is_word(args[i], "BY") || is_word(args[i], "GET");
    if (takes && args[i + 1].find('*') != ByteView::npos) return true;
  }
  return false;
}

}  // namespace

// Commands whose effect depends on what keys of any type hold. (ZUNIONSTORE and its like also read
// sets.)
bool moves_values(const CommandInfo& info, std::span<const ByteView> args) {
  constexpr ByteView names[] = {"RENAME",      "RENAMENX",    "COPY",      "MOVE",
                                "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"};
  if (info.shape == KeyShape::sort) return args.size() > 2;  // STORE
  return std::find(std::begin(names), std::end(names), info.name) != std::end(names);
}

// Where a command puts a value of its own type whatever was there: indexes into its arguments.
std::vector<std::size_t> overwritten(const CommandInfo& info, std::span<const ByteView> args) {
  constexpr ByteView first[] = {"SET",         "SETEX",         "PSETEX",      "SINTERSTORE",
                                "SUNIONSTORE", "SDIFFSTORE",    "ZRANGESTORE", "GEOSEARCHSTORE",
                                "RESTORE",     "RESTORE-ASKING"};
  std::vector<std::size_t> at;
  const bool all = info.name == "MSET" || info.name == "MSETEX";
  const bool is_geo = info.shape == KeyShape::georadius;
  const bool is_first = std::find(std::begin(first), std::end(first), info.name) != std::end(first);
  if (!all && !is_geo && !is_first && info.name != "BITOP") return at;
  for_each_key(info, args, [&](std::size_t key) { at.push_back(key); });
  if (at.empty()) return at;
  if (is_geo) at = {at.back()};
  if (!all) at.resize(1);
  return at;
}

// A batch being rewritten.
struct Transform::Out {
  Batch& batch;
  std::vector<Command>& commands;
  GroupMark group = GroupMark::none;  // of the command that is being looked at

  Transformed& transformed() {
    if (!batch.transformed) batch.transformed = std::make_unique<Transformed>();
    return *batch.transformed;
  }
};

Transform::Transform() = default;
Transform::~Transform() = default;
Transform::Transform(Transform&&) noexcept = default;
Transform& Transform::operator=(Transform&&) noexcept = default;

Result<Transform> Transform::compile(const Options& options) {
  Transform transform;
  Result<Filter> filter = Filter::compile(options.filter);
  Result<Remap> remap = Remap::compile(options.transform);
  std::string problems;
  const auto add = [&problems](const std::string& what) {
    problems += (problems.empty() ? "" : "\n") + what;
  };
  if (!filter) add(filter.error().what);
  if (!remap) add(remap.error().what);
  if (remap && options.snapshot_mirror && (remap->maps_keys() || remap->maps_databases())) {
    add("snapshot.mirror cannot be combined with databases.* or transform.key_prefix.*: which keys "
        "of the target are the link's cannot be told");
  }
  std::string text;
  const std::string& file = options.transform.script_file;
  if (!file.empty()) {
    if (options.snapshot_mirror)
      add("snapshot.mirror cannot be combined with transform.script_file");
    Result<std::string> read = read_whole_file(file, script_max_bytes);
    Result<std::unique_ptr<Script>> script =
        read ? Script::compile(*read, file) : Result<std::unique_ptr<Script>>(read.error());
    if (script) {
      transform.script_ = std::move(*script);
      text = std::move(*read);
    } else {
      add("transform.script_file: " + script.error().what);
    }
  }
  if (!problems.empty()) return Error(Errc::usage, problems);
  transform.filter_ = std::move(*filter);
  transform.remap_ = std::move(*remap);
  transform.decodes_ = options.transform.decode && transform.script_ != nullptr;
  transform.fingerprint_ = Remap::fingerprint(options.filter, options.transform, text);
  transform.is_active_ =
      transform.filter_.is_active() || transform.remap_.is_active() || transform.script_ != nullptr;
  return transform;
}

const CommandInfo* Transform::info_of(const CommandInfo* info, ByteView name) const {
  return info == nullptr && learnt ? learnt(name) : info;
}

void Transform::apply(Batch& batch) {
  if (!is_active_) return;
  commands_.clear();
  commands_.reserve(batch.commands.size());
  Out out{batch, commands_};
  std::size_t group_at = 0;
  for (const Command& command : batch.commands) {
    out.group = command.group;
    if (command.group == GroupMark::first) {
      group_at = commands_.size();
      commands_.push_back(command);
    } else if (command.group == GroupMark::last) {
      if (commands_.size() == group_at + 1) {
        commands_.pop_back();  // nothing of it is left
      } else {
        commands_.push_back(command);
      }
    } else {
      take(out, command);
    }
  }
  batch.commands.swap(commands_);
}

void Transform::take(Out& out, const Command& command) {
  const Args args = out.batch.args_of(command);
  const CommandInfo* info = info_of(command.info, args[0]);
  // Our own records are left to the sink, which drops them under any name they had.
  const bool is_ours = info != nullptr && touches_own_key(*info, args);
  const bool is_foreign =
      info != nullptr && (info->kind == CommandKind::never || info->kind == CommandKind::control);
  if (is_ours || is_foreign) return keep(out, command);

  if (info != nullptr && info->flushes) {
    const FilterVerdict verdict = filter_.on_command(command.db, info, args);
    if (!verdict.keeps()) return drop(out, verdict.reason);
    return info->name == "SWAPDB" ? take_swap(out, command, args)
                                  : take_flush(out, command, *info, args);
  }
  if (info != nullptr && filter_.judges_values() && moves_values(*info, args)) {
    doubt_kept(command.db, *info, args);
    if (info->name == "MOVE" || info->name == "COPY") doubt_moved(command.db, args);
    return drop(out, FilterReason::mixed);
  }
  const bool crosses = info != nullptr && (info->name == "MOVE" || info->name == "COPY");
  if (crosses && (filter_.is_active() || remap_.maps_databases() || remap_.maps_keys()))
    return info->name == "MOVE" ? take_move(out, command, args) : take_copy(out, command, args);

  if (info == nullptr && (filter_.selects_keys() || remap_.maps_keys()))
    return refuse(out, command, "keys_unknown");
  const FilterVerdict verdict = filter_.on_command(command.db, info, args);
  switch (verdict.kind) {
    case FilterVerdict::Kind::drop:
      if (verdict.reason == FilterReason::mixed) doubt_kept(command.db, *info, args);
      if (verdict.reason == FilterReason::type && info != nullptr)
        return drop_value(out, command, *info, args);
      return drop(out, verdict.reason);
    case FilterVerdict::Kind::split: {
      ++counts_[static_cast<std::size_t>(FilterReason::part)];
      const std::vector<ByteView> rest = filter_.split_args(command.db, *info, args);
      return map_command(out, command, info, rest);
    }
    case FilterVerdict::Kind::keep:
      break;
  }
  map_command(out, command, info, args);
}

// The keys that travel are what the command would have made of them: copied anew.
void Transform::doubt_kept(std::int32_t db, const CommandInfo& info, Args args) {
  if (!on_doubt) return;
  for_each_key(info, args, [&](std::size_t at) {
    if (filter_.on_name(db, args[at]).keeps()) on_doubt(db, args[at]);
  });
}

// The destination of MOVE key db, and of COPY source destination ... DB db.
void Transform::doubt_moved(std::int32_t from, Args args) {
  std::int32_t to = from;
  ByteView key = args.size() > 1 ? args[1] : ByteView();
  if (is_word(args[0], "MOVE") && args.size() > 2) read_db(args[2], to);
  if (is_word(args[0], "COPY") && args.size() > 2) {
    key = args[2];
    for (std::size_t i = 3; i + 1 < args.size(); ++i) {
      if (is_word(args[i], "DB")) read_db(args[i + 1], to);
    }
  }
  if (on_doubt && filter_.on_name(to, key).keeps()) on_doubt(to, key);
}

// Its key now holds what does not travel: what the target has under that name is no longer true.
void Transform::drop_value(Out& out, const Command& command, const CommandInfo& info, Args args) {
  drop(out, FilterReason::type);
  std::vector<ByteView> del = {"DEL"};
  for (const std::size_t at : overwritten(info, args)) {
    if (filter_.on_name(command.db, args[at]).keeps()) del.push_back(args[at]);
  }
  if (del.size() > 1) map_command(out, command, find_command("DEL"), del);
}

// FLUSHALL [ASYNC|SYNC], FLUSHDB likewise.
void Transform::take_flush(Out& out, const Command& command, const CommandInfo& info, Args args) {
  const bool owns = owns_target && owns_target();
  if (info.name == "FLUSHALL") {
    // The source is empty behind it: so is what this link brought, whatever names it has.
    const bool is_whole = !filter_.selects_keys() && !remap_.maps_keys() &&
                          !remap_.maps_databases() && !filter_.selects_databases();
    return owns || is_whole ? put(out, command, args) : refuse(out, command, "flush_of_a_part");
  }
  const FilterVerdict verdict = filter_.on_database(command.db);
  if (!verdict.keeps()) return drop(out, verdict.reason);
  if (remap_.shares_database(command.db)) return refuse(out, command, "flush_of_a_part");
  const bool is_part = filter_.selects_keys() || remap_.maps_keys();
  if (is_part && !owns) return refuse(out, command, "flush_of_a_part");
  put(out, command, args);
}

// SWAPDB a b
void Transform::take_swap(Out& out, const Command& command, Args args) {
  std::int32_t a = 0;
  std::int32_t b = 0;
  if (args.size() != 3 || !read_db(args[1], a) || !read_db(args[2], b))
    return refuse(out, command, "malformed");
  const bool has_a = filter_.on_database(a).keeps();
  const bool has_b = filter_.on_database(b).keeps();
  if (!has_a && !has_b) return drop(out, FilterReason::database);
  const bool stays_whole = !remap_.shares_database(a) && !remap_.shares_database(b);
  if (has_a != has_b || !stays_whole || !remap_.same_names(a, b))
    return refuse(out, command, "swap_of_a_part");
  const std::string to_a = std::to_string(remap_.db(a));
  const std::string to_b = std::to_string(remap_.db(b));
  const ByteView swapped[] = {args[0], to_a, to_b};
  put(out, command, swapped);
}

// MOVE key db
void Transform::take_move(Out& out, const Command& command, Args args) {
  std::int32_t to = 0;
  if (args.size() != 3 || !read_db(args[2], to)) return refuse(out, command, "malformed");
  const FilterVerdict verdict = filter_.on_command(command.db, command.info, args.subspan(0, 1));
  if (verdict.reason == FilterReason::command) return drop(out, verdict.reason);
  const bool from_here = filter_.on_name(command.db, args[1]).keeps();
  const bool to_here = filter_.on_name(to, args[1]).keeps();
  const Bytes name = remap_.key(command.db, args[1]);
  const Bytes new_name = remap_.key(to, args[1]);
  const std::int32_t new_db = remap_.db(to);
  const std::string db_text = std::to_string(new_db);
  if (!from_here) {
    if (to_here && on_doubt) on_doubt(to, args[1]);
    return drop(out, to_here ? FilterReason::mixed : FilterReason::database);
  }
  if (!to_here) {
    const ByteView del[] = {"DEL", name};
    return put(out, command, del);
  }
  if (new_db != remap_.db(command.db)) {
    if (name == new_name) {
      const ByteView move[] = {args[0], name, db_text};
      return put(out, command, move);
    }
    return refuse(out, command, "move_to_another_name");
  }
  if (name == new_name) return refuse(out, command, "collision");
  const ByteView rename[] = {"RENAME", name, new_name};
  put(out, command, rename);
}

// COPY source destination [DB db] [REPLACE]
void Transform::take_copy(Out& out, const Command& command, Args args) {
  if (args.size() < 3) return refuse(out, command, "malformed");
  std::int32_t to = command.db;
  std::size_t db_at = 0;
  for (std::size_t i = 3; i + 1 < args.size(); ++i) {
    if (!is_word(args[i], "DB")) continue;
    db_at = i + 1;
    if (!read_db(args[db_at], to)) return refuse(out, command, "malformed");
  }
  const FilterVerdict verdict = filter_.on_command(command.db, command.info, args.subspan(0, 1));
  if (verdict.reason == FilterReason::command) return drop(out, verdict.reason);
  if (!filter_.on_name(to, args[2]).keeps()) {
    const bool by_db = !filter_.on_database(to).keeps();
    return drop(out, by_db ? FilterReason::database : FilterReason::key);
  }
  if (!filter_.on_name(command.db, args[1]).keeps()) {
    if (on_doubt) on_doubt(to, args[2]);
    return drop(out, FilterReason::mixed);
  }
  const Bytes name = remap_.key(command.db, args[1]);
  const Bytes new_name = remap_.key(to, args[2]);
  const std::string db_text = std::to_string(remap_.db(to));
  if (name == new_name && remap_.db(to) == remap_.db(command.db))
    return refuse(out, command, "collision");
  std::vector<ByteView> copy(args.begin(), args.end());
  copy[1] = name;
  copy[2] = new_name;
  if (db_at != 0) copy[db_at] = db_text;
  put(out, command, copy);
}

// Keys and expiries; `args` may already be fewer than the command's.
void Transform::map_command(Out& out, const Command& command, const CommandInfo* info, Args args) {
  const bool is_whole = args.data() == out.batch.args_of(command).data();
  if (info == nullptr || (!remap_.maps_keys() && !remap_.maps_ttl())) {
    if (is_whole && remap_.db(command.db) == command.db && !script_) return keep(out, command);
    return put(out, command, args);
  }
  if (remap_.maps_keys() && has_key_pattern(*info, args))
    return refuse(out, command, "key_pattern");
  args_.assign(args.begin(), args.end());
  std::vector<ByteView> mapped = std::move(args_);
  bool collides = false;
  if (remap_.maps_keys()) {
    // The names are put one behind the other; views are made when they do not move any more.
    places_.clear();
    names_.clear();
    for_each_key(*info, args, [&](std::size_t at) {
      const std::size_t begin = names_.size();
      remap_.append_key(names_, command.db, args[at]);
      places_.push_back({at, begin, names_.size()});
    });
    for (const Place& place : places_)
      mapped[place.arg] = ByteView(names_).substr(place.begin, place.end - place.begin);
    for (std::size_t i = 1; remap_.may_collide() && i < places_.size(); ++i) {
      const std::size_t a = places_[i - 1].arg;
      const std::size_t b = places_[i].arg;
      collides = collides || (args[a] != args[b] && mapped[a] == mapped[b]);
    }
  }
  std::deque<Bytes> texts;
  const TtlChange change =
      remap_.maps_ttl() ? change_ttl(remap_, *info, mapped, texts) : TtlChange::none;
  if (collides) {
    refuse(out, command, "collision");
  } else if (change == TtlChange::drop) {
    drop(out, FilterReason::ttl);
  } else {
    put(out, command, mapped);
  }
  args_ = std::move(mapped);
}

void Transform::put(Out& out, const Command& command, Args args) {
  if (script_) {
    put_scripted(out, command, args);
  } else {
    emit(out, command, args);
  }
}

// One command in place of `command`.
void Transform::emit(Out& out, const Command& command, Args args) {
  Batch& batch = out.batch;
  Command made = command;
  made.origin = origin_of(out, command);
  made.db = remap_.db(command.db);
  if (args.data() != batch.args_of(command).data()) {
    wire_.clear();
    append_command(wire_, args);
    made.wire = store(out, wire_);
    made.first_arg = static_cast<std::uint32_t>(batch.args.size());
    parse_command(made.wire, batch.args);
    made.arg_count = static_cast<std::uint32_t>(batch.args.size()) - made.first_arg;
    made.info = find_command(batch.args[made.first_arg]);
  }
  out.commands.push_back(made);
}

// Small wires share a block; a block never grows beyond what it reserved, so views stay valid.
ByteView Transform::store(Out& out, ByteView wire) {
  constexpr std::size_t block_bytes = 16 * 1024;
  std::deque<Bytes>& blocks = out.transformed().bytes;
  if (blocks.empty() || blocks.back().capacity() - blocks.back().size() < wire.size())
    blocks.emplace_back().reserve(std::max(block_bytes, wire.size()));
  const std::size_t at = blocks.back().size();
  blocks.back() += wire;
  return ByteView(blocks.back()).substr(at);
}

void Transform::put_scripted(Out& out, const Command& command, Args args) {
  std::vector<Bytes> wires;
  if (Error error = run_script(remap_.db(command.db), args, wires))
    return refuse(out, command, "script_error");
  if (wires.empty()) return drop(out, FilterReason::script);
  const bool as_group = wires.size() > 1 && out.group == GroupMark::none;
  Batch& batch = out.batch;
  Command made = command;
  made.origin = origin_of(out, command);
  made.db = remap_.db(command.db);
  const auto add = [&](ByteView wire, GroupMark group) {
    made.wire = store(out, wire);
    made.group = group;
    made.first_arg = static_cast<std::uint32_t>(batch.args.size());
    parse_command(made.wire, batch.args);
    made.arg_count = static_cast<std::uint32_t>(batch.args.size()) - made.first_arg;
    made.info = find_command(batch.args[made.first_arg]);
    out.commands.push_back(made);
  };
  if (as_group) add(multi_wire, GroupMark::first);
  for (const Bytes& wire : wires)
    add(wire, as_group ? GroupMark::inside : command.group);
  if (as_group) add(exec_wire, GroupMark::last);
}

Error Transform::run_script(std::int32_t db, Args args, std::vector<Bytes>& wires) {
  wires.clear();
  if (!script_) {
    append_command(wires.emplace_back(), args);
    return Error();
  }
  Error error = script_->call(db, info_of(find_command(args[0]), args[0]), args, wires);
  if (!error) return error;
  if (error.what != last_script_error_) log_warn("script: {}", error.what);
  last_script_error_ = error.what;
  return error;
}

void Transform::keep(Out& out, const Command& command) {
  out.commands.push_back(command);
}

void Transform::drop(Out&, FilterReason reason) {
  ++counts_[static_cast<std::size_t>(reason)];
  ++filtered_;
}

void Transform::refuse(Out& out, const Command& command, const char* reason) {
  out.commands.push_back(command);
  out.commands.back().refusal = reason;
}

const Origin* Transform::origin_of(Out& out, const Command& command) {
  return &out.transformed().origins.emplace_back(Origin{command.wire, command.db});
}

bool Transform::admits(const KeyFacts& key) {
  if (!filter_.is_active() || is_own_key(key.key)) return true;
  const FilterVerdict verdict = filter_.on_key(key);
  if (verdict.keeps()) return true;
  ++counts_[static_cast<std::size_t>(verdict.reason)];
  ++filtered_;
  return false;
}

std::vector<Bytes> Transform::of_copy(const KeyCopy& copy, std::int32_t& db) {
  db = remap_.db(copy.db);
  if (!filter_.on_name(copy.db, copy.key).keeps()) return {};
  KeyFacts facts;
  facts.db = copy.db;
  facts.key = copy.key;
  if (copy.payload) {
    facts.kind = value_kind_of_payload(*copy.payload);
    facts.bytes = copy.payload->size();
  }
  const bool exists = copy.payload && filter_.on_key(facts).keeps();
  const Bytes name = remap_.key(copy.db, copy.key);
  std::vector<Bytes> wires;
  std::vector<ByteView> args = {"DEL", name};
  std::string expire;
  if (exists) {
    const std::optional<std::int64_t> source =
        copy.expire_ms == 0 ? std::nullopt : std::optional(copy.expire_ms);
    expire = std::to_string(remap_.expire(source).value_or(0));
    args = {"RESTORE", name, expire, *copy.payload, "REPLACE", "ABSTTL"};
  }
  if (run_script(db, args, wires)) wires.clear();
  return wires;
}

}  // namespace keyferry
