#include "keyferry/admin/token.hpp"

#include <openssl/crypto.h>

namespace keyferry {

bool is_token(ByteView given, ByteView token) {
  if (token.empty() || given.size() != token.size()) return false;
  return CRYPTO_memcmp(given.data(), token.data(), token.size()) == 0;
}

}  // namespace keyferry
