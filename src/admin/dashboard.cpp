#include "keyferry/admin/dashboard.hpp"

#include <array>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace keyferry {
namespace {

// What a browser hashes of an inline element: the bytes between its tags (CSP level 3, 6.7.2.3).
std::string hash_of(std::string_view page, std::string_view open, std::string_view close) {
  const std::size_t begin = page.find(open) + open.size();
  const std::string_view text = page.substr(begin, page.find(close, begin) - begin);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> base64{};
  const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
  return "'sha256-" + std::string(base64.begin(), base64.begin() + length) + "'";
}

}  // namespace

const std::string& dashboard_policy() {
  static const std::string policy = fmt::format(
      "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; "
      "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      "require-trusted-types-for 'script'",
      hash_of(dashboard_page(), "<script>", "</script>"),
      hash_of(dashboard_page(), "<style>", "</style>"));
  return policy;
}

}  // namespace keyferry
