#include "keyferry/sink/lane.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {
namespace {

constexpr std::size_t in_flight_max_bytes = 2 * 1024 * 1024;
constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t body_piece_bytes = 256 * 1024;

}  // namespace

Lane::Lane(const asio::any_io_executor& executor, const EndOptions& options, HostPort target,
           LaneEvents& events)
    : executor_(executor),
      options_(options),
      target_(std::move(target)),
      events_(events),
      connection_(executor),
      wake_(executor) {}

Task<Error> Lane::run() {
  Backoff backoff(Millis(20), Millis(2000));
  TimePoint healthy = Clock::now();
  while (!stopping_) {
    Error error = co_await connection_.open(options_, target_, "lane");
    if (!error && import_source) error = co_await say_import_source();
    if (!error && events_.highest_db > 0) {
      const Millis limit(options_.connect_timeout_ms);
      error = co_await check_database(connection_, events_.highest_db, limit);
    }
    if (!error && !stopping_ && events_.greet) error = co_await events_.greet(*this, connection_);
    if (!error && !stopping_) {
      healthy = Clock::now();
      backoff.reset();
      error = co_await serve();
      healthy = Clock::now();
      ++stats_.reconnects;
    }
    if (stopping_) break;
    error = with_context(fmt::format("target {}:{}", target_.host, target_.port), std::move(error));
    events_.disconnected(*this, error);
    const bool is_final =
        error.is(Errc::refused_by_peer) || error.is(Errc::usage) || error.is(Errc::disk);
    if (is_final) co_return error;
    if (elapsed_ms(healthy, Clock::now()) > options_.reconnect_max_s * 1000) {
      co_return with_context(fmt::format("no working link for {} s", options_.reconnect_max_s),
                             std::move(error));
    }
    // New work wakes us too, but is no reason to try again sooner.
    const TimePoint next = Clock::now() + backoff.next();
    while (!stopping_ && Clock::now() < next) {
      co_await wake_.wait_for(Millis(elapsed_ms(Clock::now(), next) + 1));
    }
  }
  co_return Error();
}

// A server that no longer is in import mode says no: not our business here.
Task<Error> Lane::say_import_source() {
  const Bytes command = make_command({"CLIENT", "IMPORT-SOURCE", "ON"});
  auto reply = co_await connection_.call(command, Millis(options_.connect_timeout_ms));
  co_return reply ? Error() : reply.error();
}

// One connection, until it breaks. Replies are read while commands are written, or both ends would
// block.
Task<Error> Lane::serve() {
  selected_db_ = 0;
  connected_ = true;
  progress_ = Clock::now();
  Scope scope(executor_);
  scope.spawn(write_loop());
  Error read_error = co_await read_loop();
  connected_ = false;
  connection_.close();
  wake_.notify();
  Error write_error = co_await scope.join();
  disconnect();
  co_return read_error ? read_error : write_error;
}

void Lane::stop() {
  stopping_ = true;
  connected_ = false;
  connection_.close();
  wake_.notify();
}

void Lane::submit(LaneBatch batch) {
  total_units_ += batch.units.size();
  queue_.push_back(std::move(batch));
  wake_.notify();
}

void Lane::discard() {
  if (queue_.empty()) return;
  connected_ = false;
  connection_.close(true);  // its answers are nobody's any more
  frozen_.clear();
  queue_.clear();
  write_batch_ = write_unit_ = reply_unit_ = 0;
  total_units_ = 0;
  front_ = Answered();
  wake_.notify();
}

Task<Error> Lane::write_loop() {
  while (connected_) {
    gather();
    if (writing_.empty()) {
      co_await wake_.wait();
      continue;
    }
    Error error = co_await connection_.stream().write(writing_.buffers());
    if (!error && sending_) error = co_await write_body(std::exchange(sending_, nullptr));
    if (error) {
      connection_.close();
      co_return error;
    }
    stats_.sent_bytes += writing_.size_bytes();
  }
  co_return Error();
}

