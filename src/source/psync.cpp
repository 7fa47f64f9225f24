#include "keyferry/source/psync.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr std::size_t smallest_read_bytes = 16 * 1024;
constexpr Millis ack_interval{1000};
constexpr Millis turn_pause{20};
constexpr Millis full_sync_turn_poll{20};
// While the snapshot comes: its end may lie in the spool, and every ACK that could start the stream
// counts.
constexpr Millis snapshot_ack_interval{200};

std::string where(const EndOptions& options) {
  return "source " + redacted(options.uri);
}

// What managed services answer, and ACLs (Redis 6.0).
bool is_forbidden(ByteView error) {
  return error.find("NOPERM") != ByteView::npos || error.find("unknown command") != ByteView::npos;
}

// A source that keeps breaking off its snapshot is not asked for another one for ever.
constexpr int broken_snapshots_max = 5;

// Tried again after a pause; anything else ends the run.
bool may_retry(const Error& error) {
  return !error.is(Errc::corrupt) && !error.is(Errc::refused_by_peer) &&
         !error.is(Errc::cancelled) && !error.is(Errc::disk);
}

}  // namespace

std::optional<Offset> PsyncState::received_offset() const {
  if (!snapshot_wire_bytes) return std::nullopt;
  return full_sync_offset + static_cast<Offset>(wire_bytes - *snapshot_wire_bytes);
}

void PsyncState::stand_at(Offset offset) {
  full_sync_offset = offset;
  wire_bytes = 0;
  snapshot_wire_bytes = 0;
}

Psync::Psync(const asio::any_io_executor& executor, const EndOptions& options,
             std::string psync_command, SlabBudget& budget, Intake& intake, PsyncState& state)
    : executor_(executor),
      options_(options),
      psync_command_(std::move(psync_command)),
      budget_(budget),
      intake_(intake),
      state_(state),
      connection_(executor),
      ack_(executor),
      halt_(executor) {}

// The life cycle: follow the link until it breaks, wait, follow again.
Task<Error> Psync::run() {
  Scope scope(executor_);
  scope.spawn(acknowledge());
  Error error = co_await read_all();
  intake_.close();
  stop();
  Error ack_error = co_await scope.join();
  co_return error;
}

Task<Error> Psync::read_all() {
  Backoff backoff(Millis(100), Millis(5000));
  TimePoint healthy = Clock::now();
  int broken_snapshots = 0;
  while (!stopping_) {
    turned_ = false;
    const bool has_waited = co_await wait_for_turn();
    if (has_waited) healthy = Clock::now();
    Error error;
    if (!stopping_ && !turned_) error = co_await follow_once();
    if (turn.give_back) turn.give_back();
    connection_.close();
    acks_on_ = false;
    if (stopping_) break;
    if (turned_) {  // broken off on purpose
      state_.link_up = false;
      healthy = Clock::now();
      co_await halt_.wait_for(turn_pause);
      continue;
    }
    if (std::exchange(state_.link_up, false)) {
      backoff.reset();
      healthy = Clock::now();
    }
    error = with_context(where(options_), std::move(error));
    state_.last_error = error.what;
    if (state_.ever_linked && !state_.snapshot_wire_bytes && !state_.replid.empty() &&
        ++broken_snapshots > broken_snapshots_max) {
      co_return with_context(fmt::format("the snapshot broke off {} times", broken_snapshots_max),
                             std::move(error));
    }
    if (state_.snapshot_wire_bytes) broken_snapshots = 0;
    // Before the first link nothing has been promised yet: say at once what is wrong.
    if (!state_.ever_linked || !may_retry(error)) co_return error;
    if (elapsed_ms(healthy, Clock::now()) > options_.reconnect_max_s * 1000) {
      co_return with_context(fmt::format("no working link for {} s", options_.reconnect_max_s),
                             std::move(error));
    }
    const Millis pause = backoff.next();
    log_warn("link to the source lost, trying again: error=\"{}\" wait_ms={}", error.what,
             pause.count());
    ++state_.reconnects;
    co_await halt_.wait_for(pause);
  }
  co_return Error();
}

bool Psync::needs_turn() const {
  return turn_wanted_ || state_.replid.empty() || !state_.received_offset();
}

// True when there was something to wait for. The end of a snapshot that is still being decoded may
// make a full sync unnecessary meanwhile.
Task<bool> Psync::wait_for_turn() {
  if (!turn.take) co_return false;
  while (!stopping_ && !turned_ && needs_turn() && !turn.take(host().host)) {
    if (!std::exchange(state_.waits_for_turn, true))
      log_info("waiting for its turn: source={}", redacted(options_.uri));
    co_await halt_.wait_for(full_sync_turn_poll);
  }
  co_return std::exchange(state_.waits_for_turn, false);
}

