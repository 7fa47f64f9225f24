// Streams of every version on any bytes: no crash, and the same elements whether the value comes
// whole or in pieces. First byte: the version.
#include "element_digest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  namespace type = rdb::type;
  constexpr std::uint8_t types[] = {type::stream_listpacks, type::stream_listpacks_2,
                                    type::stream_listpacks_3, type::stream_listpacks_4,
                                    type::stream_listpacks_5};
  if (size == 0) return 0;
  const std::uint8_t which = types[data[0] % 5];
  const rdb::Dialect dialect{rdb::Family::redis, 15};
  const ByteView value = fuzz::view(data + 1, size - 1);
  fuzz::require(fuzz::digest_value(value, which, dialect, false) ==
                    fuzz::digest_value(value, which, dialect, true),
                "pieces read like the whole");
  return 0;
}
