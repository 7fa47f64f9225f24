#include "keyferry/checkpoint/watermark.hpp"

#include "keyferry/base/error.hpp"

namespace keyferry {

void Watermark::reset(Offset offset) {
  first_ += open_.size();
  open_.clear();
  outstanding_ = 0;
  applied_ = offset;
}

Watermark::Ticket Watermark::open(Offset end, std::uint64_t pending, TimePoint received) {
  KEYFERRY_ASSERT(end >= (open_.empty() ? applied_ : open_.back().end));
  const Ticket ticket = first_ + open_.size();
  open_.push_back({end, pending, received});
  outstanding_ += pending;
  advance();
  return ticket;
}

void Watermark::add(Ticket ticket, std::uint64_t pending) {
  Stretch& stretch = stretch_of(ticket);
  KEYFERRY_ASSERT(stretch.pending > 0);
  stretch.pending += pending;
  outstanding_ += pending;
}

void Watermark::ack(Ticket ticket, std::uint64_t count) {
  Stretch& stretch = stretch_of(ticket);
  KEYFERRY_ASSERT(stretch.pending >= count);
  stretch.pending -= count;
  outstanding_ -= count;
  if (ticket == first_) advance();
}

TimePoint Watermark::oldest(TimePoint now) const {
  return open_.empty() ? now : open_.front().received;
}

Watermark::Stretch& Watermark::stretch_of(Ticket ticket) {
  KEYFERRY_ASSERT(ticket >= first_ && ticket - first_ < open_.size());
  return open_[ticket - first_];
}

void Watermark::advance() {
  while (!open_.empty() && open_.front().pending == 0) {
    applied_ = open_.front().end;
    open_.pop_front();
    ++first_;
  }
}

}  // namespace keyferry
