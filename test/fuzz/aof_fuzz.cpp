// parse_aof_manifest and the StreamDecoder's reading of append-only files on any bytes: no crash,
// and the same commands whether the bytes come whole or in pieces.
#include <fmt/core.h>

#include "fuzz.hpp"
#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/aof_manifest.hpp"
#include "keyferry/source/stream_decoder.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

constexpr std::int64_t moment = 1000;

struct Digest {
  std::uint64_t crc = 0;
  Offset whole = 0;
  bool is_corrupt = false;
  bool has_ended = false;
  bool is_torn = false;

  bool operator==(const Digest&) const = default;
};

Digest decode(ByteView bytes, bool in_pieces) {
  SlabBudget budget;
  StreamDecoder decoder(budget);
  decoder.read_annotations(moment);
  decoder.start(0, 0);
  fuzz::Cuts cuts(bytes);
  Digest digest;
  for (std::size_t at = 0; at < bytes.size() && !digest.is_corrupt;) {
    const std::size_t size = in_pieces ? cuts.next(bytes.size() - at) : bytes.size();
    // A slab of its own for each piece: reading past its end is seen.
    const SlabRef slab = make_slab(budget, size);
    const Error error = decoder.feed(slab, slab->append(bytes.substr(at, size)), TimePoint());
    digest.is_corrupt = static_cast<bool>(error);
    at += size;
    if (digest.is_corrupt) break;
    while (const auto batch = decoder.take()) {
      for (const Command& command : batch->commands) {
        digest.crc = crc64(digest.crc, command.wire);
        digest.crc = crc64(digest.crc, fmt::format("{}/{}", command.db, command.end));
      }
    }
  }
  // Where damage begins, pieces may have given commands that the whole had not.
  if (digest.is_corrupt) return Digest{0, 0, true, false, false};
  digest.has_ended = decoder.has_ended();
  digest.whole = decoder.whole_offset();
  digest.is_torn = !digest.has_ended && decoder.is_torn();
  return digest;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView bytes = fuzz::view(data, size);
  fuzz::ExactBuffer buffer;
  const auto manifest = parse_aof_manifest(buffer.hold(bytes));
  if (manifest) {
    fuzz::require(!manifest->files().empty(), "a manifest names a file");
    std::vector<AofManifestFile> files;
    std::uint64_t sequence = 0;
    // Each byte may take four, and a line of a manifest has its limit.
    constexpr std::size_t name_max_bytes = 200;
    for (const std::string& name : manifest->files()) {
      if (name.size() > name_max_bytes) return 0;
      files.push_back({name, ++sequence, manifest->base && files.empty() ? 'b' : 'i'});
    }
    const auto again = parse_aof_manifest(aof_manifest_text(files));
    fuzz::require(again && again->files() == manifest->files(), "names are written as they are");
  }
  if (bytes.empty()) return 0;
  fuzz::require(decode(bytes, false) == decode(bytes, true), "pieces decode like the whole");
  return 0;
}
