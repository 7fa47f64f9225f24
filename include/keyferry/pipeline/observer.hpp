// Watches the source over a second connection: who it is, how far its stream is (for lag, once a
// second, ten times while someone waits for lag zero), and how much it will hold back for us. Goes
// where Sentinels say that the master is. Pipeline thread only.
#pragma once

#include <functional>
#include <optional>

#include "keyferry/net/sentinel_watch.hpp"
#include "keyferry/sink/topology.hpp"
#include "keyferry/source/intake.hpp"

namespace keyferry {

// What a master's INFO replication says about its stream.
struct SourceHistory {
  std::string replid;
  Offset offset = 0;
  std::string replid2;        // what its history was called before a failover; "" or zeros: none
  Offset second_offset = -1;  // first byte that is not of replid2
  std::int64_t backlog_bytes = 0;  // size of its backlog

  // Whether it can have sent what `position` says was received.
  bool holds(const ReplicationPosition& position) const;
  // Where its history left the one that `position` is of, if that is before `position`.
  std::optional<Offset> fork_below(const ReplicationPosition& position) const;
};
SourceHistory read_history(ByteView info);

class Observer {
 public:
  Observer(const asio::any_io_executor& executor, const EndOptions& options);

  // The first connection: who the source is. Errors are final (nothing has begun yet).
  Task<Error> open(ServerIdentity& identity);
  // How far the source's clock is ahead of ours; nullopt where TIME is not allowed. Before run().
  Task<Result<std::optional<std::int64_t>>> clock_ahead_ms();
  // Until stop(). Each reading is handed to on_reading.
  Task<Error> run();
  void stop();
  // The source may be elsewhere now.
  void reconnect() {
    connection_.close();
    open_ = false;
  }

  // Whether whoever answered last is for a second already not the one that sends us the stream
  // called `replid`: Sentinel, or the name's resolver, names another server than when that began.
  bool is_elsewhere(const std::string& replid, TimePoint now);

  std::function<void(const std::string& replid, Offset offset, TimePoint now)> on_reading;
  // Whether readings should come every 100 ms.
  std::function<bool()> is_urgent;

  Offset source_offset() const { return history_.offset; }
  const SourceHistory& history() const { return history_; }
  // As far as two readings tell.
  std::int64_t write_rate_bytes_per_s() const { return growth_bytes_per_s_; }
  // What the source holds back, when `received` bytes of its stream have been read.
  SourcePressure pressure(Offset received, TimePoint now) const;

 private:
  Task<Error> read_limit();
  Task<Error> read_offset();

  const EndOptions& options_;
  Connection connection_;
  SentinelWatch sentinels_;
  Scope scope_;
  Signal halt_;
  bool stopping_ = false;
  bool open_ = false;
  bool is_replaced_ = false;  // whoever is asked is not the master any more
  SourceHistory history_;
  std::optional<TimePoint> read_at_;
  std::optional<TimePoint> elsewhere_since_;
  std::int64_t growth_bytes_per_s_ = 0;
  std::int64_t limit_bytes_ = 0;
};

// The lowest limit in a CONFIG GET client-output-buffer-limit value for replicas, in bytes; 0 =
// none.
std::int64_t replica_output_limit(ByteView config_value);
// The same for a class of clients, under its new or its old name.
std::int64_t output_limit(ByteView config_value, ByteView name, ByteView old_name);

}  // namespace keyferry