HostPort Psync::host() const {
  const HostPort first = options_.uri.hosts.empty() ? HostPort() : options_.uri.hosts.front();
  return place ? place().value_or(first) : first;
}

// One connection: connect, greet, sync, receive until it breaks.
Task<Error> Psync::follow_once() {
  const HostPort from = host();
  Error error = co_await connection_.open(options_, from, "source");
  state_.handshaking = !error;
  const HostPort& master = connection_.host();
  if (!error && !master.host.empty())
    state_.master = fmt::format("{}:{}", master.host, master.port);
  if (!error) error = co_await greet();
  if (!error) error = co_await request_sync();
  state_.handshaking = false;
  if (!error) error = co_await receive();
  co_return error;
}

Task<Error> Psync::greet() {
  const std::string local = connection_.stream().local_address();
  for (const Bytes& command : greeting(announced_port ? announced_port(local) : std::uint16_t(0))) {
    auto reply = co_await connection_.call(command, Millis(options_.connect_timeout_ms));
    if (!reply) co_return reply.error();
    Error error = judge_greeting(*reply);
    if (error) {
      state_.is_forbidden = is_forbidden(error.what);
      co_return error;
    }
  }
  co_return Error();
}

// Where the source may not be asked, its answer to PSYNC decides alone.
Task<Error> Psync::compare_histories() {
  const Bytes command = make_command({"INFO", "replication"});
  auto reply = co_await connection_.call(command, Millis(options_.reply_timeout_ms));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error();
  const auto end = co_await meet_history(std::move(reply->text));
  if (turned_) co_return Error(Errc::cancelled, "another stream is wanted");
  if (end) state_.stand_at(*end);
  co_return Error();
}

Task<Error> Psync::request_sync() {
  // The exact byte to go on at is known only once the decoder has found the end of the snapshot.
  if (!state_.replid.empty() && !state_.snapshot_wire_bytes) co_await intake_.drained();
  const bool follows = state_.ever_linked && !state_.replid.empty() && !begins_elsewhere_;
  if (meet_history && follows && state_.received_offset()) {
    Error error = co_await compare_histories();
    if (error) co_return error;
  }
  std::optional<ReplicationPosition> resume;
  if (const auto offset = state_.received_offset(); offset && !state_.replid.empty()) {
    resume.emplace();
    resume->replid = state_.replid;
    resume->offset = *offset;
  }
  const Bytes request = psync_request(psync_command_, resume);
  Error error = co_await with_deadline(Millis(options_.connect_timeout_ms),
                                       connection_.stream().write(request));
  if (error) co_return error;

  while (true) {
    auto line = co_await connection_.read_line(Millis(options_.reply_timeout_ms));
    if (!line) co_return line.error();
    if (turned_) co_return Error(Errc::cancelled, "another stream is wanted");
    PsyncAnswer answer = judge_psync(*line);
    switch (answer.kind) {
      case PsyncAnswer::Kind::keep_alive:
        continue;
      case PsyncAnswer::Kind::full_sync:
        if (may_full_sync && !may_full_sync())
          co_return Error(Errc::unreachable, "may not be the master any more");
        if (turn.take && !turn.take(host().host)) {
          turn_wanted_ = turned_ = true;
          co_return Error(Errc::cancelled, "has to wait for its turn");
        }
        co_return co_await begin_full_sync(std::move(answer.position));
      case PsyncAnswer::Kind::go_on:
        if (!resume)
          co_return Error(Errc::corrupt, "CONTINUE in answer to a request for a full sync");
        turn_wanted_ = false;
        if (turn.give_back) turn.give_back();
        if (!answer.position.replid.empty()) state_.replid = answer.position.replid;
        if (on_history) on_history(state_.replid);
        log_info("source continues the stream: replid={} offset={}", state_.replid, resume->offset);
        state_.link_up = state_.ever_linked = acks_on_ = true;
        if (std::exchange(begins_elsewhere_, false)) {
          Intake::FullSync start;
          start.position.replid = state_.replid;
          start.position.offset = resume->offset;
          co_await intake_.restart(std::move(start));
        }
        co_return Error();
      case PsyncAnswer::Kind::retry:
        co_return Error(Errc::unreachable, "not ready to replicate: " + answer.reason);
      case PsyncAnswer::Kind::refused:
        state_.is_forbidden = is_forbidden(answer.reason);
        co_return Error(Errc::refused_by_peer, psync_command_ + " refused: " + answer.reason);
      case PsyncAnswer::Kind::corrupt:
        co_return Error(Errc::corrupt, "answer to PSYNC is not understood: " + answer.reason);
    }
  }
}

