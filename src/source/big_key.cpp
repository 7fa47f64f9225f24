#include "keyferry/source/big_key.hpp"

#include <algorithm>
#include <cmath>

#include "keyferry/base/number.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace keyferry {
namespace {

using rdb::Element;

constexpr std::int64_t text_piece_bytes = 256 * 1024;
// What one reply should hold; elements are asked for by number, which follows from the last reply.
constexpr std::size_t reply_bytes = 512 * 1024;
constexpr std::int64_t first_page = 128;
constexpr std::int64_t page_max = 10000;
constexpr std::int64_t pending_page = 1000;

// The value behind `name` in a flat list of names and values.
const RespValue* field(const RespValue& flat, ByteView name) {
  for (std::size_t i = 0; i + 1 < flat.items.size(); i += 2) {
    if (flat.items[i].text == name) return &flat.items[i + 1];
  }
  return nullptr;
}

rdb::StreamId id_of(const RespValue* value) {
  rdb::StreamId id;
  if (value != nullptr) big_key::parse_stream_id(value->text, id);
  return id;
}

std::int64_t integer_of(const RespValue* value, std::int64_t missing) {
  return value != nullptr && value->kind == RespValue::Kind::integer ? value->integer : missing;
}

std::size_t bytes_of(const RespValue& value) {
  std::size_t bytes = value.text.size() + 16;
  for (const RespValue& item : value.items)
    bytes += bytes_of(item);
  return bytes;
}

std::string next_id(const rdb::StreamId& id) {
  return std::to_string(id.ms) + "-" + std::to_string(id.seq + 1);
}

// The type byte that stands for what TYPE answers (format.hpp: 1 list, 2 set, 5 zset_2, 4 hash).
bool type_byte(ByteView kind, std::uint8_t& type) {
  struct Row {
    ByteView kind;
    std::uint8_t type;
  };
  constexpr Row rows[] = {{"string", rdb::type::string},
                          {"list", 1},
                          {"set", 2},
                          {"zset", 5},
                          {"hash", 4},
                          {"stream", rdb::type::stream_listpacks_3}};
  for (const Row& row : rows) {
    if (row.kind != kind) continue;
    type = row.type;
    return true;
  }
  return false;
}

}  // namespace

namespace big_key {

bool parse_stream_id(ByteView text, rdb::StreamId& id) {
  const std::size_t dash = text.find('-');
  if (dash == ByteView::npos) return false;
  return read_number(text.substr(0, dash), id.ms) && read_number(text.substr(dash + 1), id.seq);
}

void append_items(const RespValue& reply, std::vector<Element>& out) {
  for (const RespValue& item : reply.items) {
    Element& element = out.emplace_back();
    element.kind = Element::Kind::item;
    element.value = item.text;
  }
}

void append_members(const RespValue& reply, std::vector<Element>& out) {
  for (const RespValue& item : reply.items) {
    Element& element = out.emplace_back();
    element.kind = Element::Kind::member;
    element.value = item.text;
  }
}

bool append_scores(const RespValue& reply, std::vector<Element>& out) {
  for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    Element& element = out.emplace_back();
    element.kind = Element::Kind::scored_member;
    element.value = reply.items[i].text;
    if (!read_number(ByteView(reply.items[i + 1].text), element.score)) return false;
  }
  return true;
}

void append_fields(const RespValue& reply, std::vector<Element>& out) {
  for (std::size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    Element& element = out.emplace_back();
    element.kind = Element::Kind::field;
    element.name = reply.items[i].text;
    element.value = reply.items[i + 1].text;
  }
}

bool append_entries(const RespValue& reply, std::vector<std::vector<ByteView>>& pairs,
                    std::vector<Element>& out) {
  pairs.clear();
  pairs.reserve(reply.items.size());
  for (const RespValue& item : reply.items) {
    Element& element = out.emplace_back();
    element.kind = Element::Kind::entry;
    if (item.items.size() != 2 || !parse_stream_id(item.items[0].text, element.id)) return false;
    std::vector<ByteView>& texts = pairs.emplace_back();
    for (const RespValue& text : item.items[1].items)
      texts.push_back(text.text);
    element.pairs = texts;
  }
  return true;
}

}  // namespace big_key

