// RedisSink: one batch of the stream on its way to the lanes.
#pragma once

#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

struct RedisSink::Plan {
  std::shared_ptr<Cargo> cargo;
  Watermark::Ticket ticket = 0;
  TimePoint received;
  Offset end = 0;           // of the ticket
  std::uint64_t units = 0;  // planned since the last dispatch
};

}  // namespace keyferry
