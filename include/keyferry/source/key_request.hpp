// One round trip to a scanned source: a page of SCAN, the sizes of keys found before, and the
// values of keys whose size is known. Builds the commands, and takes the replies apart in the same
// order. Pure; which keys, and when, is source/scan's business.
//
//   SCAN cursor | MEMORY USAGE k1 ... kn | DUMP k1, PEXPIRETIME k1 ... DUMP kn, PEXPIRETIME kn
//   `------------- head ----------------' `--------------------- values -----------------------'
//
// Commands that a server lacks or forbids have substitutes: see ReadWays.
#pragma once

#include <string>

#include "keyferry/resp/reply_cursor.hpp"
#include "keyferry/source/key_list.hpp"

namespace keyferry {

// What the source lets us use; narrowed when it refuses.
struct ReadWays {
  bool memory_usage = true;  // Redis 4.0; else the lengths of all types are asked
  bool pexpiretime = true;   // Redis 7.0, every Valkey; else TIME and PTTL
};

// A key as the source has it. Views stay valid until the bytes they were read from, or the request,
// change.
struct ReadKey {
  enum class Kind : std::uint8_t {
    value,    // payload, expire_ms
    gone,     // there is none
    big,      // not read: to be read in pieces
    moved,    // MOVED or ASK: text
    refused,  // any other error: text
  };
  Kind kind = Kind::gone;
  std::int32_t db = 0;
  bool asking = false;
  ByteView key;
  std::uint64_t number = 0;
  ByteView payload;            // as DUMP gives it
  std::int64_t expire_ms = 0;  // absolute unix time, 0 = none
  ByteView text;
};

// The server will answer differently in a moment: LOADING and the like.
bool is_passing_trouble(ByteView error);

class KeyRequest {
 public:
  struct Limits {
    std::uint64_t big_bytes = 0;  // larger values are not read here
  };

  KeyRequest() = default;
  KeyRequest(const ReadWays& ways, Limits limits) : ways_(ways), limits_(limits) {}

  // Composing, in this order, each at most once. `selected`: the database the connection is in by
  // then, and is left in.
  void scan(std::int32_t db, ByteView cursor, std::int64_t count, ByteView type,
            std::int32_t& selected);
  void ask_sizes(KeyList keys, std::int32_t& selected);
  void read(KeyList keys, std::int32_t& selected);
  bool empty() const { return wire_.empty(); }
  const Bytes& wire() const { return wire_; }

  // Answering. `page`: scan_cursor() and page() are known. `head_done`: sizes() are known, values
  // follow. `key`: one more value. `refused`: error() says which command is not to be had; the
  // connection must be made again. Bytes up to `consumed` are done with.
  enum class Status : std::uint8_t { page, head_done, key, done, need_more, corrupt, refused };
  Status next(ByteView bytes, std::size_t& consumed, ReadKey& out);

  const Bytes& scan_cursor() const { return scan_cursor_; }
  const KeyList& page() const { return page_; }
  KeyList& sizes() { return sizes_; }
  KeyList& keys() { return keys_; }
  // How many of keys() were given out.
  std::size_t given() const { return at_; }
  const std::string& error() const { return error_; }
  bool may_try_again() const { return may_try_again_; }
  const ReadWays& ways() const { return ways_; }

 private:
  enum class Stage : std::uint8_t { scan, sizes, time, values, done };

  void select(std::int32_t db, std::int32_t& selected);
  Status next_page(ByteView bytes, std::size_t& consumed);
  Status next_size(ByteView bytes, std::size_t& consumed);
  Status next_time(ByteView bytes, std::size_t& consumed);
  Status next_value(ByteView bytes, std::size_t& consumed, ReadKey& out);
  Status refuse(ByteView command, ByteView error);
  bool takes_selection(ReplyCursor& cursor, bool is_due, ReplyCursor::Status& status);

  ReadWays ways_;
  Limits limits_;
  Bytes wire_;
  Stage stage_ = Stage::scan;
  bool has_scan_ = false;
  bool scan_selects_ = false;
  std::int32_t scan_db_ = 0;
  Bytes scan_cursor_;
  KeyList page_;
  KeyList sizes_;
  KeyList keys_;
  std::vector<bool> sizes_select_;
  std::vector<bool> keys_select_;
  std::size_t at_ = 0;
  std::int64_t now_ms_ = 0;  // of the source, where its expiries are relative
  std::string error_;
  bool may_try_again_ = false;
};

}  // namespace keyferry
