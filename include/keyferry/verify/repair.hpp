// Copies single keys again, from source to target, where no link runs between them: each in the
// form and with the care of a snapshot's (sink/load). While a link runs, it must do this itself, in
// order with its stream. Executor thread only.
#pragma once

#include "keyferry/sink/redis_sink.hpp"
#include "keyferry/verify/key_reader.hpp"

namespace keyferry {

class KeyRepair {
 public:
  KeyRepair(const asio::any_io_executor& executor, const Options& options);

  // Reaches both ends. Errc::usage: a link of this name is at work on the target.
  Task<Error> open();
  // Carries everything out until close().
  Task<Error> run() { return sink_.run(); }
  Task<void> close();

  // Makes the target's keys what the source's are now; answered when it returns.
  Task<Error> copy(const KeyList& keys);

 private:
  Task<Error> refuse_beside_link();
  Task<Error> copy_one(std::int32_t db, ByteView key, const KeyLook& look);
  Task<Error> put_payload(std::int32_t db, ByteView key, ByteView payload, std::int64_t expire_ms);
  Task<Error> put_big(std::int32_t db, ByteView key);
  Task<Error> put_pieces(const rdb::Event& event);
  rdb::Event event_of(std::int32_t db, ByteView key, std::int64_t expire_ms);
  Error put_gone(std::int32_t db, ByteView key);

  Options options_;  // ours: the sink takes some of them for a whole snapshot's
  Watermark watermark_;
  Transform transform_;
  RedisSink sink_;
  KeyPlaces source_;
  KeyReader reader_;
  BigKeyReader big_;
  Bytes name_;  // of the event under way, in the target
};

}  // namespace keyferry
