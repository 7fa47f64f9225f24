// What a scanned source answers: messages of the subscriber link, and the replies to one request.
// Any bytes in any pieces: no crash, no view outside of them, the same result for every cut. First
// byte: what is read.
#include <string>

#include "fuzz.hpp"
#include "keyferry/source/key_events.hpp"
#include "keyferry/source/key_request.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

KeyRequest request(bool is_old) {
  ReadWays ways;
  ways.memory_usage = ways.pexpiretime = !is_old;
  KeyRequest::Limits limits;
  limits.big_bytes = 1000;
  KeyList keys;
  KeyList::Entry entry;
  keys.add("a", entry);
  entry.asking = true;
  keys.add("b", entry);
  entry.asking = false;
  entry.db = 3;
  keys.add("c", entry);
  KeyRequest out(ways, limits);
  std::int32_t selected = 0;
  out.scan(1, "0", 10, "", selected);
  out.ask_sizes(keys, selected);
  out.read(keys, selected);
  return out;
}

// Takes what there is of `unread`; false when there is nothing more to come.
bool take(KeyRequest& of, Bytes& unread, std::string& digest) {
  while (true) {
    fuzz::ExactBuffer buffer;
    const ByteView bytes = buffer.hold(unread);
    ReadKey key;
    std::size_t consumed = 0;
    const KeyRequest::Status status = of.next(bytes, consumed, key);
    fuzz::require(consumed <= bytes.size(), "no more is consumed than was there");
    if (status != KeyRequest::Status::need_more)
      digest += static_cast<char>('A' + static_cast<int>(status));
    if (status == KeyRequest::Status::page) digest.append(of.scan_cursor());
    if (status == KeyRequest::Status::key) digest.append(key.payload).append(key.text);
    unread.erase(0, consumed);
    if (status == KeyRequest::Status::need_more) return true;
    if (status >= KeyRequest::Status::done) return false;
  }
}

bool take(Bytes& unread, std::string& digest) {
  while (true) {
    fuzz::ExactBuffer buffer;
    const ByteView bytes = buffer.hold(unread);
    Push push;
    std::size_t size = 0;
    const ReplyCursor::Status status = parse_push(bytes, push, size);
    if (status == ReplyCursor::Status::need_more) return true;
    if (status == ReplyCursor::Status::corrupt) return false;
    fuzz::require(size > 0 && size <= bytes.size(), "a message has a size");
    digest += static_cast<char>('a' + static_cast<int>(push.kind));
    digest.append(push.event.key).append(push.event.event).append(push.text);
    unread.erase(0, size);
  }
}

std::string read(std::uint8_t what, ByteView input, bool whole) {
  KeyRequest of = request(what % 3 == 2);
  fuzz::Cuts cuts(input);
  std::string digest;
  Bytes unread;
  for (std::size_t at = 0; at < input.size();) {
    const std::size_t size = whole ? input.size() : cuts.next(input.size() - at);
    unread.append(input.substr(at, size));
    at += size;
    const bool goes_on = what % 3 == 0 ? take(unread, digest) : take(of, unread, digest);
    if (!goes_on) return digest + "!";
  }
  return digest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView input = fuzz::view(data + 1, size - 1);
  fuzz::require(read(data[0], input, true) == read(data[0], input, false),
                "the same result for every cut");
  return 0;
}
