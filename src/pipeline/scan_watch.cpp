// ScanNode: the server itself. Who it is, whether its events arrive, and what it does that no event
// tells.
#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/scan_node.hpp"

namespace keyferry {
namespace {

constexpr Millis pong_limit{3000};
constexpr Millis probe_limit{3000};
constexpr std::int64_t flags_interval_ms = 1000;
constexpr const char* flags_name = "notify-keyspace-events";

// A key of ours in that slot of a cluster; nullopt: anywhere.
std::string probe_key_for(std::optional<Slot> slot) {
  for (int tag = 0;; ++tag) {
    const std::string key = fmt::format("keyferry:{{{}}}:probe", tag);
    if (!slot || slot_of(key) == *slot) return key;
  }
}

bool has_modules(const RespValue& list) {
  return list.is_array() && !list.items.empty();
}

}  // namespace

Task<Result<RespValue>> ScanNode::ask(Bytes command) {
  Error error = co_await open_control();
  if (error) co_return error;
  auto reply = co_await control_.call(std::move(command), Millis(source_.reply_timeout_ms));
  if (!reply) control_open_ = false;
  co_return reply;
}

Task<Error> ScanNode::open_control() {
  if (control_open_) co_return Error();
  Error error = co_await control_.open(source_, place_.host, "watch");
  control_open_ = !error;
  co_return error;
}

Task<Error> ScanNode::read_info(SourceReading& reading) {
  Bytes command = make_command({"INFO", "all"});
  auto reply = co_await ask(std::move(command));
  if (!reply) co_return reply.error();
  if (reply->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + reply->text);
  reading = read_source(reply->text);
  if (!has_reading_) identity_ = read_identity(reply->text);
  co_return Error();
}

Task<Error> ScanNode::open() {
  Error error = co_await read_info(reading_);
  has_reading_ = !error;
  if (error) co_return error;
  if (common_.options.stream_enabled) {
    error = co_await check_flags(true);
    if (!error) error = co_await notifications_.open(place_.host);
    if (error) co_return error;
    listening_ = true;
  }
  error = co_await scanner_.open(place_.host, place_.is_replica);
  if (!error && common_.options.snapshot_enabled) {
    wants_all_ = true;
    begin_pass();
  }
  co_return error;
}

// That every change makes an event. Where nobody may ask, a key of ours tells.
Task<Error> ScanNode::check_flags(bool is_start) {
  flags_checked_ = Clock::now();
  Bytes list = make_command({"MODULE", "LIST"});
  auto modules = co_await ask(std::move(list));
  if (!modules) co_return modules.error();
  Bytes get = make_command({"CONFIG", "GET", flags_name});
  auto reply = co_await ask(std::move(get));
  if (!reply) co_return reply.error();
  const ScanProbe policy = common_.options.source_scan_probe;
  flags_hidden_ = reply->items.size() != 2;
  if (flags_hidden_) {
    if (!is_start) co_return Error();
    if (policy == ScanProbe::never) {
      log_warn(
          "nobody can say whether keyspace events arrive: CONFIG GET is not allowed ({}), and "
          "source.scan.probe is never",
          reply->text);
    }
    co_return Error();
  }
  const std::string flags = reply->items[1].text;
  const std::string missing = missing_notify_flags(flags, has_modules(*modules));
  if (missing.empty()) co_return Error();
  if (!is_start) {
    // Changes since the last look made no event.
    log_warn("{} of the source was changed to \"{}\"", flags_name, flags);
    wants_all_ = needs_sweep_ = unheard_ = true;
  }
  if (common_.options.source_scan_enable_notifications)
    co_return co_await set_flags(flags, missing);
  co_return Error(
      Errc::refused_by_peer,
      fmt::format(
          "{} of {} is \"{}\" and lacks \"{}\": changes would never arrive; CONFIG SET {} AE "
          "there, or source.scan.enable_notifications: true, or stream.enabled: false",
          flags_name, place_.host.host, flags, missing, flags_name));
}

Task<Error> ScanNode::set_flags(const std::string& flags, const std::string& missing) {
  const std::string wanted = flags + missing;
  Bytes set = make_command({"CONFIG", "SET", flags_name, wanted});
  auto reply = co_await ask(std::move(set));
  if (!reply) co_return reply.error();
  if (reply->is_error()) {
    co_return Error(Errc::refused_by_peer,
                    fmt::format("{} cannot be set at the source: {}", flags_name, reply->text));
  }
  if (flags_set_.empty()) {
    flags_before_ = flags;
    Bytes get = make_command({"CONFIG", "GET", flags_name});
    auto now = co_await ask(std::move(get));
    if (!now) co_return now.error();
    if (now->items.size() == 2) flags_set_ = now->items[1].text;
  }
  log_info("{} set at the source: before=\"{}\" now=\"{}\"", flags_name, flags, flags_set_);
  co_return Error();
}

Task<void> ScanNode::give_back() {
  if (flags_set_.empty()) co_return;
  Connection connection(common_.executor);
  Error error = co_await connection.open(source_, place_.host, "watch");
  const Bytes get = make_command({"CONFIG", "GET", flags_name});
  const Bytes set = make_command({"CONFIG", "SET", flags_name, flags_before_});
  const Millis limit(source_.connect_timeout_ms);
  bool is_done = false;
  if (!error) {
    auto now = co_await connection.call(get, limit);
    // Not if somebody has set it anew.
    if (now && now->items.size() == 2 && now->items[1].text != flags_set_) co_return;
    auto reply = co_await connection.call(set, limit);
    is_done = reply && !reply->is_error();
  }
  if (!is_done) log_error("{} of the source is still \"{}\"", flags_name, flags_set_);
  flags_set_.clear();
}

Task<Error> ScanNode::probe() {
  probe_key_ = probe_key_for(place_.slot);
  probe_heard_ = false;
  Bytes set = make_command({"SET", probe_key_, "1", "PX", "60000"});
  auto reply = co_await ask(std::move(set));
  if (!reply) co_return reply.error();
  if (reply->is_error()) {
    const bool is_passing = is_passing_trouble(reply->text) || reply->text.starts_with("MOVED ") ||
                            reply->text.starts_with("ASK ");
    co_return Error(
        is_passing ? Errc::unreachable : Errc::refused_by_peer,
        "nothing proves that keyspace events arrive: CONFIG GET is not allowed, and the "
        "probe key cannot be written: " +
            reply->text);
  }
  const TimePoint begin = Clock::now();
  while (!probe_heard_ && !stopping_ && listening_ &&
         elapsed_ms(begin, Clock::now()) < probe_limit.count())
    co_await heard_.wait_for(Millis(100));
  Bytes del = make_command({"DEL", probe_key_});
  auto ignored = co_await ask(std::move(del));
  if (probe_heard_ || stopping_) co_return Error();
  if (!listening_) co_return Error(Errc::unreachable, "keyspace events broke off");
  co_return Error(Errc::refused_by_peer,
                  "no event came of a probe key: notify-keyspace-events of the source must be AE");
}

Task<Error> ScanNode::prove() {
  const ScanProbe policy = common_.options.source_scan_probe;
  if (policy == ScanProbe::never || !common_.options.stream_enabled) co_return Error();
  if (policy == ScanProbe::automatic) {
    Bytes get = make_command({"CONFIG", "GET", flags_name});
    auto reply = co_await ask(std::move(get));
    if (!reply) co_return reply.error();
    if (reply->items.size() == 2) co_return Error();
  }
  if (place_.is_replica) {
    log_warn("{} is a replica: no probe key can prove that its events arrive", name());
    co_return Error();
  }
  co_return co_await probe();
}

Task<bool> ScanNode::barrier() {
  if (!listening_) co_return false;
  auto number = co_await notifications_.ping();
  if (!number) co_return false;
  const TimePoint begin = Clock::now();
  while (listening_ && notifications_.pongs() < *number) {
    if (elapsed_ms(begin, Clock::now()) > pong_limit.count()) {
      // Silent: listen() makes the link anew.
      notifications_.close();
      co_return false;
    }
    co_await heard_.wait_for(Millis(200));
  }
  co_return listening_;
}

Task<Error> ScanNode::check() {
  SourceReading now;
  Error error = co_await read_info(now);
  const bool follows = common_.options.stream_enabled && receiving_;
  const bool flags_due = elapsed_ms(flags_checked_, Clock::now()) >= flags_interval_ms;
  if (!error && follows && flags_due) error = co_await check_flags(false);
  if (error) {
    note(error);
    co_return error;
  }
  if (follows) judge(compare_readings(reading_, now));
  reading_ = std::move(now);
  if (receiving_) begin_pass();
  co_return Error();
}

void ScanNode::judge(const SourceChange& change) {
  if (change.is_other) {
    log_warn("another server, or another role, behind {}: every key is looked at once more",
             place_.host.host);
    wants_all_ = needs_sweep_ = unheard_ = true;
    scanner_.close();
  }
  if (change.is_flushed) {
    log_info("the source was flushed, or databases were swapped: every key is looked at once more");
    wants_all_ = needs_sweep_ = true;
  }
  wants_streams_ = wants_streams_ || change.group_reads;
  new_functions_ = new_functions_ || change.functions;
}

// A pass that is under way when another one is wanted is followed by it.
void ScanNode::begin_pass() {
  if (in_pass_) return;
  const TimePoint now = Clock::now();
  if (lost_events_ && spilled_ == 0 && dirty_.is_half_empty()) {
    lost_events_ = false;
    wants_all_ = needs_sweep_ = unheard_ = true;
  }
  const bool streams = wants_streams_ && !wants_all_ && now >= streams_again_at_;
  if (!wants_all_ && !streams) return;
  std::vector<ScanPass::Database> databases;
  databases.reserve(reading_.keys.size());
  for (const auto& [db, keys] : reading_.keys)
    databases.push_back({db, keys});
  // SCAN ... TYPE: Redis 6.0, every Valkey.
  const bool by_type = streams && rdb::is_at_least(identity_.traits, 6, 0);
  scanner_.begin(ScanPass(std::move(databases), by_type ? "stream" : ""));
  // What a pass over all keys has seen, a pass over streams need not see again.
  wants_streams_ = wants_all_ = false;
  in_pass_ = true;
  only_streams_ = streams;
  pass_began_ = now;
  if (!streams) ++passes_;
  wake_.notify();
}

Task<Result<RespValue>> ScanNode::list_functions() {
  Bytes command = make_command({"FUNCTION", "LIST", "WITHCODE"});
  co_return co_await ask(std::move(command));
}

Task<Result<std::vector<bool>>> ScanNode::exist(std::int32_t db, std::vector<Bytes> keys) {
  Error error = co_await open_control();
  if (error) co_return error;
  Bytes wire = make_command({"SELECT", std::to_string(db)});
  for (const Bytes& key : keys)
    append_command(wire, {"EXISTS", key});
  append_command(wire, {"SELECT", "0"});
  auto replies = co_await control_.call_all(std::move(wire), keys.size() + 2,
                                            Millis(source_.reply_timeout_ms));
  if (!replies) {
    control_open_ = false;
    co_return replies.error();
  }
  std::vector<bool> there;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RespValue& reply = (*replies)[i + 1];
    // Not known (MOVED, ASK): then it is not for us to say that it is gone.
    there.push_back(reply.kind != RespValue::Kind::integer || reply.integer != 0);
  }
  co_return there;
}

std::uint64_t ScanNode::keys_total() const {
  std::uint64_t sum = 0;
  for (const auto& [db, keys] : reading_.keys)
    sum += keys;
  return sum;
}

}  // namespace keyferry
