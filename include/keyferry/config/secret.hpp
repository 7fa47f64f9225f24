// Secrets kept in files: password_file, token_file and the like. One line each.
#pragma once

#include <string>

#include "keyferry/base/error.hpp"

namespace keyferry {

// The line that the file holds. Errc::usage, in words that go behind "the file ", when it cannot be
// read, is empty, has several lines or more than 4096 bytes.
Result<std::string> read_secret(const std::string& path);

// The whole file. Errors as above.
Result<std::string> read_whole_file(const std::string& path, std::size_t max_bytes);

}  // namespace keyferry
