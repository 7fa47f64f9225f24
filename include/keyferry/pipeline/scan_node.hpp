// One node of a scanned source: a connection that reads keys, one that listens to events, one that
// looks at the server itself; and the keys that wait to be read. Copies keys into the sink; when
// the link is complete is scan_link's to judge. Pipeline thread only.
//
//   events --> listen() --> DirtyKeys --> copy() --> sink       check(): INFO, flags, ping
//                             `-> spool -'          passes of SCAN come in between
//
// What happened while nobody listened, or was not kept, is made good by a pass over all keys; keys
// that only the target still has are found by the link (target_sweep).
#pragma once

#include <functional>
#include <optional>

#include "keyferry/pipeline/scan_rules.hpp"
#include "keyferry/sink/redis_sink.hpp"
#include "keyferry/source/big_key.hpp"
#include "keyferry/source/notifications.hpp"
#include "keyferry/source/scan.hpp"
#include "keyferry/source/source_watch.hpp"
#include "keyferry/spool/spool.hpp"

namespace keyferry {

// What the nodes of a link share. Pipeline thread only.
struct ScanCommon {
  ScanCommon(const asio::any_io_executor& ex, const Options& o, RedisSink& s)
      : executor(ex), options(o), sink(s), big_free(ex) {}

  asio::any_io_executor executor;
  const Options& options;
  RedisSink& sink;
  ScanRules rules;
  std::uint64_t last_number = 0;  // of a change, over all nodes
  bool paused = false;
  bool big_busy = false;  // one large value at a time
  Signal big_free;
  std::function<void()> on_progress;  // a batch was handed to the sink
  // A key is at another node: `where` is the error reply.
  std::function<void(const ReadKey& key, ByteView where)> on_moved;
};

class ScanNode {
 public:
  struct Place {
    HostPort host;
    Endpoint master;  // of a cluster: whose slots these are; the host itself unless it is a replica
    bool is_cluster = false;
    bool is_replica = false;
    std::optional<Slot> slot;  // of a cluster: one that is served here
    std::size_t shares = 1;    // of the memory for waiting keys
  };
  ScanNode(ScanCommon& common, Place place);

  // Reaches the node and makes sure that its events arrive. Errors are final.
  Task<Error> open();
  // Until stop().
  Task<Error> listen();
  Task<Error> copy();
  // Once listen() runs: that events do arrive, where CONFIG does not tell or it is to be made sure.
  Task<Error> prove();
  // Writes a key of ours and waits for its event: every event before it has come as well.
  // Errc::unreachable: may be tried again.
  Task<Error> probe();
  // Nobody tells whether the source still sends events.
  bool needs_probe() const {
    return flags_hidden_ && common_.options.source_scan_probe != ScanProbe::never;
  }
  // Puts back what open() changed at the source.
  Task<void> give_back();
  void stop();
  // Listens and scans no more; what waits is still copied.
  void stop_receiving();

  // True: every event up to the call has been counted in common.last_number.
  Task<bool> barrier();
  // Looks for what no event tells, and begins the pass that is wanted. An error ends the link, but
  // for unreachable.
  Task<Error> check();

  void change(std::int32_t db, ByteView key);
  void add_moving(const DirtyKey& key);
  void wake() { wake_.notify(); }

  const Place& place() const { return place_; }
  std::string name() const { return to_string(Endpoint{place_.host.host, place_.host.port}); }
  bool serves(const Endpoint& endpoint) const {
    return !stopping_ &&
           (endpoint == place_.master || endpoint == Endpoint{place_.host.host, place_.host.port});
  }
  bool is_stopped() const { return stopping_; }
  // It serves nothing any more: what waits is of other nodes, and they tell.
  void retire();
  // Events were missed before it was opened.
  void distrust() { needs_sweep_ = unheard_ = true; }
  const ServerIdentity& identity() const { return identity_; }
  bool is_listening() const { return listening_; }
  // No pass is wanted or under way.
  bool is_settled() const {
    return !wants_all_ && !wants_streams_ && !in_pass_ && !lost_events_ && !needs_sweep_;
  }
  // A pass over all keys is wanted or under way.
  bool is_passing() const { return wants_all_ || (in_pass_ && !only_streams_); }
  // A pass is over, and keys that only the target has are to be looked for: flushed at the source,
  // or gone while nobody listened.
  enum class Sweep : std::uint8_t { none, flushed, unheard };
  Sweep wanted_sweep() const { return is_passing() ? Sweep::none : needs_sweep(); }
  void swept() { needs_sweep_ = false; }
  bool take_new_functions() { return std::exchange(new_functions_, false); }
  Task<Result<RespValue>> list_functions();
  // Of each key, whether it exists here, as far as this node can tell.
  Task<Result<std::vector<bool>>> exist(std::int32_t db, std::vector<Bytes> keys);

