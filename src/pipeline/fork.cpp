// Pipeline: the source has failed over, and its old master sent us more than the new one had. When
// none of that has an effect it is as if it had never come, and the stream goes on at the fork.
#include "keyferry/base/log.hpp"
#include "keyferry/pipeline/pipeline.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t apply_limit_ms = 10000;
constexpr Millis apply_poll{5};

}  // namespace

// Everything that was received has been looked at and is at the target, and nobody asks the old
// master for copies of keys.
bool Pipeline::is_all_applied() const {
  return source_.received_offset() == decoder_.received() && !is_decoding_ && !gate_closed_ &&
         sink_.is_idle();
}

// While the link is down. The result: where what was received ends now.
Task<std::optional<Offset>> Pipeline::meet_history(Bytes info) {
  ReplicationPosition received;
  received.replid = source_.replid;
  received.offset = source_.received_offset().value_or(0);
  const auto fork = read_history(info).fork_below(received);
  const auto still = [&] {
    return in_stream_ && !resume_ && !draining_ && !finished_ &&
           source_.replid == received.replid && source_.received_offset() == received.offset;
  };
  if (!fork) co_return std::nullopt;
  const TimePoint begin = Clock::now();
  while (still() && !is_all_applied() && decoder_.effects().offset <= *fork &&
         elapsed_ms(begin, Clock::now()) < apply_limit_ms)
    co_await halt_.wait_for(apply_poll);
  if (!still() || !is_all_applied() || !go_back_to(*fork)) {
    log_info(
        "the source has failed over to one that had received less: fork={} effects_end={} "
        "received={}",
        *fork, decoder_.effects().offset, received.offset);
    co_return std::nullopt;
  }
  log_info(
      "the source has failed over to one that had received less; what came behind it was without "
      "effect: fork={} bytes={}",
      *fork, received.offset - *fork);
  co_return fork;
}

// What the old master began and did not end, a command or a transaction, had no effect either. The
// database: whoever becomes a master selects one before its first command (Redis 7.0 replication.c
// replicationUnsetMaster).
bool Pipeline::go_back_to(Offset fork) {
  if (decoder_.effects().offset > fork || !sink_.go_back_to(fork)) return false;
  if (kept_) kept_->forget(source_.replid);
  watermark_.reset(fork);
  decoder_.start(fork, decoder_.db());
  readings_.clear();
  getack_at_.reset();
  on_progress();
  return true;
}

}  // namespace keyferry
