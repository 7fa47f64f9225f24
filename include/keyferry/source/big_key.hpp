// One large value of a scanned source, read piece by piece over a connection of its own (GETRANGE,
// LRANGE, SSCAN, HSCAN, ZSCAN, XRANGE ...) and given out as the elements that a snapshot would have
// given. Not one moment's value when the source is written to meanwhile: then an event says so, and
// the key is read again. Pipeline thread only.
#pragma once

#include <span>
#include <vector>

#include "keyferry/net/connection.hpp"
#include "keyferry/rdb/elements.hpp"

namespace keyferry {

// Parts of a reply as elements; views point into the reply. Pure, for tests.
namespace big_key {
void append_items(const RespValue& reply, std::vector<rdb::Element>& out);
void append_members(const RespValue& reply, std::vector<rdb::Element>& out);
bool append_scores(const RespValue& reply, std::vector<rdb::Element>& out);
void append_fields(const RespValue& reply, std::vector<rdb::Element>& out);
// XRANGE; `pairs` holds what the elements' spans point to.
bool append_entries(const RespValue& reply, std::vector<std::vector<ByteView>>& pairs,
                    std::vector<rdb::Element>& out);
bool parse_stream_id(ByteView text, rdb::StreamId& id);
}  // namespace big_key

class BigKeyReader {
 public:
  BigKeyReader(const asio::any_io_executor& executor, const EndOptions& options)
      : options_(options), connection_(executor) {}

  // `host`: asked from now on; `is_replica`: of a cluster.
  void ask(HostPort host, bool is_replica);
  void close() { connection_.close(); }
  // What one reply, or a stream group's pending entries, may take; more is Errc::data_refused. (No
  // command reads a part of one element.)
  void limit(std::size_t held_max_bytes) {
    connection_.reply_max_bytes = held_max_bytes;
    pending_max_ = held_max_bytes / pending_bytes;
  }

  struct Key {
    enum class Kind : std::uint8_t { pieces, whole, gone, refused };
    Kind kind = Kind::gone;
    std::uint8_t type = 0;  // pieces: a type byte of its kind
    Bytes payload;          // whole: DUMP, where no command reads the pieces; refused: why
    std::int64_t expire_ms = 0;
  };
  Task<Result<Key>> begin(std::int32_t db, ByteView key);
  // The next elements; none: that was all. Valid until the next call.
  Task<Result<std::span<const rdb::Element>>> next();

 private:
  enum class Stage : std::uint8_t { value, stream_info, groups, group, over };
  struct Group {
    Bytes name;
    rdb::StreamId last_id;
    std::int64_t entries_read = -1;
  };
  struct Pending {
    rdb::StreamId id;
    Bytes consumer;
  };

  // An entry that is pending, twice: as an element, and with its owner.
  static constexpr std::size_t pending_bytes = 512;

  Task<Error> connect();
  Task<Result<RespValue>> call(Bytes command);
  Task<Error> read_expiry(Key& out);
  Task<Error> read_value();
  Task<Error> read_text();
  Task<Error> read_list();
  Task<Error> read_scan(ByteView command);
  Task<Error> read_field_expiries();
  Task<Error> read_entries();
  Task<Error> read_stream_info();
  Task<Error> read_groups();
  Task<Error> read_group();
  void adapt_page(std::size_t bytes);

  const EndOptions& options_;
  Connection connection_;
  HostPort host_;
  bool is_replica_ = false;
  bool is_open_ = false;
  bool has_field_ttls_ = true;  // until the server says no
  std::int32_t selected_ = 0;
  std::int64_t clock_ms_ = 0;  // the source's, when the key was begun

  Bytes key_;
  std::string kind_;  // what TYPE said
  Stage stage_ = Stage::over;
  RespValue reply_;
  RespValue expiries_;
  std::vector<rdb::Element> elements_;
  std::vector<std::vector<ByteView>> pairs_;
  Bytes cursor_;
  std::int64_t at_ = 0;
  std::int64_t page_ = 0;
  std::vector<Group> groups_;
  std::vector<Pending> pending_;
  std::size_t pending_max_ = static_cast<std::size_t>(-1);
};

}  // namespace keyferry