Task<Error> Lane::write_body(std::shared_ptr<const Cargo> cargo) {
  const LargeBody& body = *cargo->body;
  std::vector<char> piece(body_piece_bytes);
  std::uint64_t at = 0;
  while (at < body.text.size_bytes()) {
    auto n = co_await body.text.read(at, piece.data(), piece.size());
    if (!n) co_return n.error();
    if (!connected_) co_return Error(Errc::cancelled, "stopped");
    Error error = co_await connection_.stream().write(ByteView(piece.data(), *n));
    if (error) co_return error;
    at += *n;
    progress_ = Clock::now();  // it takes what we send
  }
  stats_.sent_bytes += at + body.tail.size();
  co_return co_await connection_.stream().write(ByteView(body.tail));
}

// Collects the next write from the write cursor on.
void Lane::gather() {
  writing_.clear();
  sending_.reset();
  if (in_flight_ == 0) progress_ = Clock::now();
  while (write_batch_ < queue_.size()) {
    LaneBatch& batch = queue_[write_batch_];
    if (write_unit_ == batch.units.size()) {
      ++write_batch_;
      write_unit_ = 0;
      continue;
    }
    Unit& unit = batch.units[write_unit_];
    if (!unit.is_gone) {
      if (writing_.is_full() || in_flight_bytes_ >= in_flight_max_bytes) return;
      unit.select_sent = unit.db != selected_db_;
      if (unit.select_sent) {
        writing_.add_own(make_command({"SELECT", std::to_string(unit.db)}));
        selected_db_ = unit.db;
      }
      writing_.add(unit.wire, batch.cargo);
      ++in_flight_;
      in_flight_bytes_ += unit.wire.size();
      if (unit.body != nullptr) sending_ = batch.cargo;
    }
    ++write_unit_;
    if (sending_) return;
  }
}

Task<Error> Lane::read_loop() {
  std::vector<char> buffer(read_bytes);
  while (connected_) {
    auto n = co_await connection_.stream().read_some(buffer.data(), buffer.size());
    if (!n) co_return n.error();
    progress_ = Clock::now();
    Error error = scan(ByteView(buffer.data(), *n));
    if (error) co_return error;
    if (write_batch_ < queue_.size()) wake_.notify();
  }
  co_return Error(Errc::cancelled, "stopped");
}

Error Lane::scan(ByteView bytes) {
  while (!bytes.empty()) {
    switch (scanner_.next(bytes)) {
      case ReplyScanner::Status::need_more:
        return Error();
      case ReplyScanner::Status::element:  // never from next()
      case ReplyScanner::Status::corrupt:
        return Error(Errc::unreachable, "a reply is not RESP");
      case ReplyScanner::Status::done:
        if (in_flight_ == 0) return Error(Errc::unreachable, "a reply that nothing was sent for");
        on_reply();
    }
  }
  return Error();
}

void Lane::on_reply() {
  pass_gone();
  const Unit& unit = queue_.front().units[reply_unit_];
  if (!scanner_.error().empty() && unit_error_.empty()) unit_error_ = scanner_.error();
  if (++unit_replies_ < unit.replies + (unit.select_sent ? 1 : 0)) return;
  finish_unit();
}

// All replies of the unit at the reply cursor are in.
void Lane::finish_unit() {
  LaneBatch& batch = queue_.front();
  Unit& unit = batch.units[reply_unit_++];
  --in_flight_;
  --total_units_;
  in_flight_bytes_ -= unit.wire.size();
  unit_replies_ = 0;

  const auto answered = [&] {
    ++front_.units;
    front_.commands += unit.commands;
    front_.bytes += unit.wire.size();
    if (events_.suspects != nullptr && !events_.suspects->empty()) events_.answered(unit);
  };
  if (unit_error_.empty() && frozen_.empty()) {
    answered();
  } else {
    HeldUnit held{unit, batch.cargo, batch.ticket, batch.received};
    const std::string error = std::exchange(unit_error_, std::string());
    const auto frozen = frozen_.find(unit.slot);
    if (frozen != frozen_.end()) {
      frozen->second.keeps_accepted = frozen->second.keeps_accepted && error.empty();
      if (frozen->second.keeps_accepted) {
        answered();
      } else {
        // Behind a refusal: sent again whatever the answer was, or the order would change.
        events_.held(std::move(held));
      }
      if (--frozen->second.in_flight == 0) {
        const Slot slot = frozen->first;
        frozen_.erase(frozen);
        events_.thawed(slot);
      }
    } else if (!error.empty()) {
      events_.refused(*this, std::move(held), error);
    } else {
      answered();
    }
  }
  pass_gone();
}

