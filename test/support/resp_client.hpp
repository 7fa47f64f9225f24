// A small blocking RESP2 client over POSIX sockets. On purpose independent of the product's parser
// and connection: a test must not share the bugs it looks for. Pipelines: append() many, flush(),
// read() as many replies. Network failures and timeouts throw std::runtime_error; error replies are
// values (Reply::Kind::error).
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/process.hpp"

namespace keyferry::test {

struct Reply {
  enum class Kind { simple, error, integer, bulk, nil, array };
  Kind kind = Kind::nil;
  std::string text;          // simple, error (without "-"), bulk; the digits of an integer
  std::int64_t integer = 0;  // integer only
  std::vector<Reply> items;  // array only

  bool is_error() const { return kind == Kind::error; }
  bool is_nil() const { return kind == Kind::nil; }
  // The item behind the field `name` of a flat name, value, name, value ... array; nullptr when
  // absent.
  const Reply* field(std::string_view name) const;
  std::string printable() const;
};

using Args = std::vector<std::string>;

class RespClient {
 public:
  RespClient() = default;
  RespClient(const std::string& host, std::uint16_t port, Millis timeout = Millis{10000});
  ~RespClient();
  RespClient(RespClient&& other) noexcept;
  RespClient& operator=(RespClient&& other) noexcept;

  void connect(const std::string& host, std::uint16_t port, Millis timeout = Millis{10000});
  void close();
  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  // One command, its reply.
  Reply command(const Args& args);
  // The same, but an error reply throws with the command's name and the server's words.
  Reply must(const Args& args);

  // Queue a command; flush() writes everything queued; read() is the next reply. While flush()
  // cannot write because the server does not read, it collects incoming replies, so a pipeline of
  // any size cannot lock up.
  void append(const Args& args);
  void append_raw(std::string_view bytes) { out_ += bytes; }
  void flush();
  Reply read();
  // All of the above: answers in order.
  std::vector<Reply> pipeline(const std::vector<Args>& commands);

  // Bytes as they come, for tests that speak the protocol by hand: at least one byte, "" at end of
  // stream.
  std::string read_raw(std::size_t max_bytes);

 private:
  void fill();
  void wait_ready(short events);
  bool is_readable() const;
  bool parse(Reply& reply, std::size_t& at) const;

  int fd_ = -1;
  Millis timeout_{10000};
  std::string out_;
  std::string in_;
  std::size_t used_ = 0;  // bytes of in_ that were handed out
};

// One command as RESP bytes.
void append_wire(std::string& out, const Args& args);

// The value of "name:value" in an INFO text; "" when absent.
std::string info_field(const std::string& info, std::string_view name);

}  // namespace keyferry::test
