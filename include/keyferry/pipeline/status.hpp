// What a running link tells the world: one immutable value, published whole by the pipeline thread
// every 100 ms and read by the HTTP and RESP listeners on theirs. Field names follow the JSON of
// interface "HTTP".
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/verify/summary.hpp"

namespace keyferry {

enum class Phase {
  connecting,
  handshake,
  snapshot,
  catch_up,
  steady,
  draining,
  paused,
  stopped,
  failed
};
const char* to_string(Phase phase);
inline constexpr std::array all_phases = {Phase::connecting, Phase::handshake, Phase::snapshot,
                                          Phase::catch_up,   Phase::steady,    Phase::draining,
                                          Phase::paused,     Phase::stopped,   Phase::failed};

struct LaneStatus {
  std::string target;           // host:port
  std::uint64_t queued = 0;     // units waiting to be sent
  std::uint64_t in_flight = 0;  // units sent and unanswered
};

// Latency received -> acknowledged, weighted by commands. Bucket i counts observations <=
// bounds_s[i].
struct LatencyHistogram {
  static constexpr std::array<double, 14> bounds_s = {
      0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30};
  std::array<std::uint64_t, bounds_s.size() + 1> counts{};  // not cumulative; the last one is +Inf
  double sum_s = 0;
  std::uint64_t count = 0;
  void observe(double seconds, std::uint64_t weight);
};

struct NamedCount {
  std::string name;
  std::uint64_t count = 0;
};

// What the link may use per second; 0 = no limit.
struct RateLimits {
  std::int64_t target_ops_per_s = 0;
  std::int64_t target_bytes_per_s = 0;
  std::int64_t source_bytes_per_s = 0;
};

// What is asked for while the link runs; nullopt: as it was.
struct RateChange {
  std::optional<std::int64_t> target_ops_per_s;
  std::optional<std::int64_t> target_bytes_per_s;
  std::optional<std::int64_t> source_bytes_per_s;
};

// A cutover as it is asked for.
struct CutoverRequest {
  std::optional<std::int64_t> pause_timeout_ms;  // nullopt: cutover.pause_timeout_ms
  bool verify_sample = false;                    // compare some keys of both ends in the pause
};

// The last cutover that was asked for.
struct CutoverStatus {
  enum class State { none, waiting, paused, committed, failed };
  State state = State::none;
  std::uint64_t attempt = 0;  // counts those that were begun
  std::int64_t pause_ms = 0;  // how long writes were held back; known at the end
  std::uint64_t sampled_keys = 0;
  std::string problem;

  bool is_running() const { return state == State::waiting || state == State::paused; }
};
const char* to_string(CutoverStatus::State state);

// How far scan mode is; see scan_link.hpp.
struct ScanStatus {
  std::int32_t db = 0;              // being scanned
  double percent = 0;               // of the pass under way; 100 when there is none
  std::uint64_t pending_keys = 0;   // changed and not yet copied again
  std::uint64_t spilled_keys = 0;   // of those, waiting on disk
  std::uint64_t rescans = 0;        // passes that were begun after the first one
  std::uint64_t notifications = 0;  // events received
};

struct Status {
  Phase phase = Phase::connecting;
  bool synced = false;
  double uptime_s = 0;
  std::optional<std::int64_t> lag_bytes;
  std::optional<std::int64_t> lag_ms;
  std::optional<std::int64_t> clock_skew_ms;  // target minus source, when the link began

  std::uint64_t snapshot_keys_done = 0;
  std::optional<std::uint64_t> snapshot_keys_total;  // from RESIZEDB, a hint
  std::uint64_t snapshot_bytes_done = 0;
  std::optional<std::uint64_t> snapshot_bytes_total;  // known for the $<len> form only
  std::optional<double> snapshot_eta_s;

  std::int64_t applied_offset = 0;
  std::int64_t received_offset = 0;
  std::int64_t source_offset = 0;
  std::uint64_t commands_applied = 0;
  double commands_per_s = 0;
  double bytes_per_s = 0;

  std::uint64_t applied = 0;  // commands and snapshot keys the target has accepted
  std::uint64_t filtered = 0;
  std::uint64_t skipped = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;
  std::uint64_t redirected = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t full_resyncs = 0;
  std::uint64_t transactions_split = 0;
  std::uint64_t dead_letters = 0;
  std::uint64_t suspect_keys = 0;  // values that cannot be derived from the stream alone
  std::uint64_t healed_keys = 0;

  std::uint64_t source_reconnects = 0;
  std::uint64_t target_reconnects = 0;
  std::uint64_t source_bytes = 0;
  std::uint64_t target_bytes = 0;
  std::vector<NamedCount> redirects;    // by kind: MOVED, ASK, TRYAGAIN
  std::vector<NamedCount> filtered_by;  // by reason: key, type, mixed, ...
  std::vector<NamedCount> errors;       // by kind: OOM, WRONGTYPE, ...
  std::vector<NamedCount> cross_slot;   // by command name
  LatencyHistogram apply_latency;

  std::uint64_t memory_used_bytes = 0;
  std::uint64_t memory_max_bytes = 0;
  std::uint64_t spool_used_bytes = 0;
  std::uint64_t spool_max_bytes = 0;

  std::string source;  // host:port; of a master that Sentinels know its name
  std::string master;  // host:port of the one that was connected to last; "": nobody, or several
  std::string replid;
  bool source_link_up = false;
  bool waits_for_turn = false;  // of a shard: others' full syncs come first
  bool is_streaming = false;    // the snapshot is behind us
  bool can_resync = false;      // everything could be copied again (POST /resync)
  std::vector<LaneStatus> lanes;
  std::optional<std::string> last_error;
  std::vector<std::string> last_dead_letters;  // in words, the newest last
  CutoverStatus cutover;
  VerifySummary verify;  // the last comparison, or the one under way
  RateLimits limits;
  std::optional<ScanStatus> scan;  // scan mode only
  std::int64_t published_ms = 0;   // steady clock; /livez checks that it moves
  // Of a source with several; everything above is then their sum. Empty: it is one.
  std::vector<Status> shards;
};

// What several links that run together are as a whole: counts and lags added up, of the rest the
// worst. `shards` stays.
Status sum_of(std::vector<Status> shards);

// Exchange point between the pipeline thread (store) and any other (load).
class StatusBoard {
 public:
  void publish(std::shared_ptr<const Status> status) {
    std::atomic_store(&status_, std::move(status));
  }
  std::shared_ptr<const Status> read() const { return std::atomic_load(&status_); }

 private:
  std::shared_ptr<const Status> status_ = std::make_shared<const Status>();
};

}  // namespace keyferry
