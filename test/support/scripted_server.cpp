#include "support/scripted_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "keyferry/base/bytes.hpp"

namespace keyferry::test {

namespace {

asio::ip::tcp::endpoint any_loopback_port() {
  return {asio::ip::make_address("127.0.0.1"), 0};
}

}  // namespace

ScriptedServer::ScriptedServer(const asio::any_io_executor& executor)
    : acceptor_(executor, any_loopback_port()), socket_(executor) {
  accept();
}

ScriptedServer& ScriptedServer::add(Kind kind, std::string bytes, Millis duration) {
  steps_.push_back(Step{kind, std::move(bytes), duration});
  return *this;
}

ScriptedServer& ScriptedServer::expect(std::string bytes) {
  return add(Kind::expect, std::move(bytes));
}
ScriptedServer& ScriptedServer::send(std::string bytes) {
  return add(Kind::send, std::move(bytes));
}
ScriptedServer& ScriptedServer::stall(Millis duration) {
  return add(Kind::stall, "", duration);
}
ScriptedServer& ScriptedServer::expect_close() {
  return add(Kind::expect_close);
}
ScriptedServer& ScriptedServer::close() {
  return add(Kind::close);
}
ScriptedServer& ScriptedServer::accept() {
  return add(Kind::accept);
}

ScriptedServer& ScriptedServer::send_each_byte(const std::string& bytes) {
  for (const char c : bytes)
    send(std::string(1, c));
  return *this;
}

Task<Error> ScriptedServer::run() {
  Error error;
  for (std::size_t i = 0; i < steps_.size() && !error; ++i) {
    error = co_await play(steps_[i]);
    if (error) error = with_context("script step " + std::to_string(i), std::move(error));
  }
  boost::system::error_code ignored;
  socket_.close(ignored);
  acceptor_.close(ignored);
  co_return error;
}

Task<Error> ScriptedServer::play(const Step& step) {
  boost::system::error_code ec;
  switch (step.kind) {
    case Kind::expect:
      co_return co_await read_expected(step.bytes);
    case Kind::stall:
      co_await sleep_for(step.duration);
      break;
    case Kind::expect_close:
      co_return co_await wait_for_close();
    case Kind::close:
      socket_.close(ec);
      break;
    case Kind::accept: {
      socket_.close(ec);
      auto [failure] = co_await acceptor_.async_accept(socket_, use_tuple);
      ec = failure;
      break;
    }
    case Kind::send: {
      const asio::const_buffer buffer = asio::buffer(step.bytes);
      auto [failure, n] = co_await asio::async_write(socket_, buffer, use_tuple);
      ec = failure;
      break;
    }
  }
  Error result;
  if (ec) result = Error(Errc::unreachable, ec.message());
  co_return result;
}

Task<Error> ScriptedServer::read_expected(const std::string& bytes) {
  std::string got(bytes.size(), '\0');
  const asio::mutable_buffer buffer = asio::buffer(got);
  auto [ec, n] = co_await asio::async_read(socket_, buffer, use_tuple);
  got.resize(n);
  received_ += got;
  if (got == bytes) co_return Error();
  std::string text = "expected \"" + escaped(bytes, 500) + "\", got \"" + escaped(got, 500) + "\"";
  if (ec) text += " and " + ec.message();
  co_return Error(Errc::corrupt, std::move(text));
}

Task<Error> ScriptedServer::wait_for_close() {
  std::string got(4096, '\0');
  const asio::mutable_buffer buffer = asio::buffer(got);
  auto [ec, n] = co_await socket_.async_read_some(buffer, use_tuple);
  got.resize(n);
  received_ += got;
  if (ec) co_return Error();
  co_return Error(Errc::corrupt, "expected the end, got \"" + escaped(got, 500) + "\"");
}

}  // namespace keyferry::test