Task<Error> Psync::begin_full_sync(ReplicationPosition position) {
  std::optional<SnapshotFrame> frame;
  while (!frame) {
    auto line = co_await connection_.read_line(Millis(options_.reply_timeout_ms));
    if (!line) co_return line.error();
    if (line->starts_with("-")) co_return Error(Errc::unreachable, "full sync failed: " + *line);
    auto parsed = parse_snapshot_frame(*line);
    if (!parsed) co_return parsed.error();
    frame = std::move(*parsed);
  }
  log_info("full sync begins: replid={} offset={} form={}", position.replid, position.offset,
           frame->length ? fmt::format("{} bytes", *frame->length) : "diskless");
  state_.replid = position.replid;
  state_.full_sync_offset = position.offset;
  state_.wire_bytes = 0;
  state_.snapshot_wire_bytes.reset();
  state_.ack_offset = 0;
  ++state_.full_syncs;
  begins_elsewhere_ = turn_wanted_ = false;
  state_.link_up = state_.ever_linked = acks_on_ = true;
  Intake::FullSync full_sync;
  full_sync.position = std::move(position);
  full_sync.frame = std::move(*frame);
  co_await intake_.restart(std::move(full_sync));
  co_return Error();
}

Task<Error> Psync::receive() {
  SlabRef slab = make_slab(budget_);
  const Bytes unread = connection_.take_unread();
  Intake::Chunk chunk;
  if (!unread.empty() && !turned_) {
    chunk.slab = slab;
    chunk.bytes = slab->append(unread);
    chunk.received = Clock::now();
    chunk.at = state_.received_offset();
    state_.wire_bytes += unread.size();
    Error error = co_await intake_.push(std::move(chunk), pressure);
    if (error) co_return error;
  }
  while (reading_ && !stopping_ && !turned_) {
    if (slab->tail_size() < smallest_read_bytes) slab = make_slab(budget_);
    reading_since_ = state_.last_read = Clock::now();
    auto n = co_await connection_.stream().read_some(slab->tail(), slab->tail_size());
    reading_since_.reset();
    if (!n) co_return n.error();
    if (turned_) break;  // its bytes do not count any more
    state_.last_read = Clock::now();
    state_.source_bytes += *n;
    chunk = Intake::Chunk();
    chunk.at = state_.received_offset();
    state_.wire_bytes += *n;
    chunk.slab = slab;
    chunk.bytes = slab->commit(*n);
    chunk.received = state_.last_read;
    Error error = co_await intake_.push(std::move(chunk), pressure);
    if (error) co_return error;
    co_await wait_for_share(*n);
  }
  while (!stopping_ && !turned_)
    co_await halt_.wait();
  co_return Error(Errc::cancelled, "stopped");
}

// The limit may change, and the source come under pressure, while we wait.
Task<void> Psync::wait_for_share(std::size_t bytes) {
  constexpr Millis look_again{100};
  if (!throttle) co_return;
  Millis wait = throttle(bytes);
  while (wait > Millis(0) && reading_ && !stopping_) {
    co_await halt_.wait_for(std::min(wait, look_again));
    wait = throttle(0);
  }
}

// REPLCONF ACK from the start of the snapshot on, later once a second: a diskless master starts the
// stream only at an ACK that comes after it has reaped its child, and takes a silent replica for
// dead after repl-timeout.
Task<Error> Psync::acknowledge() {
  while (!stopping_) {
    // Until the stream has begun: see below.
    const bool in_stream =
        state_.snapshot_wire_bytes && state_.wire_bytes > *state_.snapshot_wire_bytes;
    co_await ack_.wait_for(in_stream ? ack_interval : snapshot_ack_interval);
    if (stopping_ || !acks_on_) continue;
    // A master pings its replicas every 10 s by default; a link silent for this long is dead.
    if (reading_since_ &&
        elapsed_ms(*reading_since_, Clock::now()) > 2 * options_.reply_timeout_ms) {
      log_warn("the source has been silent for {} ms", 2 * options_.reply_timeout_ms);
      connection_.close();
      continue;
    }
    const Bytes ack = ack_command(state_.ack_offset);
    Error error =
        co_await with_deadline(Millis(options_.reply_timeout_ms), connection_.stream().write(ack));
    if (error) connection_.close();
  }
  co_return Error();
}

void Psync::stop() {
  stopping_ = true;
  connection_.close();
  ack_.notify();
  halt_.notify();
}

void Psync::stop_reading() {
  reading_ = false;
}

void Psync::ack_now() {
  ack_.notify();
}

void Psync::go_on_at(const ReplicationPosition& position) {
  follow_from(position);
  begins_elsewhere_ = true;
}

void Psync::follow_from(const ReplicationPosition& position) {
  state_.replid = position.replid;
  state_.stand_at(position.offset);
  begins_elsewhere_ = turn_wanted_ = false;
  turned_ = true;
  connection_.close();
  halt_.notify();
}

void Psync::resync() {
  state_.replid.clear();
  state_.snapshot_wire_bytes.reset();
  turned_ = true;
  connection_.close();
  halt_.notify();
}

}  // namespace keyferry