void BigKeyReader::ask(HostPort host, bool is_replica) {
  if (is_open_ && host.host == host_.host && host.port == host_.port) return;
  connection_.close();
  is_open_ = false;
  host_ = std::move(host);
  is_replica_ = is_replica;
}

Task<Error> BigKeyReader::connect() {
  if (is_open_) co_return Error();
  Error error = co_await connection_.open(options_, host_, "big-keys");
  if (error) co_return error;
  if (is_replica_) {
    Bytes readonly = make_command({"READONLY"});
    auto reply = co_await connection_.call(std::move(readonly), Millis(options_.reply_timeout_ms));
    if (!reply) co_return reply.error();
  }
  selected_ = 0;
  is_open_ = true;
  co_return Error();
}

Task<Result<RespValue>> BigKeyReader::call(Bytes command) {
  auto reply = co_await connection_.call(std::move(command), Millis(options_.reply_timeout_ms));
  if (!reply) is_open_ = false;
  co_return reply;
}

Task<Result<BigKeyReader::Key>> BigKeyReader::begin(std::int32_t db, ByteView key) {
  key_.assign(key);
  stage_ = Stage::over;
  Error error = co_await connect();
  if (error) co_return error;
  if (db != selected_) {
    Bytes select = make_command({"SELECT", std::to_string(db)});
    auto selected = co_await call(std::move(select));
    if (!selected) co_return selected.error();
    selected_ = db;
  }
  Key out;
  Bytes ask_type = make_command({"TYPE", key_});
  auto kind = co_await call(std::move(ask_type));
  if (!kind) co_return kind.error();
  if (kind->is_error()) {
    out.kind = Key::Kind::refused;
    out.payload = "TYPE: " + kind->text;
    co_return out;
  }
  kind_ = kind->text;
  if (kind_ == "none") co_return out;
  error = co_await read_expiry(out);
  if (error) co_return error;
  out.kind = Key::Kind::pieces;
  if (type_byte(kind_, out.type)) {
    stage_ = Stage::value;
    cursor_ = "0";
    at_ = 0;
    page_ = first_page;
    co_return out;
  }
  Bytes dump = make_command({"DUMP", key_});
  auto payload = co_await call(std::move(dump));
  if (!payload) co_return payload.error();
  out.kind = payload->is_error()  ? Key::Kind::refused
             : payload->is_null() ? Key::Kind::gone
                                  : Key::Kind::whole;
  out.payload = std::move(payload->text);
  co_return out;
}

Task<Error> BigKeyReader::read_expiry(Key& out) {
  Bytes wire = make_command({"TIME"});
  append_command(wire, {"PTTL", key_});
  append_command(wire, {"PEXPIRETIME", key_});
  auto replies =
      co_await connection_.call_all(std::move(wire), 3, Millis(options_.reply_timeout_ms));
  if (!replies) {
    is_open_ = false;
    co_return replies.error();
  }
  clock_ms_ = time_ms((*replies)[0]).value_or(0);
  const std::int64_t left = (*replies)[1].integer;
  const RespValue& at = (*replies)[2];
  if (at.kind == RespValue::Kind::integer) {
    if (at.integer > 0) out.expire_ms = at.integer;
  } else if (left >= 0) {
    out.expire_ms = clock_ms_ + left;
  }
  co_return Error();
}

Task<Result<std::span<const Element>>> BigKeyReader::next() {
  elements_.clear();
  while (elements_.empty() && stage_ != Stage::over) {
    Error error;
    switch (stage_) {
      case Stage::value:
        error = co_await read_value();
        break;
      case Stage::stream_info:
        error = co_await read_stream_info();
        break;
      case Stage::groups:
        error = co_await read_groups();
        break;
      case Stage::group:
        error = co_await read_group();
        break;
      case Stage::over:
        break;
    }
    if (error) co_return with_context("large value", std::move(error));
  }
  co_return std::span<const Element>(elements_);
}

