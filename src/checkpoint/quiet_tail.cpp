#include "keyferry/checkpoint/quiet_tail.hpp"

namespace keyferry {

StreamPoint QuietTail::recordable(StreamPoint effects, StreamPoint end, TimePoint received) {
  if (effects.offset > recordable_.offset) {
    recordable_ = effects;
    waiting_.reset();
  }
  if (waiting_ && elapsed_ms(waiting_->received, received) >= old_ms) {
    recordable_ = waiting_->point;
    waiting_.reset();
  }
  if (!waiting_ && end.offset > recordable_.offset) waiting_ = Waiting{end, received};
  return recordable_;
}

}  // namespace keyferry