// Moves the reply cursor over units that have left the lane, and completes batches whose end it
// reaches.
void Lane::pass_gone() {
  while (!queue_.empty()) {
    LaneBatch& batch = queue_.front();
    while (reply_unit_ < batch.units.size() && batch.units[reply_unit_].is_gone)
      ++reply_unit_;
    if (reply_unit_ < batch.units.size()) return;
    events_.completed(batch, std::exchange(front_, Answered()));
    reply_unit_ = 0;
    if (write_batch_ > 0) {
      --write_batch_;
    } else {
      write_unit_ = 0;
    }
    queue_.pop_front();
  }
}

std::size_t Lane::freeze(Slot slot, Freeze why, std::deque<HeldUnit>& unsent) {
  std::size_t in_flight = 0;
  for (std::size_t b = 0; b < queue_.size(); ++b) {
    LaneBatch& batch = queue_[b];
    for (std::size_t u = b == 0 ? reply_unit_ : 0; u < batch.units.size(); ++u) {
      Unit& unit = batch.units[u];
      if (unit.slot != slot || unit.is_gone) continue;
      const bool sent = b < write_batch_ || (b == write_batch_ && u < write_unit_);
      if (sent) {
        ++in_flight;
        continue;
      }
      unsent.push_back({unit, batch.cargo, batch.ticket, batch.received});
      unit.is_gone = true;
      --total_units_;
    }
  }
  if (in_flight > 0) frozen_[slot] = {in_flight, why == Freeze::for_new_owner};
  if (in_flight_ == 0) pass_gone();
  return in_flight;
}

// From the reply cursor to the write cursor.
void Lane::mark_sent() {
  for (std::size_t b = 0; b <= write_batch_ && b < queue_.size(); ++b) {
    std::vector<Unit>& units = queue_[b].units;
    const std::size_t end = b == write_batch_ ? write_unit_ : units.size();
    for (std::size_t u = b == 0 ? reply_unit_ : 0; u < end; ++u)
      units[u].was_sent = true;
  }
}

// The connection is gone: what was sent and not answered will be sent again. Units of frozen slots
// leave instead.
void Lane::disconnect() {
  scanner_ = ReplyScanner();
  unit_replies_ = 0;
  unit_error_.clear();
  stats_.resent_units += in_flight_;
  in_flight_ = 0;
  in_flight_bytes_ = 0;
  mark_sent();
  write_batch_ = 0;
  write_unit_ = reply_unit_;
  const auto frozen = std::exchange(frozen_, {});
  for (std::size_t b = 0; b < queue_.size() && !frozen.empty(); ++b) {
    LaneBatch& batch = queue_[b];
    for (std::size_t u = b == 0 ? reply_unit_ : 0; u < batch.units.size(); ++u) {
      Unit& unit = batch.units[u];
      if (unit.is_gone || !frozen.contains(unit.slot)) continue;
      events_.held({unit, batch.cargo, batch.ticket, batch.received});
      unit.is_gone = true;
      --total_units_;
    }
  }
  pass_gone();
  for (const auto& [slot, count] : frozen)
    events_.thawed(slot);
}

void Lane::stay_with(const HostPort& master) {
  if (connected_ && connection_.host() != master) connection_.close(true);
}

void Lane::check_timeout(TimePoint now) {
  if (!connected_ || in_flight_ == 0 || elapsed_ms(progress_, now) <= options_.reply_timeout_ms)
    return;
  log_warn("target gives no reply: target={}:{} waited_ms={}", target_.host, target_.port,
           elapsed_ms(progress_, now));
  connection_.close();
}

}  // namespace keyferry
