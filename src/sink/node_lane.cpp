// NodeLane: the connection, from one loss to the next.
#include "keyferry/sink/node_lane.hpp"

#include "keyferry/base/log.hpp"
#include "keyferry/sink/cluster_stream.hpp"

namespace keyferry {
namespace {

constexpr std::size_t read_bytes = 64 * 1024;

}  // namespace

NodeLane::NodeLane(const asio::any_io_executor& executor, const Options& options, Endpoint node,
                   std::uint16_t index, ClusterStream& stream)
    : executor_(executor),
      options_(options),
      node_(std::move(node)),
      index_(index),
      stream_(stream),
      connection_(executor),
      asker_(executor),
      turn_(executor),
      wake_(executor) {}

Task<Error> NodeLane::run() {
  Backoff backoff(Millis(20), Millis(1000));
  TimePoint healthy = Clock::now();
  while (!stopping_) {
    if (!stream_.has_begun()) {
      co_await wake_.wait();
      healthy = Clock::now();
      continue;
    }
    Error error = co_await connect();
    if (!error && !stopping_ && stream_.has_begun()) {
      backoff.reset();
      error = co_await serve();
      healthy = Clock::now();
      ++stats_.reconnects;
    }
    connection_.close(true);
    if (stopping_ || !stream_.has_begun()) continue;
    error = with_context("target " + to_string(node_), std::move(error));
    if (error.is(Errc::usage) || error.is(Errc::refused_by_peer) || error.is(Errc::data_refused))
      co_return error;
    stream_.events().disconnected(error);
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

Task<Error> NodeLane::connect() {
  const HostPort host{node_.host, node_.port};
  Error error = co_await connection_.open(options_.target, host, "stream");
  if (error) co_return error;
  error = co_await say_import_source(connection_);
  if (error) co_return error;
  co_return co_await stream_.greet(*this, connection_);
}

// Who does not say so finds no key that has expired: of a slot on the move it would be looked for
// on the other side.
Task<Error> NodeLane::say_import_source(Connection& connection) {
  if (!stream_.import_source) co_return Error();
  const Bytes command = make_command({"CLIENT", "IMPORT-SOURCE", "ON"});
  auto reply = co_await connection.call(command, Millis(options_.target.connect_timeout_ms));
  co_return reply ? Error() : reply.error();
}

Task<Error> NodeLane::serve() {
  connected_ = true;
  selected_ = answered_db_ = 0;
  progress_ = Clock::now();
  stream_.nudge();  // slots may wait for their records to be read here
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

Task<Error> NodeLane::write_loop() {
  while (connected_) {
    gather();
    if (writing_.empty()) {
      co_await wake_.wait();
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

Task<Error> NodeLane::read_loop() {
  std::vector<char> buffer(read_bytes);
  while (connected_) {
    auto n = co_await connection_.stream().read_some(buffer.data(), buffer.size());
    if (!n) co_return n.error();
    progress_ = Clock::now();
    Error error = scan(ByteView(buffer.data(), *n));
    stream_.flush_answered();
    if (error) co_return error;
    wake_.notify();
  }
  co_return Error(Errc::cancelled, "stopped");
}

// What was sent and not answered is sent again, but for transactions: the record will tell.
void NodeLane::disconnect() {
  scanner_ = ReplyScanner();
  queue_error_.clear();
  blamed_.reset();
  in_flight_bytes_ = transactions_ = 0;
  chain_loose(SlotSet().set());
  const Fifo<Shipment> lost = std::exchange(in_flight_, Fifo<Shipment>());
  if (!stream_.has_begun()) return;
  for (const Shipment& shipment : lost) {
    SlotState& state = stream_.slots()[shipment.slot];
    stats_.resent_units += shipment.units;
    if (state.in_flight == 0 && !shipment.is_transaction) continue;
    if (shipment.is_transaction) state.in_doubt = true;
    for (std::uint32_t i = 0; i < state.in_flight; ++i)
      stream_.slots().unit(state.at(i)).was_sent = true;
    state.in_flight = 0;
    state.in_transaction = false;
    stream_.lose(shipment.slot);
  }
}

void NodeLane::stop() {
  stopping_ = true;
  connected_ = false;
  connection_.close();
  asker_.close();
  wake_.notify();
}

void NodeLane::discard() {
  connected_ = false;
  connection_.close(true);
  asker_.close(true);
  bare_.clear();
  ready_.clear();
  in_flight_.clear();
  in_flight_bytes_ = transactions_ = 0;
  wake_.notify();
}

void NodeLane::chain_loose(const SlotSet& slots) {
  struct Found {
    std::vector<std::uint64_t> units;
    std::uint32_t in_flight = 0;
  };
  std::unordered_map<Slot, Found> found;
  for (Shipment& shipment : in_flight_) {
    if (!shipment.is_loose || !slots[shipment.slot]) continue;
    shipment.is_loose = false;
    Found& of_slot = found[shipment.slot];
    of_slot.units.push_back(shipment.at);
    ++of_slot.in_flight;
  }
  for (Bare& bare : bare_) {
    if (bare.epoch != loose_epoch || !slots[bare.slot]) continue;
    bare.epoch = stream_.slots()[bare.slot].epoch;
    found[bare.slot].units.push_back(bare.link.at);
  }
  for (const auto& [slot, of_slot] : found)
    stream_.slots().chain_loose(slot, of_slot.units, of_slot.in_flight);
}

void NodeLane::send_bare(Slot slot, const Link& link, std::uint32_t epoch) {
  append(bare_, {link, epoch, slot});
}

void NodeLane::check_timeout(TimePoint now) {
  if (!connected_ || in_flight_.empty()) return;
  if (elapsed_ms(progress_, now) <= options_.target.reply_timeout_ms) return;
  log_warn("target gives no reply: target={} waited_ms={}", to_string(node_),
           elapsed_ms(progress_, now));
  connection_.close(true);
}

Task<Result<std::vector<RespValue>>> NodeLane::ask(Bytes wire, std::size_t replies) {
  const std::uint64_t epoch = stream_.epoch();
  while (asking_)
    co_await turn_.wait();
  asking_ = true;
  Error error;
  if (!asker_open_) {
    const HostPort host{node_.host, node_.port};
    error = co_await asker_.open(options_.target, host, "records");
    if (!error) error = co_await say_import_source(asker_);
    if (!error) error = co_await stream_.greet_asker(*this, asker_);
    asker_open_ = !error;
    if (error) asker_.close(true);
  }
  // What belongs to a stream that is over must not come behind the reading of the records.
  if (!error && epoch != stream_.epoch())
    error = Error(Errc::cancelled, "the stream is being set up anew");
  Result<std::vector<RespValue>> answer = error;
  if (!error) {
    answer = co_await asker_.call_all(std::move(wire), replies,
                                      Millis(options_.target.reply_timeout_ms));
    if (!answer) {
      asker_.close(true);
      asker_open_ = false;
    }
  }
  asking_ = false;
  turn_.notify();
  co_return answer;
}

}  // namespace keyferry
