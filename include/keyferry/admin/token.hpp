// Comparing a token that somebody presents with ours (http.token_file). Pure.
#pragma once

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// In a time that does not depend on where the two differ. Never true for an empty token.
bool is_token(ByteView given, ByteView token);

}  // namespace keyferry
