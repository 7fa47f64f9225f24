#include "keyferry/sink/claim.hpp"

#include <random>

#include "keyferry/base/log.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/config/sources.hpp"
#include "keyferry/sink/guard_ring.hpp"

namespace keyferry {
namespace {

constexpr Millis lease_poll_interval{100};
// A lease is renewed three times before it would expire.
constexpr int renewals_per_lease = 3;
constexpr int hops_max = 5;

std::string random_token() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}", device(), device());
}

Error taken_over() {
  return Error(Errc::usage, "another instance of this link has taken over; this one stops");
}

// The value of "name=" in a line of CLIENT LIST.
ByteView client_field(ByteView line, ByteView name) {
  std::size_t at = line.find(name);
  while (at != ByteView::npos && at > 0 && line[at - 1] != ' ')
    at = line.find(name, at + 1);
  if (at == ByteView::npos) return {};
  const ByteView rest = line.substr(at + name.size());
  return rest.substr(0, rest.find(' '));
}

template <class Use>
void for_each_line(ByteView text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

// Instances that share a source have a link each.
std::string link_of(const Options& options) {
  std::string name = options.delivery_link;
  if (name.empty() && !options.sources.empty()) name = several_link;
  if (name.empty()) {
    std::string address = options.source.uri.path;
    for (const HostPort& host : options.source.uri.hosts)
      address += fmt::format("{}:{},", host.host, host.port);
    name = link_name(address);
  }
  if (const auto shard = parse_shard(options.filter.shard); shard && shard->of > 1)
    name += fmt::format(".{}of{}", shard->number, shard->of);
  return name;
}

void name_instance(Options& options) {
  options.instance = random_token();
  options.target.client_name = fmt::format("keyferry-{}-{}", link_of(options), options.instance);
}

Claim::Claim(const asio::any_io_executor& executor, const Options& options)
    : options_(options),
      token_(options.instance),
      link_(link_of(options)),
      keys_(own_keys(link_, "0")),
      connection_(executor),
      turn_(executor),
      halt_(executor) {}

Task<Error> Claim::take(HostPort host) {
  host_ = std::move(host);
  Error error = co_await wait_for_lease();
  if (!error) error = co_await kill_predecessors();
  if (error) co_return error;
  error = co_await set_fence(connection_);
  if (error) co_return error;
  Bytes command = make_command({"GET", keys_.record});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_null()) co_return Error();
  auto record = parse_record(reply->text);
  if (!record) {
    co_return Error(Errc::usage, keys_.record + " in the target: " + record.error().what +
                                     "; start with --restart to copy everything again");
  }
  found_ = std::move(*record);
  co_return Error();
}

Task<Error> Claim::take(TargetNodes& nodes) {
  nodes_ = &nodes;
  Error error = co_await wait_for_lease();
  if (!error) error = co_await kill_others(nodes);
  if (!error) error = co_await set_fence(connection_);
  co_return error;
}

Task<Error> Claim::kill_others(TargetNodes& nodes) {
  Error error;
  const std::vector<Endpoint> masters = nodes.map().masters();
  for (std::size_t i = 0; i < masters.size() && !error; ++i)
    error = co_await kill_others_at(nodes, masters[i]);
  co_return error;
}

Task<Error> Claim::kill_others_at(TargetNodes& nodes, Endpoint node) {
  const Millis limit(options_.target.reply_timeout_ms);
  Bytes command = make_command({"CLIENT", "LIST"});
  auto reply = co_await nodes.call(node, std::move(command), limit);
  if (!reply) co_return with_context("target " + to_string(node), reply.error());
  if (reply->is_error()) {
    co_return Error(Errc::refused_by_peer,
                    "CLIENT LIST is needed to fence off a predecessor: " + reply->text);
  }
  for (const std::string& id : predecessors_in(reply->text)) {
    log_warn("killing an earlier connection of the link: node={} id={}", to_string(node), id);
    command = make_command({"CLIENT", "KILL", "ID", id});
    auto killed = co_await nodes.call(node, std::move(command), limit);
    if (!killed) co_return killed.error();
    if (killed->is_error()) co_return Error(Errc::refused_by_peer, "CLIENT KILL: " + killed->text);
  }
  co_return Error();
}

