// What the fuzz targets share: the entry point that libFuzzer and replay_main.cpp call, random
// cuts, and a check that stays on in every build.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

#include "keyferry/base/bytes.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace keyferry::fuzz {

inline void require(bool claim, const char* text) {
  if (claim) return;
  std::fprintf(stderr, "fuzz: claim broken: %s\n", text);
  std::abort();
}

inline ByteView view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A buffer of exactly the bytes, new at every call: ASan sees reads past its end and views that
// were kept.
class ExactBuffer {
 public:
  ByteView hold(ByteView bytes) {
    copy_.reset(new char[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy_.get());
    return {copy_.get(), bytes.size()};
  }

 private:
  std::unique_ptr<char[]> copy_;
};

// Sizes of the pieces an input is delivered in; the same input is always cut in the same way.
class Cuts {
 public:
  explicit Cuts(ByteView input) : random_(static_cast<unsigned>(input.size() * 31 + 7)) {
    widest_ = 1 + random_() % 64;
  }
  std::size_t next(std::size_t left) {
    return std::min<std::size_t>(left, 1 + random_() % widest_);
  }

 private:
  std::minstd_rand random_;
  std::size_t widest_ = 1;
};

}  // namespace keyferry::fuzz