// An error reply (WRONGTYPE, MOVED) or nothing: the key has changed and will be read again.
Task<Error> BigKeyReader::read_value() {
  if (kind_ == "string") return read_text();
  if (kind_ == "list") return read_list();
  if (kind_ == "set") return read_scan("SSCAN");
  if (kind_ == "zset") return read_scan("ZSCAN");
  if (kind_ == "hash") return read_scan("HSCAN");
  return read_entries();
}

Task<Error> BigKeyReader::read_text() {
  const std::string last = std::to_string(at_ + text_piece_bytes - 1);
  Bytes command = make_command({"GETRANGE", key_, std::to_string(at_), last});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  reply_ = std::move(*reply);
  if (reply_.is_error() || reply_.text.empty()) {
    stage_ = Stage::over;
    co_return Error();
  }
  at_ += static_cast<std::int64_t>(reply_.text.size());
  Element& element = elements_.emplace_back();
  element.kind = Element::Kind::text;
  element.value = reply_.text;
  co_return Error();
}

Task<Error> BigKeyReader::read_list() {
  const std::string last = std::to_string(at_ + page_ - 1);
  Bytes command = make_command({"LRANGE", key_, std::to_string(at_), last});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  reply_ = std::move(*reply);
  big_key::append_items(reply_, elements_);
  at_ += static_cast<std::int64_t>(elements_.size());
  adapt_page(bytes_of(reply_));
  if (elements_.empty()) stage_ = Stage::over;
  co_return Error();
}

Task<Error> BigKeyReader::read_scan(ByteView verb) {
  Bytes command = make_command({verb, key_, cursor_, "COUNT", std::to_string(page_)});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  reply_ = std::move(*reply);
  if (reply_.items.size() != 2) {
    stage_ = Stage::over;
    co_return Error();
  }
  cursor_ = reply_.items[0].text;
  if (cursor_ == "0") stage_ = Stage::over;
  const RespValue& page = reply_.items[1];
  adapt_page(bytes_of(page));
  if (kind_ == "set") big_key::append_members(page, elements_);
  if (kind_ == "zset" && !big_key::append_scores(page, elements_))
    co_return Error(Errc::corrupt, "ZSCAN: a score that is none");
  if (kind_ != "hash") co_return Error();
  big_key::append_fields(page, elements_);
  co_return co_await read_field_expiries();
}

// HPEXPIRETIME. Redis 7.4, Valkey 9.0.
Task<Error> BigKeyReader::read_field_expiries() {
  if (!has_field_ttls_ || elements_.empty()) co_return Error();
  const std::string count = std::to_string(elements_.size());
  std::vector<ByteView> args = {"HPEXPIRETIME", key_, "FIELDS", count};
  for (const Element& element : elements_)
    args.push_back(element.name);
  Bytes command;
  append_command(command, std::span<const ByteView>(args));
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) {
    has_field_ttls_ = false;
    co_return Error();
  }
  for (std::size_t i = 0; i < elements_.size() && i < reply->items.size(); ++i)
    elements_[i].expire_ms = std::max<std::int64_t>(0, reply->items[i].integer);
  co_return Error();
}

Task<Error> BigKeyReader::read_entries() {
  const std::string from = cursor_ == "0" ? "-" : cursor_;
  Bytes command = make_command({"XRANGE", key_, from, "+", "COUNT", std::to_string(page_)});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  reply_ = std::move(*reply);
  if (reply_.is_error()) {
    stage_ = Stage::over;
    co_return Error();
  }
  if (!big_key::append_entries(reply_, pairs_, elements_))
    co_return Error(Errc::corrupt, "XRANGE: an entry that is none");
  adapt_page(bytes_of(reply_));
  if (elements_.empty()) {
    stage_ = Stage::stream_info;
  } else {
    cursor_ = next_id(elements_.back().id);
  }
  co_return Error();
}

