// Translates a RedisShake configuration (v3 and v4, TOML) into ours, for `keyferry config import`.
// Says by name what has no equivalent and what is not needed. Pure: reads no file but the text it
// is given. Secrets are not carried over: the result names a file to put each one in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "keyferry/base/error.hpp"

namespace keyferry {

struct ShakeImport {
  std::string yaml;                     // our file, without comments
  std::vector<std::string> missing;     // changes which data arrives, and has no equivalent here
  std::vector<std::string> to_do;       // carried over, but a person must do something about it
  std::vector<std::string> not_needed;  // set there, without meaning here
};

// Errc::usage when the text is no TOML (with its line; no text of the file is repeated) or names no
// reader or writer.
Result<ShakeImport> import_shake(std::string_view toml);

}  // namespace keyferry
