// parse_command and ReplyScanner on any bytes: no crash, and the same commands and judgements
// whether the bytes come whole or in pieces.
#include <fmt/core.h>

#include "fuzz.hpp"
#include "keyferry/base/checksum.hpp"
#include "keyferry/resp/command_parser.hpp"
#include "keyferry/resp/reply_scanner.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

struct Digest {
  std::uint64_t crc = 0;
  int count = 0;
  bool is_corrupt = false;

  bool operator==(const Digest&) const = default;

  void add(ByteView text) {
    ++count;
    crc = crc64(crc, text);
    crc = crc64(crc, fmt::format("/{}", text.size()));
  }
};

// Takes all commands that the bytes hold; returns how many bytes they took.
std::size_t take_commands(ByteView unread, Digest& digest) {
  std::size_t taken = 0;
  std::vector<ByteView> args{"untouched"};
  for (;;) {
    fuzz::ExactBuffer buffer;
    const ByteView offered = buffer.hold(unread.substr(taken));
    args.resize(1);
    const CommandParse parse = parse_command(offered, args);
    if (parse.status != CommandParse::Status::command) {
      fuzz::require(args.size() == 1, "arguments stay as they were without a command");
      fuzz::require(parse.status == CommandParse::Status::corrupt || parse.size > offered.size(),
                    "need_more asks for more than there is");
      digest.is_corrupt = parse.status == CommandParse::Status::corrupt;
      return taken;
    }
    fuzz::require(parse.size > 0 && parse.size <= offered.size(), "a command has its size");
    for (std::size_t i = 1; i < args.size(); ++i)
      digest.add(args[i]);
    digest.add(offered.substr(0, parse.size));
    taken += parse.size;
  }
}

Digest parse_in_pieces(ByteView bytes) {
  Digest digest;
  fuzz::Cuts cuts(bytes);
  std::size_t start = 0;
  std::size_t delivered = 0;
  while (delivered < bytes.size() && !digest.is_corrupt) {
    delivered += cuts.next(bytes.size() - delivered);
    start += take_commands(bytes.substr(start, delivered - start), digest);
  }
  return digest;
}

// The same over the overload that goes on where it stopped.
Digest parse_on_in_pieces(ByteView bytes) {
  Digest digest;
  fuzz::Cuts cuts(bytes);
  CommandProgress progress;
  std::vector<ByteView> args{"untouched"};
  std::size_t start = 0;
  std::size_t delivered = 0;
  while (delivered < bytes.size() && !digest.is_corrupt) {
    delivered += cuts.next(bytes.size() - delivered);
    for (;;) {
      fuzz::ExactBuffer buffer;
      const ByteView offered = buffer.hold(bytes.substr(start, delivered - start));
      args.resize(1);
      const CommandParse parse = parse_command(offered, args, progress);
      if (parse.status != CommandParse::Status::command) {
        fuzz::require(args.size() == 1, "arguments stay as they were without a command");
        digest.is_corrupt = parse.status == CommandParse::Status::corrupt;
        break;
      }
      for (std::size_t i = 1; i < args.size(); ++i)
        digest.add(args[i]);
      digest.add(offered.substr(0, parse.size));
      start += parse.size;
    }
  }
  return digest;
}

// Feeds one delivery to the scanner.
void scan(ReplyScanner& scanner, ByteView bytes, Digest& digest) {
  fuzz::ExactBuffer buffer;
  ByteView unread = buffer.hold(bytes);
  while (!unread.empty()) {
    const std::size_t before = unread.size();
    const ReplyScanner::Status status = scanner.next(unread);
    digest.is_corrupt = status == ReplyScanner::Status::corrupt;
    if (digest.is_corrupt) return;
    fuzz::require(unread.size() < before, "the scanner moves on");
    if (status == ReplyScanner::Status::need_more) {
      fuzz::require(unread.empty(), "the scanner takes all before it asks for more");
    } else {
      digest.add(
          fmt::format("{}{}{}", scanner.error(), scanner.is_top_level_error(), scanner.is_null()));
    }
  }
}

// The replies as those of EXEC, element by element.
Digest scan_elements(ByteView bytes, bool whole) {
  Digest digest;
  ReplyScanner scanner;
  fuzz::Cuts cuts(bytes);
  for (std::size_t at = 0; at < bytes.size() && !digest.is_corrupt;) {
    const std::size_t size = whole ? bytes.size() : cuts.next(bytes.size() - at);
    fuzz::ExactBuffer buffer;
    ByteView unread = buffer.hold(bytes.substr(at, size));
    at += size;
    while (!unread.empty() || scanner.owes_done()) {
      const ReplyScanner::Status status = scanner.next_element(unread);
      if (status == ReplyScanner::Status::need_more) break;
      digest.is_corrupt = status == ReplyScanner::Status::corrupt;
      if (digest.is_corrupt) break;
      digest.add(fmt::format("{}{}{}{}", static_cast<int>(status), scanner.error(),
                             scanner.is_null(), scanner.lowest_integer()));
    }
  }
  return digest;
}

Digest scan_in_pieces(ByteView bytes) {
  Digest digest;
  ReplyScanner scanner;
  fuzz::Cuts cuts(bytes);
  for (std::size_t at = 0; at < bytes.size() && !digest.is_corrupt;) {
    const std::size_t size = cuts.next(bytes.size() - at);
    scan(scanner, bytes.substr(at, size), digest);
    at += size;
  }
  return digest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = fuzz::view(data, size);
  if (bytes.empty()) return 0;

  Digest commands;
  take_commands(bytes, commands);
  fuzz::require(commands == parse_in_pieces(bytes), "pieces parse like the whole");

  fuzz::require(commands == parse_on_in_pieces(bytes), "going on parses like the whole");
  fuzz::require(scan_elements(bytes, true) == scan_elements(bytes, false),
                "pieces give the elements of the whole");

  Digest replies;
  ReplyScanner scanner;
  scan(scanner, bytes, replies);
  fuzz::require(replies == scan_in_pieces(bytes), "pieces scan like the whole");
  return 0;
}
