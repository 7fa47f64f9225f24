// LzfStream on any bytes: no crash, the same whatever the pieces, and what liblzf makes of them.
// First three bytes: the size that is claimed.
#include "fuzz.hpp"
#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/lzf_stream.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own
using rdb::LzfStream;

struct Decoded {
  bool is_whole = false;
  Bytes text;
};

Decoded decode(ByteView blob, std::size_t full_size, bool in_pieces) {
  Decoded out;
  LzfStream stream;
  stream.start(blob.size(), full_size);
  fuzz::Cuts cuts(blob);
  std::size_t taken = 0;
  std::size_t delivered = in_pieces ? 0 : blob.size();
  for (;;) {
    fuzz::ExactBuffer buffer;
    std::size_t used = 0;
    ByteView part;
    const ByteView offered = buffer.hold(blob.substr(taken, delivered - taken));
    switch (stream.next(offered, used, part)) {
      case LzfStream::Status::part:
        out.text += part;
        taken += used;
        continue;
      case LzfStream::Status::need_more:
        fuzz::require(stream.need_bytes() > offered.size(), "need_more asks for more");
        fuzz::require(delivered < blob.size(), "a whole blob ends");
        delivered += cuts.next(blob.size() - delivered);
        continue;
      case LzfStream::Status::end:
        out.is_whole = true;
        return out;
      case LzfStream::Status::corrupt:
        return out;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  const std::size_t full_size =
      std::size_t{data[0]} | std::size_t{data[1]} << 8 | std::size_t{data[2]} << 16;
  const ByteView blob = fuzz::view(data + 3, size - 3);
  const Decoded whole = decode(blob, full_size, false);
  const Decoded pieces = decode(blob, full_size, true);
  fuzz::require(whole.is_whole == pieces.is_whole && whole.text == pieces.text,
                "pieces decode like the whole");
  fuzz::require(whole.text.size() <= full_size, "no more comes out than was claimed");
  Bytes library;
  if (lzf_decompress(blob, full_size, library)) {
    fuzz::require(whole.is_whole && whole.text == library, "it makes what liblzf makes");
  }
  return 0;
}
