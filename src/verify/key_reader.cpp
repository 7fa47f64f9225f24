#include "keyferry/verify/key_reader.hpp"

#include <algorithm>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr std::int64_t give_up_after_ms = 10'000;
constexpr std::uint64_t values_max_bytes = 4 * 1024 * 1024;  // asked for at once, of one node
// Of one read() over all nodes; what is beyond that is called big, and comes in pieces later.
constexpr std::uint64_t read_max_bytes = 16 * 1024 * 1024;
constexpr std::size_t read_size = 128 * 1024;
constexpr std::size_t kept_buffer_bytes = 4 * 1024 * 1024;

Task<Error> read_into(Stream& stream, char* data, std::size_t size, std::size_t& n) {
  auto result = co_await stream.read_some(data, size);
  n = result ? *result : 0;
  co_return result ? Error() : result.error();
}

KeyLook::State state_of_error(ByteView error) {
  const bool is_moving = error.starts_with("MOVED ") || error.starts_with("ASK ");
  return is_moving || is_passing_trouble(error) ? KeyLook::State::moved : KeyLook::State::refused;
}

Error not_as_asked() {
  return {Errc::corrupt, "a reply is not what was asked for"};
}

}  // namespace

Reading reading_of(const KeyLook& look, std::int64_t now_ms) {
  Reading out;
  if (look.state == KeyLook::State::gone) out.state = Reading::State::gone;
  if (look.state != KeyLook::State::here) return out;
  out.state = Reading::State::here;
  out.expire_ms = look.expire_ms;
  out.digest.kind = look.kind;
  if (!look.payload.empty()) out.digest = digest_of_dump(look.payload, now_ms);
  return out;
}

void KeyReader::close() {
  for (const auto& node : nodes_)
    node->connection.close();
  nodes_.clear();
  map_version_ = std::numeric_limits<std::uint64_t>::max();
  big_.close();
}

Task<Result<std::span<const KeyLook>>> KeyReader::read(const KeyList& keys) {
  const TimePoint begin = Clock::now();
  Backoff backoff(Millis(20), Millis(1000));
  while (true) {
    Error error = co_await try_to_read(keys);
    if (!error) break;
    close();
    const bool may_try_again = error.is(Errc::unreachable);
    if (!may_try_again || elapsed_ms(begin, Clock::now()) > give_up_after_ms)
      co_return with_context(redacted(places_.options().uri), std::move(error));
    co_await sleep_for(backoff.next());
    error = co_await places_.refresh();
    if (error && !error.is(Errc::unreachable)) co_return error;
  }
  for (std::size_t i = 0; i < looks_.size(); ++i) {
    const Span& span = spans_[i];
    if (span.node == nullptr) continue;
    const ByteView bytes = ByteView(span.node->replies).substr(span.at, span.size);
    (looks_[i].state == KeyLook::State::refused ? looks_[i].text : looks_[i].payload) = bytes;
  }
  co_return std::span<const KeyLook>(looks_);
}

Task<Error> KeyReader::try_to_read(const KeyList& keys) {
  deal_out(keys);
  for (const auto& node : nodes_) {
    if (node->asked.empty() || node->is_open) continue;
    Error error = co_await open(*node);
    if (error) co_return error;
  }
  if (level_ == VerifyLevel::exists) {
    bool all = false;
    Error error = co_await ask_whether_all_exist(keys, all);
    if (error || all) co_return error;
  }
  if (level_ == VerifyLevel::exists || level_ == VerifyLevel::ttl)
    co_return co_await ask_facts(keys);
  KeyRequest::Limits limits;
  limits.big_bytes = big_bytes;
  for (const auto& node : nodes_) {
    if (node->asked.empty()) continue;
    node->request = KeyRequest(ways_, limits);
    node->request.ask_sizes(std::move(node->keys), node->selected);
    Error error = co_await write(*node, node->request.wire());
    if (error) co_return error;
  }
  for (const auto& node : nodes_) {
    if (node->asked.empty()) continue;
    Error error = co_await take_sizes(*node);
    if (error) co_return error;
  }
  co_return co_await ask_values();
}