// A lease of an instance that died expires; one that is renewed belongs to a living one.
Task<Error> Claim::wait_for_lease() {
  const std::string lease = std::to_string(lease_ms());
  std::int64_t lowest_ttl_ms = -1;
  bool told = false;
  while (!stopping_) {
    Bytes command = make_command({"SET", keys_.lease, token_, "NX", "PX", lease});
    auto reply = co_await call(std::move(command));
    if (!reply) co_return reply.error();
    if (reply->is_error()) {
      const bool passes = reply->text.starts_with("LOADING") || reply->text.starts_with("OOM") ||
                          reply->text.starts_with("BUSY");
      if (!passes) co_return Error(Errc::data_refused, "lease: " + reply->text);
    } else if (!reply->is_null()) {
      co_return Error();
    } else {
      command = make_command({"PTTL", keys_.lease});
      reply = co_await call(std::move(command));
      if (!reply) co_return reply.error();
      const std::int64_t ttl_ms = reply->integer;
      const bool renewed = lowest_ttl_ms >= 0 && ttl_ms > lowest_ttl_ms;
      if (renewed && !options_.standby) {
        co_return Error(Errc::usage, "another instance runs this link and holds its lease (" +
                                         keys_.lease + " in the target); --standby waits for it");
      }
      if (!std::exchange(told, true))
        log_info("waiting for the lease of another instance: ttl_ms={}", ttl_ms);
      lowest_ttl_ms = ttl_ms;
    }
    co_await halt_.wait_for(lease_poll_interval);
  }
  co_return Error(Errc::cancelled, "stopped");
}

// Whatever connection of this link is older than our lease belongs to a predecessor, and its bytes
// must not arrive any more.
Task<Error> Claim::kill_predecessors() {
  Bytes command = make_command({"CLIENT", "LIST"});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) {
    co_return Error(Errc::refused_by_peer,
                    "CLIENT LIST is needed to fence off a predecessor: " + reply->text);
  }
  const std::vector<std::string> ids = predecessors_in(reply->text);
  for (const std::string& id : ids) {
    log_warn("killing a connection of an earlier instance: id={}", id);
    command = make_command({"CLIENT", "KILL", "ID", id});
    auto killed = co_await call(std::move(command));
    if (!killed) co_return killed.error();
    if (killed->is_error()) co_return Error(Errc::refused_by_peer, "CLIENT KILL: " + killed->text);
  }
  co_return Error();
}

// CLIENT IDs of connections that bear the link's name, but not this instance's.
std::vector<std::string> Claim::predecessors_in(ByteView client_list) const {
  const std::string ours = options_.target.client_name;
  const std::string link = ours.substr(0, ours.rfind('-') + 1);
  std::vector<std::string> ids;
  for_each_line(client_list, [&](ByteView line) {
    const ByteView name = client_field(line, "name=");
    if (name.starts_with(link) && !name.starts_with(ours))
      ids.emplace_back(client_field(line, "id="));
  });
  return ids;
}

Task<Error> Claim::keep() {
  const Millis interval(lease_ms() / renewals_per_lease);
  while (!stopping_) {
    co_await halt_.wait_for(interval);
    if (stopping_) break;
    Error error = co_await renew();
    // The target being away means that nothing can be written anyway; the lanes retry.
    if (error && !error.is(Errc::unreachable) && !error.is(Errc::refused_by_peer)) co_return error;
    if (error) log_debug("lease cannot be renewed now: {}", error.what);
  }
  co_return Error();
}

Task<Error> Claim::renew() {
  while (busy_)
    co_await turn_.wait();
  busy_ = true;
  Error error = co_await renew_in_turn();
  busy_ = false;
  turn_.notify();
  co_return error;
}

Task<Error> Claim::renew_in_turn() {
  const std::string lease = std::to_string(lease_ms());
  Bytes command = make_command({"WATCH", keys_.lease});
  auto reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  command = make_command({"GET", keys_.lease});
  reply = co_await call(std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::unreachable, reply->text);
  const bool gone = reply->is_null();
  if (!gone && reply->text != token_) co_return taken_over();
  if (gone) {
    Error error = co_await hold_fence(connection_);
    if (error) co_return error;
  }
  for (const Bytes& step :
       {make_command({"MULTI"}), make_command({"SET", keys_.lease, token_, "PX", lease}),
        make_command({"EXEC"})}) {
    reply = co_await call(step);
    if (!reply) co_return reply.error();
    if (!reply->is_error()) continue;
    connection_.close();  // its server may be a replica by now
    open_ = false;
    co_return Error(Errc::unreachable, reply->text);
  }
  co_return Error();
}

