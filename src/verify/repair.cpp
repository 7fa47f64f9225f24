#include "keyferry/verify/repair.hpp"

#include "keyferry/rdb/dump.hpp"
#include "keyferry/sink/claim.hpp"

namespace keyferry {
namespace {

// The options of a link mean a whole snapshot; here single keys are put in their places.
Options adapted(Options options) {
  name_instance(options);
  options.delivery_mode = Delivery::at_least_once;
  options.target_before = TargetBefore::keep;
  options.snapshot_on_existing_key = ExistingKey::replace;
  options.snapshot_mirror = false;
  return options;
}

}  // namespace

KeyRepair::KeyRepair(const asio::any_io_executor& executor, const Options& options)
    : options_(adapted(options)),
      sink_(executor, options_, watermark_),
      source_(executor, options_.source),
      reader_(source_, VerifyLevel::digest, "repair"),
      big_(executor, options_.source) {}

Task<Error> KeyRepair::open() {
  Result<Transform> compiled = Transform::compile(options_);
  if (!compiled) co_return compiled.error();
  transform_ = std::move(*compiled);
  if (transform_.is_active()) sink_.transform = &transform_;
  Error error = co_await source_.refresh();
  if (error) co_return with_context("source " + redacted(options_.source.uri), std::move(error));
  error = co_await sink_.open();
  if (!error) error = co_await refuse_beside_link();
  if (error) {
    sink_.stop();
    Error ignored = co_await sink_.run();  // lanes may have been started
  }
  co_return error;
}

// Behind the last copy, which has been answered.
Task<void> KeyRepair::close() {
  co_await sink_.restore_target();
  sink_.stop();
}

// Its connections have the link's name and another instance's token in theirs (sink/claim).
Task<Error> KeyRepair::refuse_beside_link() {
  const std::string& ours = options_.target.client_name;
  const std::string link = ours.substr(0, ours.rfind('-') + 1);
  for (const Endpoint& node : sink_.nodes().map().masters()) {
    Bytes command = make_command({"CLIENT", "LIST"});
    auto reply = co_await sink_.nodes().call(node, std::move(command),
                                             Millis(options_.target.reply_timeout_ms));
    if (!reply) co_return reply.error();
    if (reply->is_error()) {
      co_return Error(Errc::refused_by_peer,
                      "CLIENT LIST is needed to see whether the link runs: " + reply->text);
    }
    const ByteView list = reply->text;
    for (std::size_t at = list.find("name=" + link); at != ByteView::npos;
         at = list.find("name=" + link, at + 1)) {
      if (list.substr(at + 5).starts_with(ours)) continue;
      co_return Error(Errc::usage,
                      "this link is running: it must repair itself, in order with its stream "
                      "(keyferry verify --running --repair, or POST /verify?repair)");
    }
  }
  co_return Error();
}

Task<Error> KeyRepair::copy(const KeyList& keys) {
  auto looks = co_await reader_.read(keys);
  if (!looks) co_return with_context("source", looks.error());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Error error = co_await sink_.require_db(transform_.remap().db(keys[i].db));
    if (!error) error = co_await copy_one(keys[i].db, keys.name(i), (*looks)[i]);
    if (!error && sink_.must_pause()) error = co_await sink_.pause();
    if (error) co_return error;
  }
  sink_.flush_keys();
  co_return co_await sink_.idle();
}

Task<Error> KeyRepair::copy_one(std::int32_t db, ByteView key, const KeyLook& look) {
  Error error;
  switch (look.state) {
    case KeyLook::State::gone:
      error = put_gone(db, key);
      break;
    case KeyLook::State::here:
      error = co_await put_payload(db, key, look.payload, look.expire_ms);
      break;
    case KeyLook::State::big:
      error = co_await put_big(db, key);
      break;
    case KeyLook::State::moved:
    case KeyLook::State::refused:
      break;  // is looked at again, and found different
  }
  co_return error;
}

rdb::Event KeyRepair::event_of(std::int32_t db, ByteView key, std::int64_t expire_ms) {
  const Remap& remap = transform_.remap();
  rdb::Event event;
  name_ = remap.key(db, key);
  event.key = name_;
  event.db = remap.db(db);
  if (expire_ms > 0) event.expire_ms = expire_ms;
  if (remap.maps_ttl()) event.expire_ms = remap.expire(event.expire_ms);
  return event;
}

Task<Error> KeyRepair::put_payload(std::int32_t db, ByteView key, ByteView payload,
                                   std::int64_t expire_ms) {
  const auto dump = rdb::parse_dump(payload);
  if (!dump) co_return with_context("key \"" + escaped(key) + "\"", dump.error());
  rdb::Event event = event_of(db, key, expire_ms);
  event.kind = rdb::Event::Kind::key;
  event.type = dump->type;
  event.value = dump->value;
  event.key_meta = dump->key_meta;
  co_return sink_.put_key(event, dump->dialect, nullptr);
}

Task<Error> KeyRepair::put_big(std::int32_t db, ByteView key) {
  const std::size_t node = source_.node_of(key);
  if (node >= source_.nodes()) co_return Error();
  big_.ask(source_.host(node), false);
  auto found = co_await big_.begin(db, key);
  if (!found) co_return found.error();
  using Kind = BigKeyReader::Key::Kind;
  if (found->kind == Kind::refused) co_return Error();
  if (found->kind == Kind::gone) co_return put_gone(db, key);
  if (found->kind == Kind::whole)
    co_return co_await put_payload(db, key, found->payload, found->expire_ms);
  rdb::Event event = event_of(db, key, found->expire_ms);
  event.kind = rdb::Event::Kind::big_key;
  event.type = found->type;
  co_return co_await put_pieces(event);
}

Task<Error> KeyRepair::put_pieces(const rdb::Event& event) {
  Error error = sink_.begin_key(event, rdb::Dialect());
  while (!error) {
    auto elements = co_await big_.next();
    if (!elements) co_return elements.error();
    if (elements->empty()) break;
    for (const rdb::Element& element : *elements) {
      if (!error) error = sink_.add_element(element);
      if (!error && sink_.must_pause()) error = co_await sink_.pause();
    }
  }
  if (!error) error = co_await sink_.end_key(event);
  co_return error;
}

Error KeyRepair::put_gone(std::int32_t db, ByteView key) {
  const rdb::Event event = event_of(db, key, 0);
  return sink_.put_gone(event.key, event.db);
}

}  // namespace keyferry
