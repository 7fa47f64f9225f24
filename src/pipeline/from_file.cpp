// Pipeline: what is different when the source is a file. It begins with its snapshot, if it has
// one; the commands of an append-only file follow as the stream; at its end the link is done.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/command/expiry.hpp"
#include "keyferry/config/file_format.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {

// Before anything is written to the target.
Task<Error> Pipeline::open_files() {
  Error error = file_->open();
  FileCheckRules rules;
  rules.until = parse_time(options_.source_aof_until);
  rules.may_be_torn = options_.source_aof_on_truncated == OnTruncated::keep;
  if (!error) error = co_await file_->check(rules);
  if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
  decoder_.read_annotations(rules.until);
  co_return co_await sink_.open();
}

Error Pipeline::begin_file() {
  if (!in_snapshot_) return decoder_.begin_file();
  return Error(Errc::corrupt, "the file ends inside the snapshot, and others follow it");
}

// Everything has been read, or the time that was asked for is reached.
Error Pipeline::end_files() {
  if (draining_) return Error();
  if (in_snapshot_) {
    return Error(Errc::corrupt, fmt::format("the snapshot is cut off: it ends after {} bytes",
                                            reader_->offset() + window_.unread_bytes()));
  }
  if (decoder_.has_ended()) {
    log_info("source.aof.until is reached: {}", file_->place_of(decoder_.whole_offset()));
  } else if (decoder_.is_torn()) {
    const std::string what = fmt::format("the last command is cut off: what is whole ends in {}",
                                         file_->place_of(decoder_.whole_offset()));
    if (options_.source_aof_on_truncated == OnTruncated::stop) {
      return Error(Errc::corrupt,
                   what + " (source.aof.on_truncated: keep does without what follows)");
    }
    log_warn("{}", what);
  }
  reached_goal_ = true;
  finish_received();
  return Error();
}

// There is no server that suspect keys could be copied from again.
void Pipeline::give_up_suspects() {
  if (sink_.suspects().empty()) return;
  expired_keys_ += sink_.suspects().size();
  sink_.suspects().clear();
}

// See command/expiry: what commands become lies in slabs of its own.
void Pipeline::put_off_expiries(Batch& batch) {
  constexpr std::size_t slab_bytes = 16 * 1024;
  SlabRef slab;
  Bytes wire;
  std::vector<ByteView> args;
  for (Command& command : batch.commands) {
    wire.clear();
    if (!put_off_expiry(batch.args_of(command), wire)) continue;
    if (!slab || slab->tail_size() < wire.size())
      slab = batch.slabs.emplace_back(make_slab(budget_, std::max(wire.size(), slab_bytes)));
    command.wire = slab->append(wire);
    args.clear();
    parse_command(command.wire, args);
    std::copy(args.begin(), args.end(), batch.args.begin() + command.first_arg);
  }
}

// Behind all commands; also when there are no more because the file is damaged. A run that was
// stopped is to be started again, and goes on with expiry put off.
Task<void> Pipeline::settle_expiries() {
  if (!reached_goal_ && !result_.is(Errc::corrupt)) {
    log_warn("expiry at the target is put off until a run has loaded the whole file");
    co_return;
  }
  Error error = co_await sink_.settle_expiries();
  if (!error) co_return;
  log_error("expiry at the target is still put off: {}", error.what);
  if (!result_) result_ = std::move(error);
}

// Which file an error is about.
Error Pipeline::place(Error error) const {
  if (!file_ || !error.is(Errc::corrupt)) return error;
  const std::string where =
      in_snapshot_ ? file_->files().files.front().name : file_->place_of(decoder_.whole_offset());
  return with_context(fmt::format("source {}: {}", redacted(options_.source.uri), where),
                      std::move(error));
}

}  // namespace keyferry