// FLUSHALL by hand takes lease and fence with it.
Task<Error> Claim::renew_after_flush() {
  Error error = co_await renew();
  if (error && error.is(Errc::unreachable)) error = co_await renew();  // the connection was stale
  if (error) co_return error;
  while (busy_)
    co_await turn_.wait();
  busy_ = true;
  error = co_await set_fence(connection_);
  busy_ = false;
  turn_.notify();
  co_return error;
}

Task<void> Claim::let_go() {
  if (!open_) co_return;
  Bytes command = make_command({"GET", keys_.lease});
  auto reply = co_await call(std::move(command));
  if (!reply || reply->is_error() || reply->text != token_) co_return;
  command = make_command({"DEL", keys_.lease});
  reply = co_await call(std::move(command));
}

void Claim::stay_with(const HostPort& master) {
  if (!open_ || connection_.host() == master) return;
  connection_.close();
  if (!busy_) open_ = false;
}

void Claim::stop() {
  stopping_ = true;
  halt_.notify();
}

Task<Error> Claim::write(const Record& record) {
  Bytes text;
  append_record(text, record);
  co_return co_await write_text(keys_.record, std::move(text));
}

Task<Error> Claim::write_text(std::string key, Bytes text) {
  Backoff backoff(Millis(20), Millis(1000));
  const TimePoint begin = Clock::now();
  while (!stopping_) {
    Bytes command = make_command({"SET", key, text});
    auto reply = co_await ask(std::move(command));  // the lease is being kept meanwhile
    if (reply && !reply->is_error()) co_return Error();
    const std::string what = reply ? reply->text : reply.error().what;
    if (elapsed_ms(begin, Clock::now()) > options_.target.reconnect_max_s * 1000)
      co_return Error(Errc::unreachable, fmt::format("{} cannot be written: {}", key, what));
    log_debug("{} cannot be written now: {}", key, what);
    co_await halt_.wait_for(backoff.next());
  }
  co_return Error(Errc::cancelled, "stopped");
}

Task<Result<std::optional<Record>>> Claim::greet(Connection& connection,
                                                 std::string& last_client_id) {
  const Millis limit(options_.target.reply_timeout_ms);
  if (!last_client_id.empty()) {
    Error error = co_await kill_remains(connection, last_client_id);
    if (error) co_return error;
  }
  Bytes command = make_command({"CLIENT", "ID"});
  auto reply = co_await connection.call(std::move(command), limit);
  if (!reply) co_return reply.error();
  if (!reply->is_error()) last_client_id = std::to_string(reply->integer);

  command = make_command({"MGET", keys_.lease, keys_.record});
  reply = co_await connection.call(std::move(command), limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::unreachable, reply->text);
  if (reply->items.size() != 2) co_return Error(Errc::unreachable, "MGET gave no two values");
  const RespValue& lease = reply->items[0];
  if (!lease.is_null() && lease.text != token_) co_return taken_over();
  std::optional<Record> record;
  if (!reply->items[1].is_null()) {
    auto parsed = parse_record(reply->items[1].text);
    if (!parsed) co_return parsed.error();
    record = std::move(*parsed);
  }
  Error error = co_await hold_fence(connection);
  if (error) co_return error;
  co_return record;
}

Task<Error> Claim::greet_node(Connection& connection, std::string& last_client_id) {
  Error error = co_await kill_own(connection, last_client_id);
  if (error) co_return error;
  Bytes command = make_command({"CLIENT", "ID"});
  auto reply =
      co_await connection.call(std::move(command), Millis(options_.target.reply_timeout_ms));
  if (!reply) co_return reply.error();
  if (!reply->is_error()) last_client_id = std::to_string(reply->integer);
  co_return co_await check_lease();
}

Task<Result<RespValue>> Claim::ask(Bytes command) {
  while (busy_)
    co_await turn_.wait();
  busy_ = true;
  auto reply = co_await call(std::move(command));
  busy_ = false;
  turn_.notify();
  co_return reply;
}

Task<Error> Claim::kill_own(Connection& connection, const std::string& id) {
  if (id.empty()) co_return Error();
  co_return co_await kill_remains(connection, id);
}

