#include "keyferry/source/stream_decoder.hpp"

#include <algorithm>

#include <fmt/core.h>

#include "keyferry/base/error.hpp"
#include "keyferry/base/number.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/word.hpp"

namespace keyferry {
namespace {

// A greeting goes no further than to us.
bool has_effect(const Batch& batch, const Command& command) {
  const bool publishes = command.info != nullptr && command.info->kind == CommandKind::publish &&
                         command.arg_count > 1;
  return !publishes || !is_sentinel_channel(batch.args_of(command)[1]);
}

}  // namespace

void StreamDecoder::start(Offset offset, std::int32_t db) {
  window_.clear();
  progress_ = CommandProgress();
  batch_.reset();
  offset_ = offset;
  db_ = db;
  effects_ = {offset, db};
  in_group_ = false;
  has_ended_ = false;
  getack_ = false;
}

void StreamDecoder::read_annotations(std::optional<std::int64_t> until) {
  has_annotations_ = true;
  until_ = until;
}

Error StreamDecoder::begin_file() {
  if (is_torn()) {
    return Error(Errc::corrupt, fmt::format("the file ends inside a {}, and others follow it",
                                            in_group_ ? "transaction" : "command"));
  }
  db_ = 0;
  return Error();
}

// "#TS:<seconds>\r\n", or another word that a loader passes over (Redis 7.0 aof.c
// loadSingleAppendOnlyFile; a line has at most AOF_ANNOTATION_LINE_MAX_LEN bytes).
StreamDecoder::Annotation StreamDecoder::take_annotation(std::size_t& need) {
  constexpr std::size_t line_max_bytes = 1024;
  constexpr ByteView time = "#TS:";
  const ByteView bytes = window_.view();
  if (bytes.empty() || bytes[0] != '#' || progress_.at != 0) return Annotation::none;
  const ByteView line = bytes.substr(0, bytes.substr(0, line_max_bytes).find('\n'));
  if (line.size() == bytes.size()) {
    need = bytes.size() + 1;
    return bytes.size() < line_max_bytes ? Annotation::need_more : Annotation::corrupt;
  }
  if (until_ && line.starts_with(time)) {
    has_ended_ = leading_number(line.substr(time.size())) > *until_;
  }
  if (has_ended_) return Annotation::taken;
  offset_ += static_cast<Offset>(line.size() + 1);
  window_.consume(line.size() + 1);
  return Annotation::taken;
}

Error StreamDecoder::feed(SlabRef slab, ByteView bytes, TimePoint received) {
  if (has_ended_) return Error();
  received_ = received;
  open_batch();
  window_.append(std::move(slab), bytes);
  while (true) {
    if (has_annotations_) {
      std::size_t need = 0;
      const Annotation annotation = take_annotation(need);
      if (annotation == Annotation::taken && has_ended_) return Error();
      if (annotation == Annotation::taken) continue;
      if (annotation == Annotation::need_more) {
        if (!window_.want(need)) return Error();
        continue;
      }
    }
    args_before_ = batch_->args.size();
    const CommandParse parsed = parse_command(window_.view(), batch_->args, progress_);
    switch (parsed.status) {
      case CommandParse::Status::command: {
        Error error = accept(window_.view().substr(0, parsed.size));
        if (error) return error;
        window_.consume(parsed.size);
        break;
      }
      case CommandParse::Status::need_more:
        if (!window_.want(parsed.size)) return Error();
        break;
      case CommandParse::Status::corrupt:
        return Error(
            Errc::corrupt,
            fmt::format("replication stream at offset {}: {}, but \"{}\"", offset_ + 1,
                        parsed.problem, escaped(window_.view().substr(0, parsed.size + 20))));
    }
  }
}

Error StreamDecoder::accept(ByteView wire) {
  const auto arg_count = static_cast<std::uint32_t>(batch_->args.size() - args_before_);
  const ByteView name = batch_->args[args_before_];
  const CommandInfo* info = info_of(name);
  const Offset before = offset_;
  offset_ += static_cast<Offset>(wire.size());
  batch_->end = offset_;

  GroupMark mark = in_group_ ? GroupMark::inside : GroupMark::none;
  if (info != nullptr && info->kind == CommandKind::control) {
    const auto fail = [&](const char* what) {
      return Error(Errc::corrupt,
                   fmt::format("replication stream at offset {}: {}", before + 1, what));
    };
    if (info->name == "MULTI") {
      if (in_group_) return fail("MULTI inside MULTI");
      in_group_ = true;
      group_start_ = batch_->commands.size();
      group_offset_ = before;
      group_db_ = db_;
      mark = GroupMark::first;
    } else if (info->name == "EXEC") {
      if (!in_group_) return fail("EXEC without MULTI");
      in_group_ = false;
      mark = GroupMark::last;
    } else {
      if (info->name == "SELECT") {
        const ByteView text = arg_count == 2 ? batch_->args[args_before_ + 1] : ByteView();
        if (!read_number(text, db_) || db_ < 0) return fail("SELECT without a database");
      } else if (info->name == "REPLCONF" && arg_count > 1 &&
                 is_word(batch_->args[args_before_ + 1], "GETACK")) {
        getack_ = true;
        getack_end_ = offset_;
      }
      batch_->args.resize(args_before_);
      return Error();
    }
  }
  hold_slab();
  batch_->commands.push_back(
      {wire, info, static_cast<std::uint32_t>(args_before_), arg_count, db_, mark, offset_});
  return Error();
}

std::unique_ptr<Batch> StreamDecoder::take() {
  if (!batch_) return nullptr;
  likely_commands_ = batch_->commands.size();
  likely_args_ = batch_->args.size();
  batch_->db = db_;
  if (!in_group_) {
    note_effects(*batch_);
    return batch_->end == 0 ? nullptr : std::move(batch_);
  }
  if (group_start_ == 0) return nullptr;

  // The open group stays behind in a batch of its own.
  std::unique_ptr<Batch> whole = std::move(batch_);
  open_batch();
  batch_->slabs = whole->slabs;
  batch_->end = whole->end;
  const auto first = whole->commands.begin() + static_cast<std::ptrdiff_t>(group_start_);
  const std::uint32_t first_arg = first->first_arg;
  batch_->args.assign(whole->args.begin() + first_arg, whole->args.end());
  batch_->commands.assign(first, whole->commands.end());
  for (Command& command : batch_->commands)
    command.first_arg -= first_arg;
  whole->commands.erase(first, whole->commands.end());
  whole->args.resize(first_arg);
  whole->end = group_offset_;
  whole->db = group_db_;
  group_start_ = 0;
  note_effects(*whole);
  return whole;
}

// Whole groups end with EXEC, which counts as one.
void StreamDecoder::note_effects(Batch& whole) {
  const auto& commands = whole.commands;
  const auto last = std::find_if(commands.rbegin(), commands.rend(), [&](const Command& command) {
    return has_effect(whole, command);
  });
  if (last != commands.rend()) effects_ = {last->end, last->db};
  whole.effects = effects_;
}

bool StreamDecoder::take_getack(Offset& end) {
  end = getack_end_;
  return std::exchange(getack_, false);
}

// batch_->end == 0 means that nothing has been consumed into it yet.
void StreamDecoder::open_batch() {
  if (batch_) return;
  batch_ = std::make_unique<Batch>();
  batch_->received = received_;
  // Batches of busy times are alike: growing their vectors took a tenth of the decoding.
  batch_->commands.reserve(likely_commands_);
  batch_->args.reserve(likely_args_);
}

const CommandInfo* StreamDecoder::info_of(ByteView name) {
  if (name != last_name_) {
    last_name_ = name;
    last_info_ = find_command(name);
  }
  return last_info_;
}

void StreamDecoder::hold_slab() {
  if (batch_->slabs.empty() || batch_->slabs.back() != window_.slab())
    batch_->slabs.push_back(window_.slab());
}

}  // namespace keyferry
