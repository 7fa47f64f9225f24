#include "keyferry/pipeline/held_slots.hpp"

#include <algorithm>
#include <utility>

namespace keyferry {
namespace {

// The bytes move to a place of the batch's own.
void append_copy(Batch& out, const Batch& from, const Command& command) {
  out.transformed->bytes.emplace_back(command.wire);
  const ByteView copy = out.transformed->bytes.back();
  Command& added = out.commands.emplace_back(command);
  added.wire = copy;
  added.first_arg = static_cast<std::uint32_t>(out.args.size());
  for (const ByteView arg : from.args_of(command)) {
    const auto at = static_cast<std::size_t>(arg.data() - command.wire.data());
    out.args.push_back(copy.substr(at, arg.size()));
  }
}

}  // namespace

bool HeldSlots::holds_before(const ShardSlots& slots, Offset offset) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& one) {
    return slots[one.first] && one.second.begin < offset;
  });
}

bool HeldSlots::add(Slot slot, const Batch& batch, std::size_t first, std::size_t last) {
  const auto [at, is_new] = slots_.try_emplace(slot);
  Held& held = at->second;
  const Command& begin = batch.commands[first];
  if (is_new) held.begin = begin.end - static_cast<Offset>(begin.wire.size());
  if (!held.batch) {
    held.batch = std::make_unique<Batch>();
    held.batch->transformed = std::make_unique<Transformed>();
    held.batch->received = batch.received;
  }
  for (std::size_t i = first; i <= last; ++i) {
    append_copy(*held.batch, batch, batch.commands[i]);
    held.bytes += batch.commands[i].wire.size();
    bytes_ += batch.commands[i].wire.size();
  }
  held.batch->end = batch.commands[last].end;
  held.batch->db = batch.commands[last].db;
  return is_new;
}

std::unique_ptr<Batch> HeldSlots::take(Slot slot) {
  const auto at = slots_.find(slot);
  if (at == slots_.end() || !at->second.batch) return nullptr;
  at->second.bytes_out += std::exchange(at->second.bytes, 0);
  return std::move(at->second.batch);
}

bool HeldSlots::release(Slot slot) {
  const auto at = slots_.find(slot);
  if (at == slots_.end()) return true;
  bytes_ -= std::exchange(at->second.bytes_out, 0);
  if (at->second.batch) {
    const Command& begin = at->second.batch->commands.front();
    at->second.begin = begin.end - static_cast<Offset>(begin.wire.size());
    return false;
  }
  slots_.erase(at);
  return true;
}

void HeldSlots::clear() {
  slots_.clear();
  bytes_ = 0;
}

}  // namespace keyferry
