// Reads the values of one source node without PSYNC: keys found by SCAN, and keys that changed,
// in batches; the next round trip is under way while a batch is being used. Keys come out in the
// order in which they were taken, so a key that changed again comes again, later. It does not know
// where they go, nor listens to events (source/notifications). Pipeline thread only.
//
//   SCAN page, dirty keys --> waiting --(sizes asked)--> sized --(values asked)--> fetch()
#pragma once

#include <deque>
#include <functional>

#include "keyferry/net/connection.hpp"
#include "keyferry/source/dirty_keys.hpp"
#include "keyferry/source/key_request.hpp"
#include "keyferry/source/scan_pass.hpp"

namespace keyferry {

class KeyScanner {
 public:
  struct Limits {
    std::int64_t page_keys = 1000;
    std::uint64_t big_bytes = 0;  // larger values come out as ReadKey::Kind::big
  };

  // Options and the dirty keys outlive the scanner.
  KeyScanner(const asio::any_io_executor& executor, const EndOptions& options, Limits limits,
             DirtyKeys& dirty);

  // Connects; `is_replica`: of a cluster, which must be told that we only read. What was under way
  // over an earlier connection is asked again.
  Task<Error> open(HostPort host, bool is_replica);
  void close() { connection_.close(); }
  bool is_open() const { return is_open_; }

  // Of what is found by scanning; empty: everything.
  std::function<bool(std::int32_t db, ByteView key)> wants;

  void begin(ScanPass pass) { pass_ = std::move(pass); }
  const ScanPass& pass() const { return pass_; }
  // The pass is over and everything it found was given out and used.
  bool has_passed() const { return pass_.is_over() && found_ == 0; }

  // A key that changed, to be asked with ASKING: its slot is moving here.
  void add_moving(const DirtyKey& key);

  // The next keys; what was given out before is taken for used. Empty: there is nothing to read.
  // Views stay valid until the next call.
  Task<Result<std::span<const ReadKey>>> fetch();

  // Changed keys that were taken and not used yet; the oldest one's number, if there is one.
  std::size_t taken() const { return taken_.size(); }
  std::optional<std::uint64_t> oldest_taken() const {
    return taken_.empty() ? std::nullopt : std::optional(taken_.front());
  }
  std::size_t used_bytes() const { return buffer_.size(); }
  std::uint64_t read_bytes() const { return read_bytes_; }
  std::uint64_t keys_found() const { return keys_found_; }

 private:
  void use_given();
  KeyRequest compose();
  KeyList take_waiting();
  KeyList take_sized();
  Task<Error> send_next();
  Task<Error> fetch_some();
  Task<Error> take_head();
  void take_page();
  Task<Error> fill();
  void ask_again();

  const EndOptions& options_;
  Limits limits_;
  DirtyKeys& dirty_;
  Connection connection_;
  bool is_open_ = false;
  ReadWays ways_;
  std::int32_t selected_ = 0;
  ScanPass pass_;

  KeyRequest current_;  // being answered
  KeyRequest next_;     // sent behind it
  bool has_current_ = false;
  bool has_next_ = false;
  KeyList waiting_;  // sizes not asked yet
  KeyList sized_;    // from sized_at_ on: values not asked yet
  std::size_t sized_at_ = 0;

  std::vector<ReadKey> given_;
  std::deque<std::uint64_t> taken_;
  std::uint64_t found_ = 0;  // keys of the pass between SCAN and their use
  std::uint64_t keys_found_ = 0;

  Bytes buffer_;  // from buffer_at_ on: replies not taken yet
  std::size_t buffer_at_ = 0;
  std::size_t buffer_end_ = 0;
  std::uint64_t read_bytes_ = 0;
};

}  // namespace keyferry
