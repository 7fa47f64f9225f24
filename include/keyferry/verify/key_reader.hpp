// Reads keys of one end by name, many at a time: whether they exist, their type and expiry, or
// their values as well. Asks every node of a cluster at once; large values are only named, to be
// read in pieces. Executor thread only.
#pragma once

#include <limits>
#include <span>

#include "keyferry/source/big_key.hpp"
#include "keyferry/source/key_request.hpp"
#include "keyferry/verify/judge.hpp"
#include "keyferry/verify/places.hpp"

namespace keyferry {

// What was read of one key. Views stay valid until the reader's next call.
struct KeyLook {
  enum class State : std::uint8_t { gone, here, big, moved, refused };
  State state = State::moved;
  ValueKind kind = ValueKind::unknown;  // here, but at level exists
  ByteView payload;                     // here, from level digest on: as DUMP gives it
  std::int64_t expire_ms = 0;           // absolute unix time, 0 = never
  ByteView text;                        // refused: why
};

// Digest and all, of a look that is not `big`.
Reading reading_of(const KeyLook& look, std::int64_t now_ms);

class KeyReader {
 public:
  // Values whose size in the server's memory is above this are big.
  static constexpr std::uint64_t big_bytes = 256 * 1024;

  // The places outlive the reader. `name`: of its connections.
  KeyReader(KeyPlaces& places, VerifyLevel level, std::string name)
      : places_(places),
        level_(level),
        name_(std::move(name)),
        big_(places.executor(), places.options()) {}

  // One look per key, in their order. A node that cannot be reached is tried again for some
  // seconds.
  Task<Result<std::span<const KeyLook>>> read(const KeyList& keys);
  // A large value, read in pieces.
  Task<Result<Reading>> read_big(std::int32_t db, ByteView key, std::int64_t now_ms);
  void close();

 private:
  struct Node {
    Node(const asio::any_io_executor& executor, HostPort at)
        : connection(executor), host(std::move(at)) {}
    Connection connection;
    HostPort host;
    bool is_open = false;
    std::int32_t selected = 0;
    std::vector<std::size_t> asked;  // of the keys, those of this node
    KeyList keys;                    // the same, with their sizes
    std::size_t next = 0;            // of `keys`: not asked yet
    std::vector<std::size_t> under_way;
    KeyRequest request;
    Bytes wire;
    Bytes replies;  // up to `filled`; kept until the next read
    std::size_t filled = 0;
    std::size_t taken = 0;
  };
  // Where a look's bytes lie until nothing is added to the replies any more.
  struct Span {
    const Node* node = nullptr;
    std::size_t at = 0;
    std::size_t size = 0;
  };

  Task<Error> try_to_read(const KeyList& keys);
  void deal_out(const KeyList& keys);
  Task<Error> open(Node& node);
  KeyList take_some(Node& node, std::uint64_t& total_bytes);
  Task<Error> ask_values();
  Task<Error> take_sizes(Node& node);
  Task<Error> take_values(Node& node);
  Task<Error> ask_whether_all_exist(const KeyList& keys, bool& all);
  Task<Error> ask_facts(const KeyList& keys);
  Task<Error> take_facts(Node& node);
  Task<Error> next(Node& node, ReplyToken& token);
  Task<Error> fill(Node& node);
  Task<Error> write(Node& node, const Bytes& wire);
  Error narrow(Node& node);
  void keep(Span& span, const Node& node, ByteView bytes) const;

  KeyPlaces& places_;
  VerifyLevel level_;
  std::string name_;
  std::uint64_t map_version_ = std::numeric_limits<std::uint64_t>::max();
  std::vector<std::unique_ptr<Node>> nodes_;
  ReadWays ways_;
  std::vector<KeyLook> looks_;
  std::vector<Span> spans_;
  BigKeyReader big_;
};

}  // namespace keyferry
