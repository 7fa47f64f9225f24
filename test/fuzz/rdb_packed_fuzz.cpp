// PackedReader on any blob: no crash, no view outside of it, and it comes to an end. First byte:
// the format.
#include "fuzz.hpp"
#include "keyferry/rdb/packed.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  using rdb::PackedReader;
  if (size == 0) return 0;
  fuzz::ExactBuffer buffer;
  const ByteView blob = buffer.hold(fuzz::view(data + 1, size - 1));
  PackedReader reader;
  if (!reader.open(static_cast<PackedReader::Format>(data[0] % 4), blob)) return 0;
  rdb::PackedEntry entry;
  rdb::NumberText digits;
  std::size_t bytes = 0;
  std::size_t entries = 0;
  while (reader.next(blob, entry) == PackedReader::Status::entry) {
    const ByteView text = rdb::text_of(entry, digits);
    const bool is_inside =
        entry.is_number ||
        (text.data() >= blob.data() && text.data() + text.size() <= blob.data() + blob.size());
    fuzz::require(is_inside, "a text lies in the blob");
    if (!entry.is_number) bytes += text.size();
    ++entries;
  }
  fuzz::require(bytes <= blob.size() && entries <= blob.size(), "entries do not overlap");
  return 0;
}
