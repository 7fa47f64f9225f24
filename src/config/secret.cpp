#include "keyferry/config/secret.hpp"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include <fmt/format.h>

namespace keyferry {

// The whole file, or why not. A name is not repeated: the caller says which option gave it.
Result<std::string> read_whole_file(const std::string& path, std::size_t max_bytes) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (!file)
    return Error(Errc::usage, "cannot be opened: " + std::generic_category().message(errno));
  std::string text(max_bytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    return Error(Errc::usage, "cannot be read: " + std::generic_category().message(errno));
  }
  if (text.size() > max_bytes)
    return Error(Errc::usage, fmt::format("has more than {} bytes", max_bytes));
  return text;
}

Result<std::string> read_secret(const std::string& path) {
  constexpr std::size_t secret_max_bytes = 4096;
  Result<std::string> secret = read_whole_file(path, secret_max_bytes);
  if (!secret) return secret;
  if (!secret->empty() && secret->back() == '\n') secret->pop_back();
  if (!secret->empty() && secret->back() == '\r') secret->pop_back();
  if (secret->empty()) return Error(Errc::usage, "is empty");
  if (secret->find('\n') != std::string::npos) return Error(Errc::usage, "has more than one line");
  return secret;
}

}  // namespace keyferry
