#include "keyferry/admin/http.hpp"

#include <exception>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include "keyferry/admin/http_session.hpp"
#include "keyferry/admin/listener.hpp"
#include "keyferry/admin/resp_listener.hpp"
#include "keyferry/base/log.hpp"

namespace keyferry {
namespace {

constexpr const char* http_full =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
constexpr const char* resp_full = "-ERR max number of clients reached\r\n";

std::int64_t now_ms() {
  return std::chrono::duration_cast<Millis>(Clock::now().time_since_epoch()).count();
}

}  // namespace

struct AdminServer::State {
  State(AdminOptions given, const StatusBoard& status_board, Control control)
      : options(std::move(given)),
        board(status_board),
        resp_control{options.token, control},
        routes(board, options.ready_lag_bytes, std::move(control), now_ms(), options.token),
        service{[this](const HttpRequest& request) { return routes.answer(request, now_ms()); },
                options.client_timeout},
        http(
            context.get_executor(), [this](Client& client) { return serve_http(client, service); },
            http_full),
        resp(
            context.get_executor(),
            [this](Client& client) {
              return serve_resp(client, identity, resp_control, board, timeouts());
            },
            resp_full) {
    routes.change_limits = options.change_limits;
    routes.cut_over = options.cut_over;
    routes.start_verify = options.start_verify;
  }

  RespTimeouts timeouts() const { return {options.client_timeout, options.resp_idle_timeout}; }

  AdminOptions options;
  const StatusBoard& board;
  RespIdentity identity;
  RespControl resp_control;
  HttpRoutes routes;
  HttpService service;
  asio::io_context context{1};
  Listener http;
  Listener resp;
  std::thread thread;
};

AdminServer::AdminServer(AdminOptions options, const StatusBoard& board, Control control)
    : state_(std::make_unique<State>(std::move(options), board, std::move(control))) {}

AdminServer::~AdminServer() {
  stop();
}

Error AdminServer::start() {
  State& state = *state_;
  if (Error error = state.http.open("http.listen", state.options.http_listen)) return error;
  if (Error error = state.resp.open("admin.resp_listen", state.options.resp_listen)) {
    state.http.close();
    return error;
  }
  state.identity.port = state.resp.port();
  for (Listener* listener : {&state.http, &state.resp}) {
    if (!listener->is_open()) continue;
    asio::co_spawn(state.context, listener->run(), [](std::exception_ptr thrown, const Error&) {
      if (thrown) std::rethrow_exception(thrown);
    });
  }
  state.thread = std::thread([&state] { state.context.run(); });
  log_info("admin: listening http_port={} resp_port={}", http_port(), resp_port());
  return {};
}

// The thread ends by itself: with the sockets closed, run() has nothing left to wait for.
void AdminServer::stop() {
  if (!state_->thread.joinable()) return;
  asio::post(state_->context, [this] {
    state_->http.close();
    state_->resp.close();
  });
  state_->thread.join();
}

std::uint16_t AdminServer::http_port() const {
  return state_->http.port();
}
std::uint16_t AdminServer::resp_port() const {
  return state_->resp.port();
}

}  // namespace keyferry