// Whoever takes over kills our connections; one that is made afterwards learns of it here. The
// lease's node being away means that nobody can take over, but nor can we know.
Task<Error> Claim::check_lease() {
  while (busy_)
    co_await turn_.wait();
  busy_ = true;
  Bytes command = make_command({"GET", keys_.lease});
  auto lease = co_await call(std::move(command));
  busy_ = false;
  turn_.notify();
  if (!lease) co_return with_context("lease", lease.error());
  if (lease->is_error()) co_return Error(Errc::unreachable, "lease: " + lease->text);
  co_return lease->is_null() || lease->text == token_ ? Error() : taken_over();
}

// Kills the connection of ours with this id, if the server still has it. A server that was
// restarted has given the id to somebody else, whose name is another one.
Task<Error> Claim::kill_remains(Connection& connection, const std::string& id) {
  const Millis limit(options_.target.reply_timeout_ms);
  Bytes command = make_command({"CLIENT", "LIST"});
  auto reply = co_await connection.call(std::move(command), limit);
  if (!reply) co_return reply.error();
  bool ours = false;
  for_each_line(reply->text, [&](ByteView line) {
    ours = ours || (client_field(line, "id=") == id &&
                    client_field(line, "name=").starts_with(options_.target.client_name));
  });
  if (!ours) co_return Error();
  command = make_command({"CLIENT", "KILL", "ID", id});
  auto killed = co_await connection.call(std::move(command), limit);
  co_return killed ? Error() : killed.error();
}

// An error when somebody else's fence stands. A server that lost its data has lost ours as well.
Task<Error> Claim::hold_fence(Connection& connection) {
  const Millis limit(options_.target.reply_timeout_ms);
  Bytes command = make_command({"HKEYS", keys_.fence});
  auto reply = co_await connection.call(std::move(command), limit);
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::unreachable, reply->text);
  bool is_ours = false;
  for (const RespValue& field : reply->items) {
    if (is_guard(field.text)) continue;
    if (field.text != token_) co_return taken_over();
    is_ours = true;
  }
  if (!is_ours) co_return co_await set_fence(connection);
  co_return Error();
}

Task<Error> Claim::set_fence(Connection& connection) {
  const Millis limit(options_.target.reply_timeout_ms);
  for (const Bytes& step :
       {make_command({"MULTI"}), make_command({"DEL", keys_.fence}),
        make_command({"HSET", keys_.fence, token_, "1"}), make_command({"EXEC"})}) {
    auto reply = co_await connection.call(step, limit);
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return Error(Errc::unreachable, "fence: " + reply->text);
  }
  co_return Error();
}

// On the connection for what is done by hand. In a cluster the slot of our keys may have moved.
Task<Result<RespValue>> Claim::call(Bytes command) {
  auto reply = co_await call_once(command);
  for (int hops = 0; nodes_ != nullptr && reply && reply->is_error() && hops < hops_max; ++hops) {
    const Judgement judgement = judge_reply(reply->text);
    if (judgement.verdict != Verdict::moved) break;
    connection_.close();
    open_ = true;
    const std::string same = host_.host;
    host_ = HostPort{judgement.to.host.empty() ? same : judgement.to.host, judgement.to.port};
    Error error = co_await connection_.open(options_.target, host_, "claim");
    if (error) {
      open_ = false;
      co_return error;
    }
    reply = co_await call_once(command);
  }
  co_return reply;
}

// The connection is made when needed, and given up when it fails.
Task<Result<RespValue>> Claim::call_once(Bytes command) {
  if (!open_) {
    if (nodes_ != nullptr) {
      const std::uint16_t owner = nodes_->map().owner_of(slot_of(keys_.lease));
      const Endpoint& node = nodes_->map().masters()[owner == SlotMap::no_owner ? 0 : owner];
      host_ = HostPort{node.host, node.port};
    }
    Error error = co_await connection_.open(options_.target, host_, "claim");
    if (error) co_return error;
    open_ = true;
  }
  // A node of a cluster that hangs is about to be replaced.
  const Millis limit(nodes_ != nullptr ? options_.target.connect_timeout_ms
                                       : options_.target.reply_timeout_ms);
  auto reply = co_await connection_.call(std::move(command), limit);
  if (!reply) open_ = false;
  co_return reply;
}

}  // namespace keyferry
