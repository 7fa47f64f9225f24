// Listens to the Sentinels of one end, and tells at once when they have put another server in the
// master's place. Who that is they are asked at each net/connection open. Promises nothing: a
// message that comes while no Sentinel is listened to is missed, so whoever uses this asks now and
// then, too. Pipeline thread only.
#pragma once

#include <functional>
#include <optional>

#include "keyferry/net/connection.hpp"

namespace keyferry {

// The server that is not the master called `name` any more, as a message on a Sentinel's channel
// says; nullopt: another channel, or another master. (Redis 7.0 sentinel.c: "+switch-master" says
// "name ip port new-ip new-port" when a failover has ended;
// "+failover-state-reconf-slaves" says "master name ip port" when the replica has been promoted,
// from when on Sentinels name that one.)
std::optional<HostPort> former_master(ByteView channel, ByteView message, ByteView name);

class SentinelWatch {
 public:
  // Options outlive it.
  SentinelWatch(const asio::any_io_executor& executor, const EndOptions& options);

  // Told which server is not the master any more, by the address that Sentinels know it by.
  std::function<void(const HostPort& former)> on_switch;

  // Until stop(); at once for an end without Sentinels. Never an error.
  Task<Error> run();
  void stop();

 private:
  Task<Error> listen(HostPort sentinel);

  const EndOptions& options_;
  Connection connection_;
  Signal halt_;
  bool stopping_ = false;
};

}  // namespace keyferry
