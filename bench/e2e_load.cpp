#include "e2e_load.hpp"

#include <array>
#include <random>
#include <stdexcept>
#include <string>

#include <fmt/format.h>

namespace keyferry::bench {
namespace {

constexpr std::size_t pipeline_bytes = 256 * 1024;
constexpr std::size_t elements = 10;

// Commands as RESP bytes, sent by the quarter megabyte.
class Writer {
 public:
  explicit Writer(const test::RedisServer& server) : client_(server.client(test::Millis{60000})) {}

  void begin(std::size_t args) {
    if (out_.size() > pipeline_bytes) send();
    fmt::format_to(std::back_inserter(out_), "*{}\r\n", args);
    ++commands_;
  }
  void arg(std::string_view text) {
    fmt::format_to(std::back_inserter(out_), "${}\r\n{}\r\n", text.size(), text);
  }
  // Letters and digits that LZF cannot shorten. The view holds until the next call.
  std::string_view any_text(std::size_t size) {
    static constexpr std::string_view alphabet =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    text_.resize(size);
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < size; ++i) {
      bits = i % 10 == 0 ? random_() : bits >> 6;
      text_[i] = alphabet[bits & 63];
    }
    return text_;
  }
  std::size_t any_below(std::size_t limit) { return random_() % limit; }

  void send() {
    client_.append_raw({out_.data(), out_.size()});
    client_.flush();
    for (; commands_ > 0; --commands_) {
      const test::Reply reply = client_.read();
      if (reply.is_error()) throw std::runtime_error("load: " + reply.text);
    }
    out_.clear();
  }

 private:
  test::RespClient client_;
  fmt::memory_buffer out_;
  std::size_t commands_ = 0;
  std::mt19937_64 random_{1};
  std::string text_;
};

void write_string(Writer& writer, std::size_t number, bool expires) {
  writer.begin(expires ? 5 : 3);
  writer.arg("SET");
  writer.arg(fmt::format("string:{:09}", number));
  writer.arg(writer.any_text(100));
  if (!expires) return;
  writer.arg("EX");
  writer.arg("36000");
}

// HSET, RPUSH, SADD or ZADD of ten elements; `pairs`: each element has a value or a score.
void write_collection(Writer& writer, std::size_t number, std::string_view command, bool pairs) {
  writer.begin(2 + elements * (pairs ? 2 : 1));
  writer.arg(command);
  writer.arg(fmt::format("{}:{:09}", command, number));
  for (std::size_t i = 0; i < elements; ++i) {
    if (command == "ZADD") {
      writer.arg(fmt::format("{}", writer.any_below(100000)));
    } else if (pairs) {
      writer.arg(fmt::format("field:{}", i));
    }
    writer.arg(writer.any_text(12));
  }
}

}  // namespace

void write_mixed(const test::RedisServer& server, std::size_t keys) {
  static constexpr std::array<std::string_view, 4> collections = {"HSET", "RPUSH", "SADD", "ZADD"};
  Writer writer(server);
  for (std::size_t i = 0; i < keys; ++i) {
    const std::size_t kind = i % 10;
    if (kind < 6) {
      write_string(writer, i, kind == 0);
    } else {
      write_collection(writer, i, collections[kind - 6], kind == 6 || kind == 9);
    }
  }
  writer.send();
}

void write_sets(const test::RedisServer& server, std::size_t ops) {
  Writer writer(server);
  for (std::size_t i = 0; i < ops; ++i) {
    writer.begin(3);
    writer.arg("SET");
    writer.arg(fmt::format("key:{:012}", writer.any_below(1'000'000)));
    writer.arg(writer.any_text(3 + writer.any_below(14)));
  }
  writer.send();
}

void write_increments(const test::RedisServer& server, std::size_t ops) {
  Writer writer(server);
  for (std::size_t i = 0; i < ops; ++i) {
    writer.begin(2);
    writer.arg("INCR");
    writer.arg(fmt::format("key:{:012}", writer.any_below(1'000'000)));
  }
  writer.send();
}

}  // namespace keyferry::bench
