// What lets a transaction to a standalone target be executed before the verdict on the one before
// it is known, and still never when that one was refused. Two fields of the fence stand for each of
// the last transactions: `due:N` is there until number N was executed, `ran:N` since. In front of
// number N+1, after WATCH and outside of its MULTI, ran:N is set if it is missing and due:N removed
// if it is there: either changes the watched fence, and the EXEC behind it does nothing. So
// whatever is the reason that N was not executed, N+1 is not, and for that reason N+2.
//
//   WATCH fence   HSETNX fence ran:N 1   HDEL fence due:N                       (check)
//   MULTI   commands   HMSET fence due:N 1 ran:N+1 1   HDEL fence due:N+1 ran:N  (step)   EXEC
//
// Both are needed: HSETNX is refused by a server without memory, where memory may come back before
// the transaction; HDEL never is, but sees nothing where somebody removed the fence or took it
// over. What refuses all writes (READONLY, NOREPLICAS, MISCONF) and ends between a check and the
// MULTI right behind it lets one overtake: its verdict shows that, and everything is copied again.
// Numbers repeat, so no more than max_unjudged may be without a verdict. Pure. Redis 2.8 and later
// (HMSET; HSET takes several fields since 4.0).
#pragma once

#include <array>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

// A field of a fence that is no instance's token.
bool is_guard(ByteView field);

class GuardRing {
 public:
  static constexpr std::size_t size = 32;
  static constexpr std::size_t max_unjudged = size - 1;
  // Commands in step() and anew(): replies inside of the transaction.
  static constexpr std::uint32_t step_commands = 2;
  static constexpr std::uint32_t anew_commands = 2;
  // Commands in check() behind WATCH: replies outside of it.
  static constexpr std::uint32_t check_commands = 2;

  GuardRing(const std::string& fence, const std::string& token);

  static std::size_t next(std::size_t number) { return (number + 1) % size; }
  // In front of the successor of `number`. Bytes of all three live as long as the ring.
  ByteView check(std::size_t number) const { return check_[number]; }
  // Inside of `number`, which comes behind another one of the ring.
  ByteView step(std::size_t number) const { return step_[number]; }
  // Inside of number 0, whatever the fence says; nothing may follow it without its verdict.
  ByteView anew() const { return anew_; }

 private:
  std::array<Bytes, size> check_;
  std::array<Bytes, size> step_;
  Bytes anew_;
};

}  // namespace keyferry
