// ScanNode: the keys that changed, from their event until they are taken to be read; on disk where
// they are too many.
#include <algorithm>

#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/scan_node.hpp"

namespace keyferry {
namespace {

constexpr std::size_t refill_read_bytes = 256 * 1024;

}  // namespace

void ScanNode::change(std::int32_t db, ByteView key) {
  if (is_own_key(key)) {
    probe_heard_ = probe_heard_ || key == probe_key_;
    return;
  }
  if (!common_.rules.wants(db, key)) return;
  const std::uint64_t number = common_.last_number + 1;
  if (spilled_ == 0) {
    const DirtyKeys::Added added = dirty_.add(db, key, number);
    if (added == DirtyKeys::Added::yes) common_.last_number = number;
    if (added != DirtyKeys::Added::full) return;
  } else if (dirty_.contains(db, key)) {
    return;
  }
  const auto room = static_cast<std::size_t>(std::max<std::int64_t>(0, spool_.room_bytes()));
  if (spill_.size() + key.size() + 64 > room) {
    if (!std::exchange(lost_events_, true))
      log_warn("no room for more changed keys: every key will be looked at once more");
    return;
  }
  common_.last_number = number;
  append_spilled(spill_, db, key, number);
  if (spilled_++ == 0) first_spilled_ = number;
}

void ScanNode::add_moving(const DirtyKey& key) {
  DirtyKey counted = key;
  counted.number = ++common_.last_number;
  scanner_.add_moving(counted);
  wake_.notify();
}

Task<Error> ScanNode::write_spill() {
  const Bytes out = std::exchange(spill_, Bytes());
  spill_writing_ = true;
  Error error = co_await spool_.append(out);
  spill_writing_ = false;
  wake_.notify();
  co_return error;
}

// Brings spilled keys back, in their order.
Task<Error> ScanNode::refill() {
  while (spilled_ > 0 && dirty_.is_half_empty()) {
    if (spool_.unread_bytes() > 0) {
      const std::size_t before = refill_.size();
      refill_.resize(before + refill_read_bytes);
      auto n = co_await spool_.read(refill_.data() + before, refill_read_bytes);
      refill_.resize(before + (n ? *n : 0));
      if (!n) co_return n.error();
    } else if (spill_writing_) {
      co_return Error();
    } else {
      refill_ += std::exchange(spill_, Bytes());
    }
    std::size_t taken = 0;
    keep_spilled(refill_, taken);
    refill_.erase(0, taken);
  }
  co_return Error();
}

void ScanNode::keep_spilled(ByteView bytes, std::size_t& taken) {
  DirtyKey key;
  for (std::size_t size = read_spilled(bytes, key); size > 0;
       size = read_spilled(bytes.substr(taken), key)) {
    if (dirty_.add(key.db, key.key, key.number) == DirtyKeys::Added::full) return;
    taken += size;
    --spilled_;
    first_spilled_ = key.number + 1;
  }
}

std::uint64_t ScanNode::oldest_pending() const {
  std::uint64_t oldest = common_.last_number + 1;
  if (!dirty_.empty()) oldest = std::min(oldest, dirty_.oldest_number());
  if (spilled_ > 0) oldest = std::min(oldest, first_spilled_);
  if (const auto taken = scanner_.oldest_taken()) oldest = std::min(oldest, *taken);
  return oldest;
}

}  // namespace keyferry
