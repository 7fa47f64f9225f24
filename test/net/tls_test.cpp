// TLS against real servers: what is checked of their certificates, and what we show of ours.
#include "support/tls.hpp"

#include <boost/asio/this_coro.hpp>
#include <gtest/gtest.h>

#include "keyferry/net/connection.hpp"
#include "support/run_coro.hpp"
#include "support/server.hpp"

namespace keyferry {
namespace {

using test::Certificates;
using test::run_coro;

Task<Error> ping(EndOptions options, HostPort host) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Connection connection(executor);
  Error error = co_await connection.open(options, host, "test");
  if (error) co_return error;
  EXPECT_TRUE(connection.stream().is_tls());
  // Several records each way.
  const std::string big(100000, 'x');
  const Bytes echo = make_command({"ECHO", big});
  auto reply = co_await connection.call(echo, Millis(5000));
  if (!reply) co_return reply.error();
  EXPECT_EQ(reply->text, big);
  co_return Error();
}

class Tls : public testing::Test {
 protected:
  void SetUp() override {
    options_.uri.tls = true;
    options_.tls.ca_file = certificates_.ca();
    certificates_.issue("local", "DNS:localhost,IP:127.0.0.1");
  }

  // A server whose certificate is `name`.
  void serve(const std::string& name, bool auth_clients = false) {
    test::ServerOptions server;
    tls_port_ = test::free_port();
    server.args = certificates_.server_args(name, tls_port_, auth_clients);
    server_.emplace(std::move(server));
  }
  // What opening a connection says, "" when all is well.
  std::string problem(const std::string& host = "127.0.0.1") {
    return run_coro(ping(options_, HostPort{host, tls_port_})).what;
  }

  Certificates certificates_;
  EndOptions options_;
  std::uint16_t tls_port_ = 0;
  std::optional<test::RedisServer> server_;
};

TEST_F(Tls, ChecksAuthorityAndNameByDefault) {
  serve("local");
  EXPECT_EQ(problem("127.0.0.1"), "");
  EXPECT_EQ(problem("localhost"), "");

  certificates_.issue("elsewhere", "DNS:elsewhere.example");
  serve("elsewhere");
  EXPECT_NE(problem().find("hostname mismatch"), std::string::npos) << problem();
  options_.tls.server_name = "elsewhere.example";
  EXPECT_EQ(problem(), "");
}

TEST_F(Tls, TrustsOnlyTheGivenAuthority) {
  serve("local");
  const Certificates others;
  for (const std::string& ca_file : {others.ca(), std::string()}) {
    options_.tls.ca_file = ca_file;
    EXPECT_NE(problem().find("certificate verify failed"), std::string::npos) << problem();
    EXPECT_NE(problem().find("self-signed certificate in certificate chain"), std::string::npos)
        << problem();
  }
  options_.tls.verify = TlsVerify::ca;
  EXPECT_NE(problem(), "");
  options_.tls.verify = TlsVerify::none;
  EXPECT_EQ(problem(), "");
}

TEST_F(Tls, VerifyCaSkipsTheNameOnly) {
  certificates_.issue("elsewhere", "DNS:elsewhere.example");
  serve("elsewhere");
  options_.tls.verify = TlsVerify::ca;
  EXPECT_EQ(problem(), "");
}

TEST_F(Tls, ShowsItsOwnCertificateWhereAsked) {
  certificates_.issue("client", "DNS:client", "sesame");
  serve("local", true);
  EXPECT_NE(problem(), "");
  const test::TempDir files;
  test::write_file(files.file("password"), "sesame\n");
  options_.tls.cert_file = certificates_.cert("client");
  options_.tls.key_file = certificates_.key("client");
  options_.tls.key_password_file = files.file("password");
  EXPECT_EQ(problem(), "");
}

TEST_F(Tls, NamesTheFileThatDoesNotServe) {
  serve("local");
  options_.tls.ca_file = "/nonexistent/ca.pem";
  const Error error = run_coro(ping(options_, HostPort{"127.0.0.1", tls_port_}));
  EXPECT_TRUE(error.is(Errc::usage));
  EXPECT_EQ(error.what.rfind("tls.ca_file /nonexistent/ca.pem: ", 0), 0U) << error.what;

  options_.tls.ca_file = certificates_.ca();
  options_.tls.cert_file = certificates_.cert("local");
  options_.tls.key_file = certificates_.ca();
  EXPECT_EQ(problem().rfind("tls.key_file ", 0), 0U) << problem();
}

TEST_F(Tls, APlainServerIsNoTlsServer) {
  serve("local");
  tls_port_ = server_->port();
  options_.connect_timeout_ms = 300;
  EXPECT_EQ(problem(), "timed out after 300 ms in the TLS handshake (is this a TLS port?)");
}

// The server chooses by the name that the client sends: without it the wrong certificate comes.
TEST_F(Tls, SendsTheName) {
  certificates_.issue("elsewhere", "DNS:elsewhere.example");
  tls_port_ = test::free_port();
  test::ProcessOptions how;
  how.args = {"openssl",
              "s_server",
              "-quiet",
              "-accept",
              "127.0.0.1:" + std::to_string(tls_port_),
              "-cert",
              certificates_.cert("elsewhere"),
              "-key",
              certificates_.key("elsewhere"),
              "-servername",
              "localhost",
              "-cert2",
              certificates_.cert("local"),
              "-key2",
              certificates_.key("local")};
  test::Process server(how);
  const auto shake_hands = [](EndOptions options, HostPort host) -> Task<Error> {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    Stream stream(executor);
    Error error = co_await stream.connect_tcp(host);
    if (!error) error = co_await stream.start_tls(options.tls, "localhost");
    co_return error;
  };
  std::string last;
  test::wait_for(Millis{5000}, [&] {
    last = run_coro(shake_hands(options_, HostPort{"127.0.0.1", tls_port_})).what;
    return last.rfind("connect", 0) != 0;
  });
  EXPECT_EQ(last, "");
}

}  // namespace
}  // namespace keyferry
