// How far a record in the target says that the stream has come. Behind the last effect a source
// sends pings, and greetings of its Sentinels; an old master goes on with them for a moment behind
// a failover. A record that said it has them would not be of the new master's history, so it says
// where the effects end, until what follows is too old to come from such a moment. Pure.
#pragma once

#include <optional>

#include "keyferry/command/batch.hpp"

namespace keyferry {

class QuietTail {
 public:
  // By then an old master that can be reached follows the new one: Sentinel asks it who it is every
  // ten seconds.
  static constexpr std::int64_t old_ms = 60000;

  // The stream has come to `end`, its effects to `effects`; the result is what a record may say.
  // Nothing of it goes back.
  StreamPoint recordable(StreamPoint effects, StreamPoint end, TimePoint received);

 private:
  struct Waiting {
    StreamPoint point;
    TimePoint received;
  };
  StreamPoint recordable_;
  std::optional<Waiting> waiting_;  // of the tail
};

}  // namespace keyferry
