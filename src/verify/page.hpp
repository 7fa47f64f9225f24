// Keys of the source on their way to be compared, with their values. Internal to verify.
#pragma once

#include "keyferry/verify/verifier.hpp"

namespace keyferry {

struct Verifier::Page {
  static constexpr std::size_t keys_max = 1000;
  static constexpr std::size_t bytes_max = 1024 * 1024;

  struct Item {
    KeyLook::State state = KeyLook::State::here;
    std::int64_t expire_ms = 0;
    std::size_t at = 0;  // in `payloads`
    std::size_t size = 0;
  };
  KeyList keys;
  std::vector<Item> items;  // one per key
  Bytes payloads;

  bool is_full() const { return keys.size() >= keys_max || payloads.size() >= bytes_max; }
  KeyLook look(std::size_t i) const {
    KeyLook out;
    out.state = items[i].state;
    out.expire_ms = items[i].expire_ms;
    out.payload = ByteView(payloads).substr(items[i].at, items[i].size);
    out.kind = value_kind_of_payload(out.payload);
    return out;
  }
};

}  // namespace keyferry