// Which node is asked for which keys.
void KeyReader::deal_out(const KeyList& keys) {
  if (map_version_ != places_.version()) {
    nodes_.clear();
    for (std::size_t i = 0; i < places_.nodes(); ++i)
      nodes_.push_back(std::make_unique<Node>(places_.executor(), places_.host(i)));
    map_version_ = places_.version();
  }
  for (const auto& node : nodes_) {
    node->asked.clear();
    node->keys.clear();
    node->next = node->filled = node->taken = 0;
    if (node->replies.capacity() > kept_buffer_bytes) node->replies = Bytes();
  }
  looks_.assign(keys.size(), KeyLook());
  spans_.assign(keys.size(), Span());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::size_t at = places_.node_of(keys.name(i));
    if (at >= nodes_.size()) continue;
    nodes_[at]->asked.push_back(i);
    nodes_[at]->keys.add(keys.name(i), keys[i]);
  }
}

Task<Error> KeyReader::open(Node& node) {
  Error error = co_await node.connection.open(places_.options(), node.host, name_);
  node.is_open = !error;
  node.selected = 0;
  co_return error;
}

Task<Error> KeyReader::take_sizes(Node& node) {
  while (true) {
    std::size_t consumed = 0;
    ReadKey ignored;
    const ByteView unread = ByteView(node.replies).substr(node.taken, node.filled - node.taken);
    const KeyRequest::Status status = node.request.next(unread, consumed, ignored);
    node.taken += consumed;
    if (status == KeyRequest::Status::head_done) break;
    if (status == KeyRequest::Status::refused) co_return narrow(node);
    if (status != KeyRequest::Status::need_more) co_return not_as_asked();
    Error error = co_await fill(node);
    if (error) co_return error;
  }
  node.keys = std::move(node.request.sizes());
  co_return Error();
}

// The next keys of a node whose values are asked for at once.
KeyList KeyReader::take_some(Node& node, std::uint64_t& total_bytes) {
  KeyList keys;
  std::uint64_t bytes = 0;
  node.under_way.clear();
  for (; node.next < node.keys.size() && bytes < values_max_bytes; ++node.next) {
    const KeyList::Entry& entry = node.keys[node.next];
    if (total_bytes + bytes > read_max_bytes) {
      looks_[node.asked[node.next]].state = KeyLook::State::big;
      continue;
    }
    bytes += std::min(entry.value_bytes, big_bytes);
    node.under_way.push_back(node.asked[node.next]);
    keys.add(node.keys.name(node.next), entry);
  }
  total_bytes += bytes;
  return keys;
}

// A few megabytes of each node at a time.
Task<Error> KeyReader::ask_values() {
  KeyRequest::Limits limits;
  limits.big_bytes = big_bytes;
  std::uint64_t total_bytes = 0;
  bool asked_any = true;
  while (asked_any) {
    asked_any = false;
    for (const auto& node : nodes_) {
      KeyList keys = take_some(*node, total_bytes);
      if (keys.empty()) continue;
      asked_any = true;
      node->request = KeyRequest(ways_, limits);
      node->request.read(std::move(keys), node->selected);
      Error error = co_await write(*node, node->request.wire());
      if (error) co_return error;
    }
    for (const auto& node : nodes_) {
      if (node->under_way.empty()) continue;
      Error error = co_await take_values(*node);
      if (error) co_return error;
    }
  }
  co_return Error();
}

Task<Error> KeyReader::take_values(Node& node) {
  std::size_t done = 0;
  while (true) {
    std::size_t consumed = 0;
    ReadKey key;
    const ByteView unread = ByteView(node.replies).substr(node.taken, node.filled - node.taken);
    const KeyRequest::Status status = node.request.next(unread, consumed, key);
    node.taken += consumed;
    if (status == KeyRequest::Status::done) break;
    if (status == KeyRequest::Status::head_done) continue;
    if (status == KeyRequest::Status::refused) co_return narrow(node);
    if (status == KeyRequest::Status::corrupt) co_return not_as_asked();
    if (status == KeyRequest::Status::need_more) {
      Error error = co_await fill(node);
      if (error) co_return error;
      continue;
    }
    const std::size_t i = node.under_way[done++];
    KeyLook& look = looks_[i];
    switch (key.kind) {
      case ReadKey::Kind::value:
        look.state = KeyLook::State::here;
        look.kind = value_kind_of_payload(key.payload);
        look.expire_ms = key.expire_ms;
        keep(spans_[i], node, key.payload);
        break;
      case ReadKey::Kind::gone:
        look.state = KeyLook::State::gone;
        break;
      case ReadKey::Kind::big:
        look.state = KeyLook::State::big;
        break;
      case ReadKey::Kind::moved:
      case ReadKey::Kind::refused:
        look.state = state_of_error(key.text);
        if (look.state == KeyLook::State::refused) keep(spans_[i], node, key.text);
        break;
    }
  }
  co_return Error();
}

