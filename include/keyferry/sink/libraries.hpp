// Which function libraries a file holds, where several masters of a cluster each tell of the same
// ones: every library once, whatever the number of masters. Knows names and digests of their code.
// Pure.
#pragma once

#include <map>
#include <span>
#include <string>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class Libraries {
 public:
  enum class Known { no, same, other };

  // Another file, or all data are gone.
  void clear() { digests_.clear(); }
  // A library of a snapshot. Known::no: now it is there. Known::other: one of that name has another
  // code, and stays.
  Known add(ByteView code);
  // Whether a FUNCTION command of a stream changes anything, and then that it did. Subcommands that
  // nobody knows here do.
  bool take(std::span<const ByteView> args);

 private:
  bool load(ByteView code);
  bool forget(ByteView name);

  // Of the code, by name; where that is not understood, by the digest itself: such libraries are
  // told apart by nothing else.
  std::map<std::string, std::uint64_t, std::less<>> digests_;
};

// "mylib" of a code that begins with "#!lua name=mylib"; "" when it says no name that is
// understood.
std::string library_name(ByteView code);

}  // namespace keyferry
