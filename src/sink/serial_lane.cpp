// SerialLane: the connection, from one loss to the next.
#include "keyferry/sink/serial_lane.hpp"

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr std::uint64_t transaction_start_units = 64;
constexpr std::size_t read_bytes = 64 * 1024;
constexpr std::size_t wanted_least_bytes = 1024 * 1024;
constexpr std::size_t wanted_most_bytes = 16 * 1024 * 1024;
constexpr std::size_t wanted_bytes_per_us = 200;  // of a round trip

}  // namespace

SerialLane::SerialLane(const asio::any_io_executor& executor, const Options& options,
                       HostPort target, Claim& claim, SerialEvents& events)
    : executor_(executor),
      options_(options),
      target_(std::move(target)),
      claim_(claim),
      events_(events),
      connection_(executor),
      wake_(executor),
      ring_(claim.keys().fence, claim.token()),
      transaction_max_units_(transaction_start_units) {}

void SerialLane::begin(Record record) {
  noted_ = recorded_ = record.offset;
  noted_db_ = last_db_ = record.db;
  record_ = std::move(record);
  wake_.notify();
}

Task<Error> SerialLane::run() {
  Backoff backoff(Millis(20), Millis(2000));
  TimePoint healthy = Clock::now();
  while (!stopping_) {
    if (!record_) {
      co_await wake_.wait();
      healthy = Clock::now();
      continue;
    }
    Error error = co_await connect();
    if (!error && !stopping_ && record_) {
      backoff.reset();
      error = co_await serve();
      healthy = Clock::now();
      ++stats_.reconnects;
    }
    connection_.close(true);
    if (stopping_ || !record_) continue;
    error = with_context(fmt::format("target {}:{}", target_.host, target_.port), std::move(error));
    if (error.is(Errc::usage) || error.is(Errc::refused_by_peer) || error.is(Errc::data_refused))
      co_return error;
    events_.disconnected(error);
    if (elapsed_ms(healthy, Clock::now()) > options_.target.reconnect_max_s * 1000) {
      co_return with_context(
          fmt::format("no working link for {} s", options_.target.reconnect_max_s),
          std::move(error));
    }
    const TimePoint next = Clock::now() + backoff.next();
    while (!stopping_ && Clock::now() < next)
      co_await wake_.wait_for(Millis(elapsed_ms(Clock::now(), next) + 1));
  }
  co_return Error();
}

// A connection of its own, the last one's remains killed, and the record read: then it is known
// what took place.
Task<Error> SerialLane::connect() {
  Error error = co_await connection_.open(options_.target, target_, "stream");
  if (error) co_return error;
  if (import_source) {
    const Bytes command = make_command({"CLIENT", "IMPORT-SOURCE", "ON"});
    auto reply = co_await connection_.call(command, Millis(options_.target.connect_timeout_ms));
    if (!reply) co_return reply.error();
  }
  auto record = co_await claim_.greet(connection_, client_id_);
  if (!record) co_return record.error();
  co_return catch_up_with(*record);
}

// Units that the record covers were executed, but nobody has read how they were answered.
Error SerialLane::catch_up_with(const std::optional<Record>& found) {
  if (!record_) return Error(Errc::cancelled, "the stream is being set up anew");
  const bool stands = found && found->generation == record_->generation &&
                      found->state == Record::State::complete && found->offset >= record_->offset;
  if (!stands) {
    record_.reset();
    events_.lost(found);
    return Error(Errc::cancelled, "the target does not stand where it was");
  }
  while (settle_at(judged_)) {
    if (judged_.batch != first_batch_) pop_finished();
    const Unit& unit = batch_at(judged_).units[judged_.unit];
    if (unit.end > found->offset) break;
    events_.doubtful(unit);
    answer(unit);
    ++judged_.unit;
  }
  pop_finished();
  write_ = judged_;
  for (const auto& [end, db] : unjudged_ends_) {
    if (end > record_->offset && end <= found->offset) last_db_ = db;
  }
  unjudged_ends_.clear();
  record_->offset = found->offset;
  recorded_ = found->judged;
  return Error();
}

Task<Error> SerialLane::serve() {
  connected_ = true;
  progress_ = Clock::now();
  gather_prologue_next_ = true;
  Scope scope(executor_);
  scope.spawn(write_loop());
  Error read_error = co_await read_loop();
  connected_ = false;
  connection_.close(true);
  wake_.notify();
  Error write_error = co_await scope.join();
  disconnect();
  co_return read_error ? read_error : write_error;
}

