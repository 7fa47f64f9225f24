#include "keyferry/rdb/restore.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/cursor.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry::rdb {
namespace {

// Behind the value in a DUMP payload: u16 version, u64 checksum, little endian (Redis 2.6 migrate.c
// / cluster.c createDumpPayload).
constexpr std::size_t footer_size = 10;
// Room for everything of a command that is not key or value (the longest is below 150 bytes).
constexpr std::size_t frame_size = 160;

// Gathers the short pieces between key and value on the stack: few appends per command instead of a
// dozen.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): bytes_ is only read up to size_
class Frame {
 public:
  Frame& text(ByteView piece) {
    std::memcpy(bytes_ + size_, piece.data(), piece.size());
    size_ += piece.size();
    return *this;
  }
  template <class T>
  Frame& number(T value) {
    char* begin = bytes_ + size_;
    size_ +=
        static_cast<std::size_t>(std::to_chars(begin, bytes_ + sizeof bytes_, value).ptr - begin);
    return *this;
  }
  // "$<size>\r\n": the bulk itself follows.
  Frame& bulk_header(std::size_t size) { return text("$").number(size).text("\r\n"); }
  // The number as a whole bulk.
  template <class T>
  Frame& number_bulk(T value) {
    Frame digits;
    digits.number(value);
    return bulk_header(digits.size_).text(digits.view()).text("\r\n");
  }
  Frame& little_endian(std::uint64_t value, int size) {
    for (int i = 0; i < size; ++i)
      bytes_[size_++] = static_cast<char>(value >> (8 * i));
    return *this;
  }
  ByteView view() const { return {bytes_, size_}; }

 private:
  char bytes_[frame_size];
  std::size_t size_ = 0;
};

bool can_set(const Event& event, TargetTraits target) {
  constexpr char lzf_head = static_cast<char>(0xc0 | string_encoding::lzf);
  return event.type == type::string && !event.idle_s && !event.freq && !event.value.empty() &&
         event.value.front() != lzf_head && (!event.expire_ms || has_set_pxat(target));
}

// Servers refuse a TTL of 0 or below; 1 lies as surely in the past.
std::int64_t sendable(std::int64_t expire_ms) {
  return std::max<std::int64_t>(expire_ms, 1);
}

void append_set(Bytes& out, const Event& event) {
  Bytes digits;
  Cursor in(event.value, 0);
  const ByteView text = in.string(digits);

  Frame head;
  head.text(event.expire_ms ? "*5\r\n$3\r\nSET\r\n" : "*3\r\n$3\r\nSET\r\n");
  out += head.bulk_header(event.key.size()).view();
  out += event.key;
  Frame middle;
  out += middle.text("\r\n").bulk_header(text.size()).view();
  out += text;
  Frame tail;
  tail.text("\r\n");
  if (event.expire_ms) tail.text("$4\r\nPXAT\r\n").number_bulk(sendable(*event.expire_ms));
  out += tail.view();
}

void append_restore_command(Bytes& out, const Event& event, int version, bool replace) {
  const bool has_rank = event.idle_s || event.freq;
  Frame head;
  head.text("*").number(5 + (replace ? 1 : 0) + (has_rank ? 2 : 0)).text("\r\n$7\r\nRESTORE\r\n");
  out += head.bulk_header(event.key.size()).view();
  out += event.key;

  Frame middle;
  middle.text("\r\n").number_bulk(event.expire_ms ? sendable(*event.expire_ms) : 0);
  out += middle.bulk_header(1 + event.value.size() + footer_size).view();
  const std::size_t payload_at = out.size();
  out += static_cast<char>(event.type);
  out += event.value;
  Frame footer;
  out += footer.little_endian(static_cast<std::uint64_t>(version), 2).view();

  Frame tail;
  tail.little_endian(crc64(0, ByteView(out).substr(payload_at)), 8);
  tail.text(replace ? "\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n" : "\r\n$6\r\nABSTTL\r\n");
  // A server's eviction policy is one of both, and RESTORE takes only one.
  if (event.idle_s) {
    tail.text("$8\r\nIDLETIME\r\n").number_bulk(*event.idle_s);
  } else if (event.freq) {
    tail.text("$4\r\nFREQ\r\n").number_bulk(*event.freq);
  }
  out += tail.view();
}

}  // namespace

void append_restore(Bytes& out, const Event& event, Dialect source, TargetTraits target,
                    bool use_set, bool replace) {
  out.reserve(out.size() + event.key.size() + event.value.size() + frame_size);
  if (use_set && can_set(event, target)) {
    append_set(out, event);
  } else {
    append_restore_command(out, event, source.version, replace);
  }
}

void append_function_load(Bytes& out, ByteView library) {
  out += "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n";
  append_bulk(out, library);
}

}  // namespace keyferry::rdb
