// SerialLane: what is written next. Between two calls of gather() the open transaction holds
// exactly the units [end of those sent, write_).
#include <array>

#include "keyferry/command/command_table.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/sink/serial_lane.hpp"

namespace keyferry {
namespace {

constexpr ByteView multi_wire = "*1\r\n$5\r\nMULTI\r\n";
constexpr ByteView exec_wire = "*1\r\n$4\r\nEXEC\r\n";
constexpr ByteView discard_wire = "*1\r\n$7\r\nDISCARD\r\n";
constexpr ByteView unwatch_wire = "*1\r\n$7\r\nUNWATCH\r\n";
constexpr ByteView select_0_wire = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n";
constexpr std::size_t relief_max_units = 256;
constexpr std::size_t transaction_max_bytes = 256 * 1024;

Bytes select_command(std::int32_t db) {
  return make_command({"SELECT", std::to_string(db)});
}

// What frees memory and may be done twice.
bool frees_memory(ByteView wire) {
  std::vector<ByteView> args;
  if (parse_command(wire, args).status != CommandParse::Status::command) return false;
  const CommandInfo* info = find_command(args[0]);
  return info != nullptr && (info->name == "DEL" || info->name == "UNLINK");
}

// The other database of a SWAPDB with database 0; -1 for any other command.
std::int32_t swapped_with_0(ByteView wire) {
  std::vector<ByteView> args;
  if (parse_command(wire, args).status != CommandParse::Status::command) return -1;
  const CommandInfo* info = find_command(args[0]);
  if (info == nullptr || info->name != "SWAPDB" || args.size() != 3) return -1;
  const int a = std::atoi(Bytes(args[1]).c_str());
  const int b = std::atoi(Bytes(args[2]).c_str());
  return a == 0 && b != 0 ? b : b == 0 && a != 0 ? a : -1;
}

}  // namespace

void SerialLane::gather() {
  writing_.clear();
  if (due_.empty()) progress_ = Clock::now();
  if (!record_ || Clock::now() < not_before_) return;
  if (std::exchange(gather_prologue_next_, false)) gather_prologue();
  if (taking_back_) {
    if (!std::exchange(take_back_sent_, true)) gather_take_back();
    return;
  }
  if (std::exchange(relief_wanted_, false)) gather_relief();
  while (true) {
    gather_open();
    const bool filling = writing_.is_full() && !is_full();
    if (filling || !may_execute()) return;
    gather_exec();
  }
}

bool SerialLane::is_full() const {
  return open_.units >= transaction_max_units_ || open_.bytes >= transaction_max_bytes;
}

// Lets waiting units into the open transaction, as far as it has room.
void SerialLane::gather_open() {
  while (settle_at(write_) && !writing_.is_full()) {
    LaneBatch& batch = batch_at(write_);
    Unit& unit = batch.units[write_.unit];
    const bool is_boundary = open_.units > 0 && !open_.joins_next;
    // What takes our own keys with it stands alone.
    const bool stands_apart = open_.flushes || unit.flushes;
    if (is_boundary && (is_full() || stands_apart)) return;
    gather_unit(batch, unit);
    ++write_.unit;
  }
}

void SerialLane::gather_unit(LaneBatch& batch, Unit& unit) {
  gather_multi();
  unit.select_sent = unit.db != selected_db_;
  if (unit.select_sent) {
    writing_.add_own(select_command(unit.db));
    expect(Expect::queued, 1);
    selected_db_ = unit.db;
  }
  writing_.add(unit.wire, batch.cargo);
  expect(Expect::queued, 1);
  ++open_.units;
  open_.bytes += unit.wire.size();
  // A copy stands behind a command, but is none: what is selected there is not the copy's database.
  if (unit.commands > 0) {
    open_.end = unit.end;
    open_.end_db = unit.source_db();
  }
  open_.joins_next = unit.joins_next;
  if (unit.flushes) {
    open_.flushes = true;
    open_.swapped_with = std::max(open_.swapped_with, swapped_with_0(unit.wire));
  }
}

void SerialLane::gather_multi() {
  if (std::exchange(open_.multi_sent, true)) return;
  writing_.add(multi_wire);
  expect(Expect::ok, 1);
  selected_db_ = 0;
}

bool SerialLane::may_execute() const {
  if (open_.joins_next || !open_.error.empty()) return false;
  if (sent_.empty()) return (fence_ok_ || may_follow_) && (open_.units > 0 || checkpoint_due_);
  return may_follow_ && sent_.size() < GuardRing::max_unjudged && open_.units > 0 && !open_.flushes;
}

void SerialLane::gather_exec() {
  gather_multi();
  std::uint32_t queued = 1;
  const auto add = [&](Bytes command) {
    writing_.add_own(std::move(command));
    ++queued;
  };
  const OwnKeys& keys = claim_.keys();
  if (open_.swapped_with >= 0) {
    add(select_command(open_.swapped_with));
    add(make_command({"DEL", keys.record, keys.lease, keys.fence}));
    selected_db_ = open_.swapped_with;
  }
  if (selected_db_ != 0) {
    writing_.add(select_0_wire);
    ++queued;
  }
  if (open_.flushes) {
    add(make_command({"SET", keys.lease, claim_.token(), "PX", std::to_string(claim_.lease_ms())}));
    add(make_command({"DEL", keys.fence}));
    add(make_command({"HSET", keys.fence, claim_.token(), "1"}));
  }
  const Offset last_end = sent_.empty() ? record_->offset : sent_.back().end;
  if (open_.end < last_end) {  // nothing but copies
    open_.end = last_end;
    open_.end_db = sent_.empty() ? last_db_ : sent_.back().end_db;
  }
  // Behind the last unit only what brings the target nothing; unless more of its batch is to come.
  if (!settle_at(write_) && noted_ >= open_.end) {
    open_.end = noted_;
    open_.end_db = noted_db_;
  }
  writing_.add_own(record_command());
  expect(Expect::queued, queued);
  gather_guards();
  writing_.add(exec_wire);
  expect(Expect::exec, 1);
  checkpoint_due_ = false;

  open_.exec_at = Clock::now();
  open_.judged = record_->judged;
  sent_units_ += open_.units;
  sent_.push_back(std::exchange(open_, Transaction()));
  gather_prologue();
}

// More waits behind a full one.
void SerialLane::gather_guards() {
  may_follow_ = false;
  open_.is_full = is_full();
  if (open_.flushes) {
    ring_at_.reset();
  } else if (open_.is_full && ring_at_) {
    ring_at_ = GuardRing::next(*ring_at_);
    writing_.add(ring_.step(*ring_at_));
    expect(Expect::queued, GuardRing::step_commands);
    may_follow_ = true;
  } else if (open_.is_full) {
    ring_at_ = 0;
    writing_.add(ring_.anew());
    expect(Expect::queued, GuardRing::anew_commands);
  }
}

Bytes SerialLane::record_command() const {
  Record record = *record_;
  record.offset = open_.end;
  Bytes text;
  append_record(text, record);
  return make_command({"SET", claim_.keys().record, text});
}

// Watched before the next MULTI: whoever takes over touches the fence, and our EXEC does nothing.
void SerialLane::gather_prologue() {
  fence_ok_ = false;
  writing_.add_own(make_command({"WATCH", claim_.keys().fence}));
  expect(Expect::ok, 1);
  if (may_follow_) {
    writing_.add(ring_.check(*ring_at_));
    expect(Expect::guard, GuardRing::check_commands);
  } else {
    writing_.add_own(make_command({"HEXISTS", claim_.keys().fence, claim_.token()}));
    expect(Expect::fence, 1);
  }
}

void SerialLane::gather_take_back() {
  writing_.add(open_.multi_sent ? discard_wire : unwatch_wire);
  expect(Expect::take_back, 1);
}

// Without memory no transaction is accepted, not even one that would free some: the deletes at the
// head of the queue go alone, and again in their transaction later.
void SerialLane::gather_relief() {
  Cursor at = judged_;
  std::int32_t db = 0;
  std::uint32_t replies = 0;
  for (std::size_t n = 0; n < relief_max_units && settle_at(at); ++n, ++at.unit) {
    const LaneBatch& batch = batch_at(at);
    const Unit& unit = batch.units[at.unit];
    if (!frees_memory(unit.wire)) break;
    if (unit.db != db) {
      writing_.add_own(select_command(unit.db));
      ++replies;
      db = unit.db;
    }
    writing_.add(unit.wire, batch.cargo);
    ++replies;
  }
  if (db != 0) {
    writing_.add(select_0_wire);
    ++replies;
  }
  if (replies > 0) expect(Expect::bare, replies);
}

void SerialLane::expect(Expect what, std::uint32_t count) {
  if (!due_.empty() && due_.back().what == what) {
    due_.back().count += count;
  } else {
    due_.push_back({what, count});
  }
}

}  // namespace keyferry