Task<Error> SerialLane::write_loop() {
  while (connected_) {
    gather();
    if (writing_.empty()) {
      const TimePoint now = Clock::now();
      if (not_before_ > now) {
        co_await wake_.wait_for(Millis(elapsed_ms(now, not_before_) + 1));
      } else {
        co_await wake_.wait();
      }
      continue;
    }
    Error error = co_await connection_.stream().write(writing_.buffers());
    if (error) {
      connection_.close(true);
      co_return error;
    }
    stats_.sent_bytes += writing_.size_bytes();
  }
  co_return Error();
}

Task<Error> SerialLane::read_loop() {
  std::vector<char> buffer(read_bytes);
  while (connected_) {
    auto n = co_await connection_.stream().read_some(buffer.data(), buffer.size());
    if (!n) co_return n.error();
    progress_ = Clock::now();
    Error error = scan(ByteView(buffer.data(), *n));
    if (error) co_return error;
    wake_.notify();
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Nothing that was sent and not judged counts; the record will say what of it took place.
void SerialLane::disconnect() {
  stats_.resent_units += in_flight();
  scanner_ = ReplyScanner();
  due_.clear();
  for (const Transaction& transaction : sent_)
    unjudged_ends_.emplace_back(transaction.end, transaction.end_db);
  forget_sent();
  fence_ok_ = false;
}

// All of it is to be written again.
void SerialLane::forget_sent() {
  write_ = judged_;
  sent_.clear();
  sent_units_ = 0;
  open_ = Transaction();
  ring_at_.reset();
  may_follow_ = taking_back_ = take_back_sent_ = select_seen_ = false;
  selected_db_ = 0;
}

void SerialLane::stop() {
  stopping_ = true;
  connected_ = false;
  connection_.close();
  wake_.notify();
}

void SerialLane::discard() {
  record_.reset();
  connected_ = false;
  connection_.close(true);
  first_batch_ += queue_.size();
  queue_.clear();
  judged_ = write_ = Cursor{first_batch_, 0};
  front_ = Answered();
  total_units_ = 0;
  not_before_ = TimePoint();
  wake_.notify();
}

void SerialLane::enter_history(const std::string& replid) {
  if (record_) record_->replid = replid;
}

void SerialLane::submit(LaneBatch batch) {
  total_units_ += batch.units.size();
  queue_.push_back(std::move(batch));
  wake_.notify();
}

std::size_t SerialLane::wanted_bytes() const {
  const auto round_trip_us = static_cast<std::size_t>(fastest_exec_us_);
  return std::clamp(round_trip_us * wanted_bytes_per_us, wanted_least_bytes, wanted_most_bytes);
}

void SerialLane::note_offset(Offset offset, std::int32_t db) {
  noted_ = offset;
  noted_db_ = db;
}

void SerialLane::checkpoint() {
  checkpoint_due_ = recorded_ < noted_;
  if (checkpoint_due_) wake_.notify();
}

void SerialLane::stay_with(const HostPort& master) {
  if (connected_ && connection_.host() != master) connection_.close(true);
}

void SerialLane::check_timeout(TimePoint now) {
  if (!connected_ || due_.empty() || elapsed_ms(progress_, now) <= options_.target.reply_timeout_ms)
    return;
  log_warn("target gives no reply: target={}:{} waited_ms={}", target_.host, target_.port,
           elapsed_ms(progress_, now));
  connection_.close(true);
}

// Moves `at` over what has left the lane; false at the end of the queue.
bool SerialLane::settle_at(Cursor& at) {
  while (at.batch - first_batch_ < queue_.size()) {
    const LaneBatch& batch = batch_at(at);
    while (at.unit < batch.units.size() && batch.units[at.unit].is_gone)
      ++at.unit;
    if (at.unit < batch.units.size()) return true;
    ++at.batch;
    at.unit = 0;
  }
  return false;
}

// The unit at judged_, in the front batch, was executed.
void SerialLane::answer(const Unit& unit) {
  ++front_.units;
  front_.commands += unit.commands;
  front_.bytes += unit.wire.size();
  --total_units_;
}

// Batches whose every unit has been judged or is gone are done.
void SerialLane::pop_finished() {
  settle_at(judged_);
  while (first_batch_ < judged_.batch) {
    events_.completed(queue_.front(), std::exchange(front_, Answered()));
    queue_.pop_front();
    ++first_batch_;
  }
  if (write_ < judged_) write_ = judged_;
}

}  // namespace keyferry
