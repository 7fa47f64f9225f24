#include "keyferry/resp/resp.hpp"

#include <charconv>

namespace keyferry {
namespace {

void append_header(Bytes& out, char kind, std::size_t n) {
  char text[24];
  text[0] = kind;
  char* end = std::to_chars(text + 1, text + sizeof text - 2, n).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(text, end);
}

}  // namespace

void append_array_header(Bytes& out, std::size_t count) {
  append_header(out, '*', count);
}

void append_bulk(Bytes& out, ByteView bytes) {
  append_header(out, '$', bytes.size());
  out += bytes;
  out += "\r\n";
}

void append_command(Bytes& out, std::initializer_list<ByteView> args) {
  append_command(out, std::span(args.begin(), args.size()));
}

void append_command(Bytes& out, std::span<const ByteView> args) {
  append_array_header(out, args.size());
  for (const ByteView arg : args)
    append_bulk(out, arg);
}

Bytes make_command(std::initializer_list<ByteView> args) {
  Bytes out;
  append_command(out, args);
  return out;
}

}  // namespace keyferry
