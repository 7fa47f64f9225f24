// A segment of the kept stream as it may be found on disk: any bytes, no crash; what is not refused
// can be read from any offset to the end, or is said to be damaged, and the file takes more.
#include <array>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include "fuzz.hpp"
#include "keyferry/spool/stream_log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  namespace fs = std::filesystem;
  static const fs::path dir =
      fs::temp_directory_path() / ("keyferry-fuzz-" + std::to_string(::getpid()));
  const std::string replid(40, 'a');
  fs::create_directories(dir);
  std::ofstream(dir / (replid + ".00000000000000005000.stream"), std::ios::binary)
      << fuzz::view(data, size);
  {
    auto log = StreamLog::open(dir.string());
    fuzz::require(log.has_value() || !log.error().what.empty(), "an error has words");
    std::array<char, 4096> bytes;
    Offset at = log ? (*log)->first() : 0;
    while (log && at < (*log)->end()) {
      const auto n = (*log)->read(at, bytes.data(), bytes.size());
      if (!n) break;
      fuzz::require(*n > 0, "a read gets on");
      at += static_cast<Offset>(*n);
    }
    if (log) fuzz::require(!(*log)->append(replid, "more"), "more can be written");
  }
  fs::remove_all(dir);
  return 0;
}
