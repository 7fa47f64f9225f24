// RedisSink: texts of the snapshot that are too large to be held. No command can be cut, so such a
// text waits in a file until all of it is there, and the lane sends it from there.
#include "keyferry/base/log.hpp"
#include "keyferry/sink/redis_sink.hpp"

namespace keyferry {

Task<Error> RedisSink::add_part(const rdb::Element& element) {
  if (load_.skipping) co_return Error();
  if (!load_.large) {
    const auto room = static_cast<std::uint64_t>(options_.spool_max_bytes);
    if (element.whole_bytes > room) {
      co_return Error(Errc::data_refused,
                      fmt::format("key \"{}\" (database {}) holds a text of {} bytes, more than "
                                  "spool.max_bytes",
                                  escaped(load_.key), load_.db, element.whole_bytes));
    }
    load_.large = std::make_shared<LargeBody>(options_.spool_folder());
  }
  if (element.has_more) co_return co_await load_.large->text.append(element.value);
  co_return co_await send_large(element);
}

// Alone on its way: everything before it has been answered, and nothing follows before it is.
Task<Error> RedisSink::send_large(const rdb::Element& element) {
  const std::shared_ptr<LargeBody> body = std::exchange(load_.large, nullptr);
  send_part(load_.rewriter->take(), false);
  flush_keys();
  Error error = co_await idle();
  if (error) co_return error;

  rdb::Rewriter::Framed framed = load_.rewriter->frame(element);
  const auto cargo = std::make_shared<Cargo>();
  Unit unit;
  unit.slot = load_.slot;
  unit.db = load_.db;
  unit.commands = 0;  // the key counts with its last part
  unit.load = Load::other;
  unit.replies = framed.replies;
  unit.body = body.get();
  if (nodes_.is_cluster() && framed.replies > 1) {
    unit.replies += 2;
    framed.head.insert(0, "*1\r\n$5\r\nMULTI\r\n");
    framed.tail += "*1\r\n$4\r\nEXEC\r\n";
  }
  body->tail = std::move(framed.tail);
  body->what =
      fmt::format("a text of {} bytes of key \"{}\"", element.whole_bytes, escaped(load_.key));
  unit.wire = cargo->made.emplace_back(std::move(framed.head));
  cargo->body = body;

  LaneBatch batch;
  batch.received = Clock::now();
  batch.ticket = watermark_.open(load_position(), 1, batch.received);
  batch.cargo = cargo;
  batch.units.push_back(unit);
  ++outstanding_units_;
  outstanding_bytes_ += unit.wire.size();
  const std::uint16_t lane = lane_of_slot_[unit.slot];
  if (lane == held_lane) {
    holds_[unit.slot].later.push_back({unit, batch.cargo, batch.ticket, batch.received});
    settle_.notify();
  } else {
    lanes_[lane]->submit(std::move(batch));
  }
  load_.alone = true;
  co_return Error();
}

// A dead letter has to be whole.
Task<Error> RedisSink::read_whole(Unit unit, Bytes& whole) {
  const ScratchFile& text = unit.body->text;
  whole = unit.wire;
  std::uint64_t at = 0;
  const std::size_t before = whole.size();
  whole.resize(before + text.size_bytes());
  while (at < text.size_bytes()) {
    auto n = co_await text.read(at, whole.data() + before + at, whole.size() - before - at);
    if (!n) co_return n.error();
    at += *n;
  }
  whole += unit.body->tail;
  co_return Error();
}

}  // namespace keyferry
