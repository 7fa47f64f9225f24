// Asks the Sentinels of one end who the master is, every few seconds and as soon as one of them
// announces another. Whoever is told leaves the servers that are not; where to go instead
// net/connection asks at each open. Pipeline thread only.
#pragma once

#include <functional>

#include "keyferry/net/connection.hpp"

namespace keyferry {

// Whether a message on a Sentinel's channel says that the master called `name` is another server
// now. (Redis 7.0 sentinel.c: "+switch-master" says "name ip port new-ip new-port" when a failover
// has ended; "+failover-state-reconf-slaves" says "master name ip port" when the replica has been
// promoted, from when on Sentinels name that one.)
bool announces_switch(ByteView channel, ByteView message, ByteView name);

class SentinelWatch {
 public:
  // Options outlive it.
  SentinelWatch(const asio::any_io_executor& executor, const EndOptions& options);

  // Told who the master is, by the address that Sentinels know it by; again and again.
  std::function<void(const HostPort& master)> on_master;

  // Until stop(); at once for an end without Sentinels. Never an error.
  Task<Error> run();
  void stop();

 private:
  Task<Error> ask_and_listen(HostPort sentinel);

  const EndOptions& options_;
  Connection connection_;
  Signal halt_;
  bool stopping_ = false;
  bool has_complained_ = false;
};

}  // namespace keyferry
