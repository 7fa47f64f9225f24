#include "keyferry/sink/scratch_run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "keyferry/checkpoint/slot_record.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/sink/claim.hpp"

namespace keyferry {
namespace {

// Of limits.memory_max_bytes: what one command's operands, and its results, may take here.
constexpr std::int64_t values_share = 4;
constexpr std::size_t reply_spare_bytes = 1024;
constexpr std::size_t least_limit_bytes = 64 * 1024;  // as of the snapshot's values
// From one attempt to the next; a prime, so that another node is met soon.
constexpr Slot next_slot_step = 4099;

const std::string* first_error(std::span<const RespValue> replies) {
  const auto found = std::find_if(replies.begin(), replies.end(),
                                  [](const RespValue& reply) { return reply.is_error(); });
  return found == replies.end() ? nullptr : &found->text;
}

ScratchRun::Effects too_large(std::string why) {
  ScratchRun::Effects out;
  out.refusal = "value_too_large";
  out.why = std::move(why);
  return out;
}

}  // namespace

ScratchRun::ScratchRun(const asio::any_io_executor& executor, const Options& options,
                       TargetNodes& nodes)
    : executor_(executor),
      options_(options),
      nodes_(nodes),
      link_(link_of(options)),
      halt_(executor) {}

void ScratchRun::stop() {
  stopping_ = true;
  for (const auto& [node, connection] : connections_) {
    if (connection) connection->close();
  }
  halt_.notify();
}

std::size_t ScratchRun::values_max_bytes() const {
  return static_cast<std::size_t>(options_.limits_memory_max_bytes / values_share);
}

Task<Result<ScratchRun::Effects>> ScratchRun::run(const ScratchCommand& command) {
  std::vector<Copy> copies(command.keys.size());
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    Bytes key(command.keys[i].name);
    Error error = co_await fetch(std::move(key), copies[i]);
    if (error.is(Errc::data_refused)) {
      co_return too_large(fmt::format("\"{}\": {}; see snapshot.restore_max_bytes",
                                      escaped(command.keys[i].name), error.what));
    }
    if (error) co_return error;
    if (copies[i].payload) bytes += copies[i].payload->size();
    if (bytes > values_max_bytes())
      co_return too_large("its keys hold more than a quarter of limits.memory_max_bytes");
  }
  co_return co_await play(command, copies);
}

