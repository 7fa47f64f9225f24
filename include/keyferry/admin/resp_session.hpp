// One conversation on the port that we announce to the source: request bytes in, reply bytes out.
// It answers what Sentinel and monitoring ask a replica and refuses everything that would make a
// server of us, so that a Sentinel conversion or a FAILOVER to us fails at once. Pure;
// resp_listener moves the bytes.
#pragma once

#include <vector>

#include "keyferry/admin/http_routes.hpp"
#include "keyferry/admin/info.hpp"
#include "keyferry/base/bytes.hpp"

namespace keyferry {

// What SHUTDOWN needs: it drains the link, for who has presented the token (AUTH) before.
struct RespControl {
  std::string token;  // "" = there is none, and no SHUTDOWN
  Control control;
};

class RespSession {
 public:
  static constexpr std::size_t max_request_bytes = 64 * 1024;

  // Both outlive the session; without `control` there is no SHUTDOWN.
  explicit RespSession(const RespIdentity& identity, const RespControl* control = nullptr)
      : identity_(identity), control_(control) {}

  // Takes the next bytes of the client and appends the replies to all requests that are whole by
  // now. False: the client broke the protocol or max_request_bytes; send `out`, then close.
  bool feed(ByteView bytes, const Status& status, Bytes& out);

  // Whether the client waits for messages (there will be none): it may stay silent for as long as
  // it likes.
  bool is_subscribed() const { return channels_ > 0; }

 private:
  struct Row;
  static const Row rows[];

  void answer(const Status& status, Bytes& out);
  void ping(const Status& status, Bytes& out);
  void info(const Status& status, Bytes& out);
  void role(const Status& status, Bytes& out);
  void subscribe(const Status& status, Bytes& out);
  void client(const Status& status, Bytes& out);
  void ok(const Status& status, Bytes& out);
  void auth(const Status& status, Bytes& out);
  void shutdown(const Status& status, Bytes& out);
  void no_receivers(const Status& status, Bytes& out);

  const RespIdentity& identity_;
  const RespControl* control_;
  bool authenticated_ = false;
  Bytes unread_;
  std::size_t wanted_ = 1;      // bytes of unread_ before parsing makes sense again
  std::vector<ByteView> args_;  // of the request being answered; views into unread_
  std::int64_t channels_ = 0;
};

}  // namespace keyferry