// The usual answer, for a hundredth of the work: where one EXISTS may name all keys.
Task<Error> KeyReader::ask_whether_all_exist(const KeyList& keys, bool& all) {
  if (places_.is_cluster() || keys.empty()) co_return Error();
  Node& node = *nodes_.front();
  std::vector<ByteView> command = {"EXISTS"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].db != keys[0].db) co_return Error();
    command.push_back(keys.name(i));
  }
  const bool selects = keys[0].db != node.selected;
  node.wire.clear();
  if (selects) append_command(node.wire, {"SELECT", std::to_string(keys[0].db)});
  append_command(node.wire, command);
  Error error = co_await write(node, node.wire);
  ReplyToken token;
  if (!error && selects) error = co_await next(node, token);
  if (error) co_return error;
  if (selects && token.is_error())
    co_return Error(Errc::refused_by_peer, "SELECT: " + std::string(token.text));
  node.selected = keys[0].db;
  error = co_await next(node, token);
  all = !error && !token.is_error() && token.integer == static_cast<std::int64_t>(keys.size());
  for (std::size_t i = 0; all && i < keys.size(); ++i)
    looks_[i].state = KeyLook::State::here;
  co_return error;
}

// EXISTS, or TYPE and the expiry.
Task<Error> KeyReader::ask_facts(const KeyList& keys) {
  const bool is_exists = level_ == VerifyLevel::exists;
  for (const auto& node : nodes_) {
    if (node->asked.empty()) continue;
    node->wire.clear();
    if (!is_exists && !ways_.pexpiretime) append_command(node->wire, {"TIME"});
    std::int32_t selected = node->selected;
    for (const std::size_t i : node->asked) {
      if (keys[i].db != selected) {
        selected = keys[i].db;
        append_command(node->wire, {"SELECT", std::to_string(selected)});
      }
      append_command(node->wire, {is_exists ? "EXISTS" : "TYPE", keys.name(i)});
      if (is_exists) continue;
      append_command(node->wire, {ways_.pexpiretime ? "PEXPIRETIME" : "PTTL", keys.name(i)});
    }
    Error error = co_await write(*node, node->wire);
    if (error) co_return error;
  }
  for (const auto& node : nodes_) {
    if (node->asked.empty()) continue;
    Error error = co_await take_facts(*node);
    if (error) co_return error;
  }
  co_return Error();
}

Task<Error> KeyReader::take_facts(Node& node) {
  const bool is_exists = level_ == VerifyLevel::exists;
  ReplyToken token;
  std::int64_t now_ms = 0;
  if (!is_exists && !ways_.pexpiretime) {
    std::int64_t parts[3] = {};
    for (std::int64_t& part : parts) {
      Error error = co_await next(node, token);
      if (error) co_return error;
      part = leading_number(token.text);
    }
    now_ms = parts[1] * 1000 + parts[2] / 1000;
  }
  for (std::size_t at = 0; at < node.asked.size(); ++at) {
    KeyLook& look = looks_[node.asked[at]];
    const std::int32_t db = node.keys[at].db;
    if (db != node.selected) {
      node.selected = db;
      Error error = co_await next(node, token);
      if (error) co_return error;
      if (token.is_error())
        co_return Error(Errc::refused_by_peer, "SELECT: " + std::string(token.text));
    }
    Error error = co_await next(node, token);
    if (error) co_return error;
    const bool is_error = token.is_error();
    if (is_error) {
      look.state = state_of_error(token.text);
      keep(spans_[node.asked[at]], node, token.text);
    } else if (is_exists) {
      look.state = token.integer > 0 ? KeyLook::State::here : KeyLook::State::gone;
    } else {
      look.state = token.text == "none" ? KeyLook::State::gone : KeyLook::State::here;
      look.kind = value_kind_of(token.text);
    }
    if (is_exists) continue;
    error = co_await next(node, token);
    if (error) co_return error;
    if (token.is_error() && !is_error && ways_.pexpiretime) {
      ways_.pexpiretime = false;
      co_return Error(Errc::unreachable, "no PEXPIRETIME");  // tried again without
    }
    if (token.integer == -2) look.state = KeyLook::State::gone;
    if (token.integer >= 0)
      look.expire_ms = ways_.pexpiretime ? token.integer : now_ms + token.integer;
  }
  co_return Error();
}

