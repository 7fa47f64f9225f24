#include "keyferry/base/error.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <boost/throw_exception.hpp>

namespace keyferry {
namespace {

// g++ warns of Boost's base, whose destructor is protected and not virtual; nobody deletes through
// it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class Category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "keyferry"; }
  std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::ok:
        return "ok";
      case Errc::usage:
        return "usage";
      case Errc::unreachable:
        return "unreachable";
      case Errc::refused_by_peer:
        return "refused by the server";
      case Errc::corrupt:
        return "corrupt input";
      case Errc::history_lost:
        return "history lost";
      case Errc::data_refused:
        return "data refused by the target";
      case Errc::cancelled:
        return "cancelled";
      case Errc::left_early:
        return "left before everything was written";
      case Errc::disk:
        return "disk";
    }
    return "unknown";
  }
};
#pragma GCC diagnostic pop

}  // namespace

const boost::system::error_category& keyferry_category() {
  static const Category category;
  return category;
}

boost::system::error_code make_error_code(Errc code) {
  return {static_cast<int>(code), keyferry_category()};
}

Error with_context(std::string_view context, Error error) {
  error.what = std::string(context) + ": " + error.what;
  return error;
}

int exit_code(const Error& error) {
  if (!error) return 0;
  if (error.code.category() != keyferry_category()) return 3;
  switch (static_cast<Errc>(error.code.value())) {
    case Errc::ok:
    case Errc::cancelled:
      return 0;
    case Errc::data_refused:
      return 1;
    case Errc::usage:
      return 2;
    case Errc::unreachable:
    case Errc::refused_by_peer:
    case Errc::left_early:
    case Errc::disk:
      return 3;
    case Errc::corrupt:
    case Errc::history_lost:
      return 4;
  }
  return 3;
}

void throw_exception_from_error(const Error& error, const boost::source_location& where) {
  boost::throw_exception(std::runtime_error(error.what), where);
}

void assertion_failed(const char* expression, const char* file, int line) {
  std::fprintf(stderr, "keyferry: bug: %s:%d: %s does not hold\n", file, line, expression);
  std::abort();
}

}  // namespace keyferry
