// Watches the source over a second connection: who it is, how far its stream is (for lag, once a
// second, ten times while someone waits for lag zero), and how much it will hold back for us.
// Pipeline thread only.
#pragma once

#include <functional>
#include <optional>

#include "keyferry/sink/topology.hpp"
#include "keyferry/source/intake.hpp"

namespace keyferry {

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

  std::function<void(const std::string& replid, Offset offset, TimePoint now)> on_reading;
  // Whether readings should come every 100 ms.
  std::function<bool()> is_urgent;

  Offset source_offset() const { return offset_; }
  // What the source holds back, when `received` bytes of its stream have been read.
  SourcePressure pressure(Offset received, TimePoint now) const;

 private:
  Task<Error> read_limit();
  Task<Error> read_offset();

  const EndOptions& options_;
  Connection connection_;
  Signal halt_;
  bool stopping_ = false;
  bool open_ = false;
  Offset offset_ = 0;
  std::optional<TimePoint> read_at_;
  std::int64_t growth_bytes_per_s_ = 0;
  std::int64_t limit_bytes_ = 0;
};

// The lowest limit in a CONFIG GET client-output-buffer-limit value for replicas, in bytes; 0 =
// none.
std::int64_t replica_output_limit(ByteView config_value);
// The same for a class of clients, under its new or its old name.
std::int64_t output_limit(ByteView config_value, ByteView name, ByteView old_name);

}  // namespace keyferry
