// Pipeline: limits.*_per_s. What goes to the target is counted where it is decoded; the source is
// held back by reading its socket more slowly, which it sees as a slow replica.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

// So much is decoded at once while a limit holds: some dozen commands.
constexpr std::size_t limited_piece_bytes = 4 * 1024;
constexpr Millis look_again{100};

}  // namespace

void Pipeline::change_limits(const RateChange& change) {
  const auto apply = [](RateLimit& limit, const std::optional<std::int64_t>& wanted) {
    if (wanted) limit.set(*wanted);
  };
  apply(ops_limit_, change.target_ops_per_s);
  apply(bytes_limit_, change.target_bytes_per_s);
  apply(source_limit_, change.source_bytes_per_s);
  log_info("limits: target_ops_per_s={} target_bytes_per_s={} source_bytes_per_s={}",
           ops_limit_.per_second(), bytes_limit_.per_second(), source_limit_.per_second());
}

void Pipeline::spend_target(std::int64_t ops, std::size_t bytes) {
  const TimePoint now = Clock::now();
  ops_limit_.spend(ops, now);
  bytes_limit_.spend(static_cast<std::int64_t>(bytes), now);
}

// Looks again now and then, so that a new limit need not wait for the old one.
Task<void> Pipeline::wait_for_share() {
  while (!finished_) {
    const TimePoint now = Clock::now();
    const Millis wait = std::max(ops_limit_.wait(now), bytes_limit_.wait(now));
    if (wait <= Millis(0)) co_return;
    if (in_snapshot_) sink_.flush_keys();
    co_await halt_.wait_for(std::min(wait, look_again));
  }
}

// A source whose output buffer for us is about to overflow is read all the same: losing the link
// would cost a full sync.
Millis Pipeline::source_wait(std::size_t bytes) {
  const TimePoint now = Clock::now();
  source_limit_.spend(static_cast<std::int64_t>(bytes), now);
  const Millis wait = source_limit_.wait(now);
  if (wait <= Millis(0)) return wait;
  const bool is_urgent = must_spool(psync_.pressure ? psync_.pressure() : SourcePressure());
  return is_urgent ? Millis(0) : wait;
}

Task<Error> Pipeline::decode_limited(const Intake::Chunk& chunk) {
  ByteView rest = chunk.bytes;
  while (!rest.empty() && !finished_) {
    const ByteView piece = rest.substr(0, limited_piece_bytes);
    rest.remove_prefix(piece.size());
    Error error = co_await decode_stream(chunk.slab, piece, chunk.received);
    if (error) co_return error;
    // Whoever waits for the decoder to stand still need not wait for our share.
    is_decoding_ = false;
    co_await wait_for_share();
    is_decoding_ = true;
    co_await wait_for_leave();
  }
  co_return Error();
}

}  // namespace keyferry