Task<Error> BigKeyReader::read_stream_info() {
  Bytes command = make_command({"XINFO", "STREAM", key_});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  stage_ = reply->is_array() ? Stage::groups : Stage::over;
  if (!reply->is_array()) co_return Error();
  Element& info = elements_.emplace_back();
  info.kind = Element::Kind::stream_info;
  info.length = static_cast<std::uint64_t>(integer_of(field(*reply, "length"), 0));
  info.last_id = id_of(field(*reply, "last-generated-id"));
  info.first_id = id_of(field(*reply, "recorded-first-entry-id"));
  info.max_deleted_id = id_of(field(*reply, "max-deleted-entry-id"));
  const auto length = static_cast<std::int64_t>(info.length);
  info.entries_added =
      static_cast<std::uint64_t>(integer_of(field(*reply, "entries-added"), length));
  co_return Error();
}

Task<Error> BigKeyReader::read_groups() {
  Bytes command = make_command({"XINFO", "GROUPS", key_});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  groups_.clear();
  for (const RespValue& one : reply->items) {
    const RespValue* name = field(one, "name");
    if (name == nullptr) continue;
    Group& group = groups_.emplace_back();
    group.name = name->text;
    group.last_id = id_of(field(one, "last-delivered-id"));
    group.entries_read = integer_of(field(one, "entries-read"), -1);
  }
  at_ = 0;
  stage_ = Stage::group;
  co_return Error();
}

// The pending entries of a group, then its consumers with theirs.
Task<Error> BigKeyReader::read_group() {
  if (at_ == static_cast<std::int64_t>(groups_.size())) {
    stage_ = Stage::over;
    co_return Error();
  }
  const Group& group = groups_[static_cast<std::size_t>(at_++)];
  Element& head = elements_.emplace_back();
  head.kind = Element::Kind::group;
  head.name = group.name;
  head.last_id = group.last_id;
  head.entries_read = group.entries_read;
  pending_.clear();
  std::string from = "-";
  const std::string count = std::to_string(pending_page);
  while (true) {
    Bytes command = make_command({"XPENDING", key_, group.name, from, "+", count});
    auto page = co_await call(std::move(command));
    if (!page) co_return page.error();
    for (const RespValue& item : page->items) {
      if (item.items.size() != 4) co_return Error(Errc::corrupt, "XPENDING: no entry");
      Pending& pending = pending_.emplace_back();
      pending.id = id_of(&item.items[0]);
      pending.consumer = item.items[1].text;
      Element& element = elements_.emplace_back();
      element.kind = Element::Kind::pending;
      element.id = pending.id;
      element.delivered_ms = clock_ms_ - item.items[2].integer;
      element.deliveries = static_cast<std::uint64_t>(item.items[3].integer);
    }
    if (page->items.size() < static_cast<std::size_t>(pending_page)) break;
    if (pending_.size() > pending_max_) {
      co_return Error(Errc::data_refused, "more than " + std::to_string(pending_max_) +
                                              " pending entries in group \"" + escaped(group.name) +
                                              "\"");
    }
    from = next_id(pending_.back().id);
  }
  Bytes command = make_command({"XINFO", "CONSUMERS", key_, group.name});
  auto consumers = co_await call(std::move(command));
  if (!consumers) co_return consumers.error();
  reply_ = std::move(*consumers);
  for (const RespValue& one : reply_.items) {
    const RespValue* name = field(one, "name");
    if (name == nullptr) continue;
    Element& consumer = elements_.emplace_back();
    consumer.kind = Element::Kind::consumer;
    consumer.name = name->text;
    for (const Pending& pending : pending_) {
      if (pending.consumer != name->text) continue;
      Element& owned = elements_.emplace_back();
      owned.kind = Element::Kind::owned;
      owned.id = pending.id;
    }
  }
  co_return Error();
}

void BigKeyReader::adapt_page(std::size_t bytes) {
  if (bytes < reply_bytes / 2) page_ = std::min(page_max, page_ * 2);
  if (bytes > reply_bytes * 2) page_ = std::max<std::int64_t>(1, page_ / 2);
}

}  // namespace keyferry
