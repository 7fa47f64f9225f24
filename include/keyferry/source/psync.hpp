// Poses as a replica of one standalone master: connects, shakes hands, reads the snapshot and the
// stream into the Intake, sends ACKs, and reconnects at the exact byte where the link broke. It
// does not look into the bytes. Pipeline thread only.
#pragma once

#include <functional>
#include <string>

#include "keyferry/config/options.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/source/intake.hpp"

namespace keyferry {

// What psync needs to know from the decoder, and tells the world.
struct PsyncState {
  bool link_up = false;
  bool ever_linked = false;
  bool handshaking = false;
  bool is_forbidden = false;    // the source has no PSYNC, or not for us
  bool waits_for_turn = false;  // others' full syncs come first
  std::string replid;  // of the history being read; changes with a +CONTINUE after failover
  Offset full_sync_offset = 0;  // where the current full sync's stream starts
  std::uint64_t wire_bytes =
      0;  // payload bytes of the current full sync received, snapshot and stream
  std::optional<std::uint64_t>
      snapshot_wire_bytes;  // set by the decoder when the snapshot has been decoded
  Offset ack_offset = 0;    // what to tell the source: 0 until the snapshot is applied
  std::uint64_t full_syncs = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t source_bytes = 0;  // everything ever read
  std::string master;  // "host:port" of the one that was connected to last, as it is called there
  std::string last_error;
  TimePoint last_read;

  // Offset of the last stream byte received; nullopt while it is unknown where the snapshot ends.
  std::optional<Offset> received_offset() const;
  // Everything up to `offset` of the stream counts as received, and nothing behind it.
  void stand_at(Offset offset);
};

// Where full syncs of several links have to wait for each other.
struct FullSyncTurn {
  // May be asked for now from this host; asked again and again until it may.
  std::function<bool(const std::string& host)> take;
  std::function<void()> give_back;  // also when none was taken
};

class Psync {
 public:
  Psync(const asio::any_io_executor& executor, const EndOptions& options, std::string psync_command,
        SlabBudget& budget, Intake& intake, PsyncState& state);

  // Set before run(). The port to announce over a link whose own end has the given address; 0 =
  // none.
  std::function<std::uint16_t(const std::string& local_address)> announced_port;
  // The stream goes on under this name (after a failover of the source: another one).
  std::function<void(const std::string& replid)> on_history;
  // May be empty. Told what a source that is to go on with the stream says of its history (INFO
  // replication). May take back what was received: where it ends now.
  std::function<Task<std::optional<Offset>>(Bytes info)> meet_history;
  // May be empty: where to read from at this moment, instead of the first address of the source.
  std::function<std::optional<HostPort>()> place;
  // May be empty: whether a full sync may come from whom we are connected to. If not, the link is
  // broken off and tried again.
  std::function<bool()> may_full_sync;
  // May be empty. Held from before a full sync is asked for until the link breaks; whoever finds
  // the end of the snapshot gives it back earlier.
  FullSyncTurn turn;
  // What the source holds back for us; asked when memory is full.
  std::function<SourcePressure()> pressure;

  // May be empty. Told how much was read; says how long to wait before more is.
  std::function<Millis(std::size_t bytes)> throttle;

  // Until stop(), or an error that retrying does not mend. Closes the intake when it returns.
  Task<Error> run();
  void stop();
  // Ends reading but keeps the link and its ACKs, so that what was received can be drained.
  void stop_reading();
  // Sends an ACK with state.ack_offset now.
  void ack_now();
  // Asks for the stream behind `position`, breaking the link if there is one: the Intake gets a
  // FullSync without a frame, or, when the source does not have those bytes any more, a real one.
  void go_on_at(const ReplicationPosition& position);
  // The same where the Intake already has everything up to there: what comes just follows.
  void follow_from(const ReplicationPosition& position);
  // Breaks the link, which is made anew to where the options say.
  void reconnect() { connection_.close(); }
  // Breaks the link and asks for a full sync (a corrupt snapshot is read once more).
  void resync();

 private:
  Task<Error> read_all();
  bool needs_turn() const;
  Task<bool> wait_for_turn();
  HostPort host() const;
  Task<Error> follow_once();
  Task<Error> greet();
  Task<Error> compare_histories();
  Task<Error> request_sync();
  Task<Error> begin_full_sync(ReplicationPosition position);
  Task<Error> receive();
  Task<void> wait_for_share(std::size_t bytes);
  Task<Error> acknowledge();

  asio::any_io_executor executor_;
  const EndOptions& options_;
  std::string psync_command_;
  SlabBudget& budget_;
  Intake& intake_;
  PsyncState& state_;
  Connection connection_;
  Signal ack_;
  Signal halt_;
  bool stopping_ = false;
  bool reading_ = true;
  bool acks_on_ = false;
  bool turned_ = false;            // another stream is wanted than the one this connection brings
  bool turn_wanted_ = false;       // the source cannot go on where we are
  bool begins_elsewhere_ = false;  // the next stream does not follow what was received last
  std::optional<TimePoint> reading_since_;  // set while a read is waiting for the source
};

}  // namespace keyferry