// A key on the move is where the owner's answer says. When it expires comes first: one that expires
// in between is gone then, and not there for ever.
Task<Error> ScratchRun::fetch(Bytes key, Copy& out) {
  const Slot slot = slot_of(key);
  const auto most =
      std::max(least_limit_bytes, static_cast<std::size_t>(options_.snapshot_restore_max_bytes));
  Attempts attempts;
  while (!stopping_) {
    const auto owner = owner_of(slot);
    std::string refusal = "nobody serves the slot";
    if (owner || attempts.at) {
      Bytes wire;
      const std::size_t step = attempts.asking ? 2 : 1;
      if (attempts.asking) append_command(wire, {"ASKING"});
      append_command(wire, {has_pexpiretime_ ? "PEXPIRETIME" : "PTTL", key});
      append_command(wire, {"TIME"});
      if (attempts.asking) append_command(wire, {"ASKING"});
      append_command(wire, {"DUMP", key});
      const Endpoint node = attempts.at ? *attempts.at : *owner;
      auto replies = co_await ask(node, std::move(wire), 2 * step + 1, most + reply_spare_bytes);
      if (!replies && replies.error().is(Errc::data_refused)) co_return replies.error();
      const std::string* const error = replies ? first_error(*replies) : nullptr;
      if (replies && error == nullptr) {
        const RespValue& dump = replies->back();
        if (!dump.is_null()) out.payload = dump.text;
        out.expire_ms = expiry_in((*replies)[step - 1], (*replies)[step]);
        co_return Error();
      }
      refusal = error != nullptr ? *error : replies.error().what;
      const bool is_old = error != nullptr && error == &(*replies)[step - 1].text;
      if (is_old && judge_reply(refusal).verdict == Verdict::refused && has_pexpiretime_) {
        has_pexpiretime_ = false;
        continue;
      }
      if (error != nullptr && judge_reply(refusal).verdict == Verdict::refused)
        co_return Error(Errc::refused_by_peer, "target " + to_string(node) + ": " + refusal);
    }
    Error error = co_await try_again(attempts, slot, std::move(refusal));
    if (error) co_return error;
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Any slot will do, so whatever stands against one is not waited for.
Task<Result<ScratchRun::Effects>> ScratchRun::play(const ScratchCommand& command,
                                                   const std::vector<Copy>& copies) {
  const auto written = std::find_if(command.keys.begin(), command.keys.end(),
                                    [](const auto& key) { return key.is_written; });
  Slot slot = written == command.keys.end() ? Slot(0) : slot_of(written->name);
  Attempts attempts;
  while (!stopping_) {
    std::string refusal = "nobody serves the slot";
    if (const auto owner = owner_of(slot)) {
      std::size_t inside = 0;
      Bytes wire = transaction(command, copies, slot, inside);
      auto replies = co_await ask(*owner, std::move(wire), inside + 2, values_max_bytes());
      Effects effects;
      if (replies) {
        const std::string* const error = first_error(*replies);
        if (error == nullptr) co_return read_effects(command, replies->back().items);
        refusal = *error;
        effects.refusal = "refused_by_a_node";
        effects.why = refusal;
        if (judge_reply(refusal).verdict == Verdict::refused) co_return effects;
      } else if (replies.error().is(Errc::data_refused)) {
        co_return too_large(replies.error().what + ", a quarter of limits.memory_max_bytes");
      } else {
        refusal = replies.error().what;
      }
    }
    slot = static_cast<Slot>((slot + next_slot_step) % slot_count);
    attempts.at.reset();
    Error error = co_await try_again(attempts, slot, std::move(refusal));
    if (error) co_return error;
  }
  co_return Error(Errc::cancelled, "stopped");
}

// MULTI, the copies, the command, what it left, DEL, EXEC.
Bytes ScratchRun::transaction(const ScratchCommand& command, const std::vector<Copy>& copies,
                              Slot slot, std::size_t& inside) const {
  std::vector<std::string> names;
  names.reserve(copies.size());
  for (std::size_t i = 0; i < copies.size(); ++i)
    names.push_back(node_record_key(link_, slot) + ":x" + std::to_string(i));
  Bytes wire = make_command({"MULTI"});
  for (std::size_t i = 0; i < copies.size(); ++i) {
    if (!copies[i].payload) continue;
    append_command(wire, {"RESTORE", names[i], std::to_string(copies[i].expire_ms),
                          *copies[i].payload, "REPLACE", "ABSTTL"});
    ++inside;
  }
  wire += under_names(command, names);
  append_command(wire, {"TIME"});
  inside += 2;
  std::vector<ByteView> remove = {"DEL"};
  for (std::size_t i = 0; i < copies.size(); ++i) {
    remove.push_back(names[i]);
    if (!command.keys[i].is_written) continue;
    append_command(wire, {has_pexpiretime_ ? "PEXPIRETIME" : "PTTL", names[i]});
    append_command(wire, {"DUMP", names[i]});
    inside += 2;
  }
  append_command(wire, remove);
  ++inside;
  append_command(wire, {"EXEC"});
  return wire;
}

// `replies`: of EXEC.
ScratchRun::Effects ScratchRun::read_effects(const ScratchCommand& command,
                                             std::span<const RespValue> replies) const {
  Effects out;
  if (const std::string* const error = first_error(replies)) {
    out.refusal = "refused_by_a_node";
    out.why = *error;
    return out;
  }
  const auto written = static_cast<std::size_t>(std::count_if(
      command.keys.begin(), command.keys.end(), [](const auto& key) { return key.is_written; }));
  if (replies.size() < 2 * written + 2) {
    out.refusal = "refused_by_a_node";
    out.why = "EXEC answered for fewer commands than it was given";
    return out;
  }
  std::size_t at = replies.size() - 2 * written - 1;
  const RespValue& time = replies[at - 1];
  for (const ScratchCommand::Key& key : command.keys) {
    if (!key.is_written) continue;
    const std::int64_t expire_ms = expiry_in(replies[at++], time);
    const RespValue& dump = replies[at++];
    if (dump.is_null()) {
      out.wires.push_back(make_command({"DEL", key.name}));
    } else {
      out.wires.push_back(make_command(
          {"RESTORE", key.name, std::to_string(expire_ms), dump.text, "REPLACE", "ABSTTL"}));
    }
  }
  return out;
}

std::int64_t ScratchRun::expiry_in(const RespValue& ttl, const RespValue& time) const {
  if (ttl.integer < 0) return 0;
  return has_pexpiretime_ ? ttl.integer : time_ms(time).value_or(unix_now_ms()) + ttl.integer;
}

// Waits as long as the refusal asks for.
Task<Error> ScratchRun::try_again(Attempts& attempts, Slot slot, std::string refusal) {
  constexpr std::uint32_t hops_before_pause = 5;
  const Judgement judgement = judge_reply(refusal);
  const Endpoint was = attempts.at.value_or(owner_of(slot).value_or(Endpoint()));
  attempts.at.reset();
  attempts.asking = judgement.verdict == Verdict::ask;
  if (judgement.verdict == Verdict::moved || judgement.verdict == Verdict::ask) {
    Endpoint to = judgement.to;
    if (to.host.empty()) to.host = was.host;
    if (judgement.verdict == Verdict::moved) nodes_.assign(judgement.slot, to);
    if (attempts.asking) attempts.at = to;
    if (++attempts.count % hops_before_pause != 0) co_return Error();
  }
  if (elapsed_ms(attempts.begin, Clock::now()) > options_.target.reconnect_max_s * 1000)
    co_return Error(Errc::unreachable, "a command over several slots: " + refusal);
  co_await halt_.wait_for(attempts.backoff.next());
  if (stopping_) co_return Error(Errc::cancelled, "stopped");
  if (judgement.refresh_map && on_stale_map) on_stale_map();
  co_return Error();
}

Task<Result<std::vector<RespValue>>> ScratchRun::ask(Endpoint node, Bytes wire, std::size_t replies,
                                                     std::size_t most_bytes) {
  auto& kept = connections_[node];
  if (!kept) {
    auto fresh = std::make_unique<Connection>(executor_);
    const HostPort host{node.host, node.port};
    Error error = co_await fresh->open(options_.target, host, "across");
    if (error) co_return with_context("target " + to_string(node), std::move(error));
    if (stopping_) co_return Error(Errc::cancelled, "stopped");
    kept = std::move(fresh);
  }
  kept->reply_max_bytes = most_bytes;
  auto answer =
      co_await kept->call_all(std::move(wire), replies, Millis(options_.target.reply_timeout_ms));
  if (!answer) kept.reset();
  co_return answer;
}

std::optional<Endpoint> ScratchRun::owner_of(Slot slot) const {
  const std::uint16_t owner = nodes_.map().owner_of(slot);
  if (owner == SlotMap::no_owner) return std::nullopt;
  return nodes_.map().masters()[owner];
}

}  // namespace keyferry