Task<Error> KeyReader::next(Node& node, ReplyToken& token) {
  while (true) {
    ReplyCursor cursor(ByteView(node.replies).substr(node.taken, node.filled - node.taken));
    const ReplyCursor::Status status = cursor.next(token);
    if (status == ReplyCursor::Status::corrupt) co_return not_as_asked();
    if (status == ReplyCursor::Status::token) {
      node.taken += cursor.consumed();
      co_return Error();
    }
    Error error = co_await fill(node);
    if (error) co_return error;
  }
}

Task<Error> KeyReader::fill(Node& node) {
  if (node.replies.size() < node.filled + read_size)
    node.replies.resize(std::max(node.filled + read_size, node.replies.size() * 2));
  std::size_t n = 0;
  Error error =
      co_await with_deadline(Millis(places_.options().reply_timeout_ms),
                             read_into(node.connection.stream(), node.replies.data() + node.filled,
                                       node.replies.size() - node.filled, n));
  node.filled += n;
  co_return error;
}

Task<Error> KeyReader::write(Node& node, const Bytes& wire) {
  if (wire.empty()) co_return Error();
  co_return co_await with_deadline(Millis(places_.options().reply_timeout_ms),
                                   node.connection.stream().write(wire));
}

// The server lacks or forbids a command: tried again without it, where that is possible.
Error KeyReader::narrow(Node& node) {
  const ReadWays& now = node.request.ways();
  const bool is_narrower =
      ways_.memory_usage != now.memory_usage || ways_.pexpiretime != now.pexpiretime;
  ways_.memory_usage = ways_.memory_usage && now.memory_usage;
  ways_.pexpiretime = ways_.pexpiretime && now.pexpiretime;
  const bool may_try_again = is_narrower || node.request.may_try_again();
  return {may_try_again ? Errc::unreachable : Errc::refused_by_peer, node.request.error()};
}

void KeyReader::keep(Span& span, const Node& node, ByteView bytes) const {
  span.node = &node;
  span.at = static_cast<std::size_t>(bytes.data() - node.replies.data());
  span.size = bytes.size();
}

Task<Result<Reading>> KeyReader::read_big(std::int32_t db, ByteView key, std::int64_t now_ms) {
  Reading out;
  const std::size_t at = places_.node_of(key);
  if (at >= places_.nodes()) co_return out;
  big_.ask(places_.host(at), false);
  auto found = co_await big_.begin(db, key);
  if (!found) co_return found.error();
  using Kind = BigKeyReader::Key::Kind;
  if (found->kind == Kind::gone) out.state = Reading::State::gone;
  if (found->kind == Kind::gone || found->kind == Kind::refused) co_return out;
  out.expire_ms = found->expire_ms;
  if (found->kind == Kind::whole) {
    out.digest = digest_of_dump(found->payload, now_ms);
  } else {
    ValueDigester digester(value_kind_of_payload(Bytes(1, static_cast<char>(found->type))), now_ms);
    while (true) {
      auto elements = co_await big_.next();
      if (!elements) co_return elements.error();
      if (elements->empty()) break;
      for (const rdb::Element& element : *elements)
        digester.add(element);
    }
    digester.forget_counters();  // old servers do not tell them
    out.digest = digester.digest();
  }
  out.state = Reading::State::here;
  co_return out;
}

}  // namespace keyferry
