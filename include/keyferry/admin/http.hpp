// The administration thread: the HTTP server and the RESP listener on one io_context of their own,
// so that they keep answering whatever the pipeline does. It only reads the StatusBoard and hands
// verbs to `control`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "keyferry/admin/http_routes.hpp"
#include "keyferry/base/error.hpp"
#include "keyferry/base/time.hpp"
#include "keyferry/pipeline/status.hpp"

namespace keyferry {

struct AdminOptions {
  std::string http_listen;  // "host:port"; "" = off
  std::string resp_listen;  // same; the port that is announced to the source
  std::string token;        // what POST and SHUTDOWN must present; "" = POST is free to all
  std::int64_t ready_lag_bytes = 1024 * 1024;
  ChangeLimits change_limits;
  CutOver cut_over;
  StartVerify start_verify;
  Millis client_timeout{10'000};      // for one request or one reply
  Millis resp_idle_timeout{300'000};  // for the next command, unless subscribed
};

class AdminServer {
 public:
  // `board` outlives the server.
  AdminServer(AdminOptions options, const StatusBoard& board, Control control);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // Binds both addresses, then starts the thread. Errc::usage, naming the address, when one cannot
  // be had; nothing runs then.
  Error start();
  // Closes everything and joins the thread; `control` is not called any more. Harmless when not
  // started.
  void stop();

  // The ports in use (also when 0 was asked for), 0 when off.
  std::uint16_t http_port() const;
  std::uint16_t resp_port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace keyferry
