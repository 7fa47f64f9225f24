// Moves the bytes of one RESP client (admin.resp_listen) through a RespSession, with time-outs.
// Admin thread only.
#pragma once

#include "keyferry/admin/listener.hpp"
#include "keyferry/admin/resp_session.hpp"

namespace keyferry {

struct RespTimeouts {
  Millis reply;  // to take our replies
  Millis idle;   // between requests; subscribed clients may be silent for ever
};

// Serves `client` until it closes, errs or is idle for too long. The references outlive the await.
Task<Error> serve_resp(Client& client, const RespIdentity& identity, const RespControl& control,
                       const StatusBoard& board, RespTimeouts timeouts);

}  // namespace keyferry
