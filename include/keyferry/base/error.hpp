// Errors are values: an error code plus one sentence of context, and how bad it is. Lower layers
// classify, only `pipeline` decides what to do. Exceptions are left for bugs and running out of
// memory.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace keyferry {

enum class Errc {
  ok = 0,
  usage,            // command line, configuration, or a target that is not as required: exit 2
  unreachable,      // an end could not be reached or the link broke; may be tried again: exit 3
  refused_by_peer,  // authentication or permission: exit 3
  corrupt,          // RDB, RESP or spool bytes that cannot be right: exit 4
  history_lost,     // the source can no longer continue and a full sync is not allowed: exit 4
  data_refused,     // the target refused a command for good (errors.policy: stop): exit 1
  cancelled,        // we were asked to stop
  left_early,       // a second signal or the grace time ended the run before it was drained: exit 3
  disk,             // the spool or the dead-letter file could not be written
};

const boost::system::error_category& keyferry_category();
boost::system::error_code make_error_code(Errc code);

// An error with its context, outermost first: "source 127.0.0.1:6379: read: End of file".
struct [[nodiscard]] Error {
  boost::system::error_code code;
  std::string what;

  Error() = default;
  Error(Errc c, std::string text) : code(make_error_code(c)), what(std::move(text)) {}

  explicit operator bool() const { return static_cast<bool>(code); }
  bool is(Errc c) const { return code == make_error_code(c); }
};

// Puts `context` in front: with_context("handshake", e) prints "handshake: <e>".
Error with_context(std::string_view context, Error error);

// The process exit code of interface "Exit codes" for an error (0 for none).
int exit_code(const Error& error);

[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

template <class T>
using Result = boost::system::result<T, Error>;

// Programmer errors only, never bytes from a socket or file. On in release builds.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace keyferry

namespace boost::system {
template <>
struct is_error_code_enum<keyferry::Errc> : std::true_type {};
}  // namespace boost::system

#define KEYFERRY_ASSERT(expression)    \
  ((expression) ? static_cast<void>(0) \
                : ::keyferry::assertion_failed(#expression, __FILE__, __LINE__))