  // Changes with smaller numbers are all handed to the sink.
  std::uint64_t oldest_pending() const;
  std::uint64_t pending_keys() const { return dirty_.size() + spilled_ + scanner_.taken(); }
  std::uint64_t spilled_keys() const { return spilled_; }
  std::uint64_t memory_bytes() const {
    return dirty_.used_bytes() + scanner_.used_bytes() + spill_.size();
  }
  std::uint64_t spool_bytes() const { return static_cast<std::uint64_t>(spool_.unread_bytes()); }
  const KeyScanner& scanner() const { return scanner_; }
  std::uint64_t passes() const { return passes_; }
  std::uint64_t events() const { return events_; }
  std::uint64_t reconnects() const { return reconnects_; }
  const std::string& last_error() const { return last_error_; }
  std::uint64_t keys_total() const;

 private:
  Sweep needs_sweep() const {
    return !needs_sweep_ ? Sweep::none : unheard_ ? Sweep::unheard : Sweep::flushed;
  }
  // listening and reading (scan_node.cpp)
  bool has_work() const;
  Task<Error> listen_once();
  Task<Error> put(std::span<const ReadKey> keys);
  Error put_payload(const ReadKey& key, ByteView payload);
  Error put_gone(const ReadKey& key);
  // A value that does not travel; what travelled before under this name goes.
  Error leave_out(const ReadKey& key) { return key.number == 0 ? Error() : put_gone(key); }
  Task<void> wait_for_share(std::size_t bytes);
  Task<Error> put_big(const ReadKey& key);
  Task<Error> put_pieces(const rdb::Event& event, const ReadKey& key);
  Task<Error> reopen_scanner();
  Task<void> take_turn_for_big();
  void end_pass();
  void note(const Error& error);
  Task<Error> write_spill();
  Task<Error> refill();
  void keep_spilled(ByteView bytes, std::size_t& taken);
  // looking at the server (scan_watch.cpp)
  Task<Error> open_control();
  Task<Error> read_info(SourceReading& reading);
  Task<Error> check_flags(bool is_start);
  Task<Error> set_flags(const std::string& flags, const std::string& missing);
  void judge(const SourceChange& change);
  void begin_pass();
  Task<Result<RespValue>> ask(Bytes command);

  ScanCommon& common_;
  Place place_;
  const EndOptions& source_;
  DirtyKeys dirty_;
  KeyScanner scanner_;
  Notifications notifications_;
  Connection control_;
  BigKeyReader big_;
  Spool spool_;
  Signal wake_;   // of copy()
  Signal heard_;  // events or a pong
  Signal halt_;
  ServerIdentity identity_;

  bool stopping_ = false;
  bool receiving_ = true;
  bool listening_ = false;
  bool control_open_ = false;
  SourceReading reading_;
  bool has_reading_ = false;

  bool wants_all_ = false;
  bool wants_streams_ = false;
  bool in_pass_ = false;
  bool only_streams_ = false;  // the pass: what groups read makes no event
  bool needs_sweep_ = false;
  bool unheard_ = false;      // some events were never received
  bool lost_events_ = false;  // received, and there was no room for them
  bool new_functions_ = false;
  std::uint64_t passes_ = 0;
  TimePoint pass_began_;
  TimePoint streams_again_at_;

  std::string probe_key_;
  bool probe_heard_ = false;
  bool flags_hidden_ = false;  // CONFIG GET is not allowed
  std::string flags_before_;   // notify-keyspace-events, had we to change it
  std::string flags_set_;
  TimePoint flags_checked_;

  Bytes spill_;  // not written yet
  bool spill_writing_ = false;
  std::uint64_t spilled_ = 0;  // in spool_ and spill_
  std::uint64_t first_spilled_ = 0;
  Bytes refill_;

  std::int32_t last_db_ = 0;  // at the target
  Bytes mapped_key_;
  std::uint64_t paid_bytes_ = 0;  // of what was read
  std::uint64_t events_ = 0;
  std::uint64_t reconnects_ = 0;
  TimePoint healthy_;
  std::string last_error_;
};

}  // namespace keyferry
