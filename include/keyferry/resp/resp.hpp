// RESP2 building blocks: appending commands to a buffer, and replies as values for the places where
// a reply is looked at as a whole (handshake, INFO, CLUSTER SLOTS). The data path never uses
// RespValue: see reply_scanner.hpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// One reply. Exactly one kind; `text` holds simple strings, errors (without '-') and bulks.
struct RespValue {
  enum class Kind { simple, error, integer, bulk, null, array };
  Kind kind = Kind::null;
  Bytes text;
  std::int64_t integer = 0;
  std::vector<RespValue> items;

  bool is_error() const { return kind == Kind::error; }
  bool is_null() const { return kind == Kind::null; }
  bool is_array() const { return kind == Kind::array; }
  bool is_string() const { return kind == Kind::simple || kind == Kind::bulk; }
};

// Appends "*<n>\r\n", "$<len>\r\n<bytes>\r\n", or a whole command to `out`.
void append_array_header(Bytes& out, std::size_t count);
void append_bulk(Bytes& out, ByteView bytes);
void append_command(Bytes& out, std::initializer_list<ByteView> args);
void append_command(Bytes& out, std::span<const ByteView> args);

Bytes make_command(std::initializer_list<ByteView> args);

}  // namespace keyferry
