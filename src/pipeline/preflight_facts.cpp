#include "keyferry/pipeline/preflight_facts.hpp"

#include <filesystem>
#include <set>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "keyferry/base/number.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/resp/reply_parser.hpp"
#include "keyferry/sink/file_sink.hpp"
#include "keyferry/source/file_set.hpp"

namespace keyferry {
namespace {

constexpr Millis measure_for{1000};

// One server being asked. Error replies leave facts empty; a lost connection ends the asking.
class Interview {
 public:
  Interview(const asio::any_io_executor& executor, const EndOptions& options, ServerFacts& facts)
      : options_(options), facts_(facts), connection_(executor) {}

  Task<Error> open(HostPort host) {
    facts_.address = options_.uri.kind == Uri::Kind::unix_socket
                         ? options_.uri.path
                         : to_string(Endpoint{host.host, host.port});
    if (!options_.uri.sentinel_master.empty()) facts_.address = options_.uri.sentinel_master;
    co_return co_await connection_.open(options_, host, "check");
  }

  Task<Error> ask_all(const std::vector<NeededCommand>& needed) {
    Error error = co_await who();
    if (!error) error = co_await clock();
    if (!error) error = co_await config();
    if (!error) error = co_await modules();
    if (!error) error = co_await rights(needed);
    co_return error;
  }

  Task<Error> who() {
    auto info = co_await ask("INFO everything");
    // Before Redis 7.0 "everything" shows modules too, before 2.x it is unknown.
    if (info && info->text.empty()) info = co_await ask("INFO");
    if (!info) co_return info.error();
    if (info->is_error()) co_return Error(Errc::refused_by_peer, "INFO: " + info->text);
    facts_.info = info->text;
    facts_.identity = read_identity(facts_.info);
    co_return Error();
  }

  // A server that never had a replica does not count its stream: then what its clients send is all
  // there is to go by.
  Task<Error> writes() {
    auto before = co_await ask("INFO everything");
    if (!before) co_return before.error();
    const TimePoint begin = Clock::now();
    co_await sleep_for(measure_for);
    auto after = co_await ask("INFO everything");
    if (!after) co_return after.error();
    facts_.is_write_rate_upper_bound = info_field(before->text, "repl_backlog_active") == "0";
    const ByteView counter =
        facts_.is_write_rate_upper_bound ? "total_net_input_bytes" : "master_repl_offset";
    const std::int64_t grown = leading_number(info_field(after->text, counter)) -
                               leading_number(info_field(before->text, counter));
    const std::int64_t per_s =
        grown * 1000 / std::max<std::int64_t>(1, elapsed_ms(begin, Clock::now()));
    // Our own question, and the pings of replicas, are no writes.
    constexpr std::int64_t noise_bytes_per_s = 1024;
    facts_.write_bytes_per_s = per_s < noise_bytes_per_s ? 0 : per_s;
    co_return Error();
  }

  // Of a cluster where CONFIG is not allowed: SELECT tells. The highest number that is one.
  Task<Error> count_databases() {
    const char* const name = "cluster-databases";
    if (facts_.config.contains(name)) co_return Error();
    std::int32_t highest = 0;
    for (std::int32_t step = 1 << 13; step > 0; step /= 2) {
      auto reply = co_await ask(fmt::format("SELECT {}", highest + step));
      if (!reply) co_return reply.error();
      if (!reply->is_error()) highest += step;
    }
    facts_.config[name] = std::to_string(highest + 1);
    auto back = co_await ask("SELECT 0");
    co_return back ? Error() : back.error();
  }

  // A command of plain words.
  Task<Result<RespValue>> ask(std::string words) {
    std::vector<std::string> args;
    for (std::size_t at = 0; at <= words.size();) {
      const std::size_t end = std::min(words.find(' ', at), words.size());
      args.push_back(words.substr(at, end - at));
      at = end + 1;
    }
    co_return co_await ask_args(std::move(args));
  }

 private:
  Task<Result<RespValue>> ask_args(std::vector<std::string> args) {
    const std::vector<ByteView> views(args.begin(), args.end());
    Bytes wire;
    append_command(wire, std::span<const ByteView>(views));
    co_return co_await connection_.call(std::move(wire), Millis(options_.connect_timeout_ms));
  }

  // Its clock against ours at the middle of the round trip; the quickest of a few.
  Task<Error> clock() {
    facts_.rtt_ms = 1e9;
    for (int i = 0; i < 3; ++i) {
      const TimePoint begin = Clock::now();
      const auto wall = std::chrono::system_clock::now();
      auto time = co_await ask("TIME");
      if (!time) co_return time.error();
      const std::chrono::duration<double, std::milli> rtt = Clock::now() - begin;
      if (rtt.count() >= facts_.rtt_ms) continue;
      facts_.rtt_ms = rtt.count();
      const auto theirs_ms = time_ms(*time);
      if (!theirs_ms) continue;
      const std::chrono::duration<double, std::milli> ours = wall.time_since_epoch();
      facts_.clock_ms = *theirs_ms - static_cast<std::int64_t>(ours.count() + rtt.count() / 2);
    }
    co_return Error();
  }

  Task<Error> config() {
    auto reply = co_await ask("CONFIG GET *");
    if (!reply) co_return reply.error();
    for (std::size_t i = 0; i + 1 < reply->items.size(); i += 2)
      facts_.config[reply->items[i].text] = reply->items[i + 1].text;
    co_return Error();
  }

  Task<Error> modules() {
    auto reply = co_await ask("MODULE LIST");
    if (!reply) co_return reply.error();
    if (!reply->is_array()) co_return Error();
    facts_.modules.emplace();
    for (const RespValue& module : reply->items) {
      for (std::size_t i = 0; i + 1 < module.items.size(); i += 2) {
        if (module.items[i].text == "name") facts_.modules->push_back(module.items[i + 1].text);
      }
    }
    co_return Error();
  }

  // ACL DRYRUN exists since Redis 7.0.
  Task<Error> rights(const std::vector<NeededCommand>& needed) {
    facts_.user = options_.uri.user.empty() ? "default" : options_.uri.user;
    auto whoami = co_await ask("ACL WHOAMI");
    if (!whoami) co_return whoami.error();
    if (whoami->is_string()) facts_.user = whoami->text;
    std::map<std::string, std::string> denied;
    for (const NeededCommand& one : needed) {
      std::vector<std::string> args = {"ACL", "DRYRUN", facts_.user};
      args.insert(args.end(), one.args.begin(), one.args.end());
      auto reply = co_await ask_args(std::move(args));
      if (!reply) co_return reply.error();
      // A command that it does not know (PSYNC renamed away, FUNCTION in old ones) is no question
      // of rights.
      if (reply->is_error() && reply->text.find("not found") != std::string::npos) continue;
      if (reply->is_error()) co_return Error();
      if (reply->text != "OK") denied[one.name] = reply->text;
    }
    facts_.denied = std::move(denied);
    co_return Error();
  }

  const EndOptions& options_;
  ServerFacts& facts_;
  Connection connection_;
};

Task<void> gather_source_at(const Options& options, HostPort host, bool measure_writes,
                            ServerFacts& facts) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  Interview interview(executor, options.source, facts);
  Error error = co_await interview.open(std::move(host));
  std::vector<NeededCommand> needed = commands_needed_at_source(options, false);
  for (NeededCommand& one : commands_needed_at_source(options, true))
    needed.push_back(std::move(one));
  for (NeededCommand& one : commands_needed_for_cutover())
    needed.push_back(std::move(one));
  if (!error) error = co_await interview.ask_all(needed);
  if (!error && measure_writes) error = co_await interview.writes();
  facts.problem = error.what;
}

// Of a cluster any node will do: `answered` says which did.
Task<void> gather_source(const Options& options, bool measure_writes, ServerFacts& facts,
                         HostPort& answered) {
  std::vector<HostPort> seeds = options.source.uri.hosts;
  if (seeds.empty()) seeds.emplace_back();
  if (!options.source.uri.sentinel_master.empty()) seeds.resize(1);
  answered = seeds.front();
  co_await gather_source_at(options, seeds.front(), measure_writes, facts);
  for (std::size_t i = 1; i < seeds.size() && !facts.problem.empty(); ++i) {
    ServerFacts other;
    co_await gather_source_at(options, seeds[i], false, other);
    if (!is_whole_cluster(other, options)) continue;
    facts = std::move(other);
    answered = seeds[i];
  }
}

// The masters of the cluster that `interview` has reached, and how many slots they cover.
Task<Error> read_masters(Interview& interview, const EndOptions& options, const HostPort& asked,
                         std::size_t& covered_slots, std::vector<Endpoint>& masters) {
  auto reply = co_await interview.ask("CLUSTER SHARDS");
  if (!reply) co_return reply.error();
  const bool has_shards = !reply->is_error();  // Redis >= 7.0
  if (!has_shards) {
    reply = co_await interview.ask("CLUSTER SLOTS");
    if (!reply) co_return reply.error();
    if (reply->is_error()) co_return Error(Errc::refused_by_peer, "CLUSTER SLOTS: " + reply->text);
  }
  auto map = has_shards ? parse_cluster_shards(*reply, asked.host, options.uri.tls)
                        : parse_cluster_slots(*reply, asked.host);
  if (!map) co_return map.error();
  covered_slots = map->covered_slots();
  masters = map->masters();
  co_return Error();
}

Task<Error> gather_master(const Options& options, HostPort host, bool measure_writes,
                          ServerFacts& facts) {
  co_await gather_source_at(options, std::move(host), measure_writes, facts);
  co_return Error();
}

// Every master of the source, all at once: each may have settings and users of its own.
Task<void> gather_source_masters(const Options& options, HostPort host, bool measure_writes,
                                 PreflightFacts& facts) {
  if (!is_whole_cluster(facts.source, options)) co_return;
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  ServerFacts asked;
  Interview interview(executor, options.source, asked);
  std::size_t covered_slots = 0;
  std::vector<Endpoint> masters;
  Error error = co_await interview.open(host);
  if (!error)
    error = co_await read_masters(interview, options.source, host, covered_slots, masters);
  if (error) facts.source.problem = error.what;
  facts.source_masters.assign(masters.size(), ServerFacts());
  Scope scope(executor);
  for (std::size_t i = 0; i < masters.size(); ++i) {
    HostPort master;
    master.host = masters[i].host;
    master.port = masters[i].port;
    scope.spawn(gather_master(options, std::move(master), measure_writes, facts.source_masters[i]));
  }
  error = co_await scope.join();
}

Task<void> gather_target(const Options& options, PreflightFacts& facts) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  std::vector<HostPort> seeds = options.target.uri.hosts;
  if (seeds.empty()) seeds.emplace_back();
  if (!options.target.uri.sentinel_master.empty()) seeds.resize(1);
  std::vector<Endpoint> masters;
  Error error;
  for (const HostPort& seed : seeds) {
    facts.targets.assign(1, ServerFacts());
    Interview interview(executor, options.target, facts.targets.front());
    error = co_await interview.open(seed);
    if (!error) error = co_await interview.who();
    if (error) continue;
    facts.target_is_cluster = facts.targets.front().identity.is_cluster &&
                              options.target.topology != Topology::standalone;
    if (facts.target_is_cluster) {
      error = co_await read_masters(interview, options.target, seed, facts.covered_slots, masters);
    } else {
      const std::vector<NeededCommand> needed = commands_needed_at_target(options, false);
      error = co_await interview.ask_all(needed);
    }
    if (!error) break;
  }
  facts.targets.front().problem = error.what;
  if (error || masters.empty()) co_return;
  facts.targets.assign(masters.size(), ServerFacts());
  for (std::size_t i = 0; i < masters.size(); ++i) {
    Interview interview(executor, options.target, facts.targets[i]);
    const HostPort host{masters[i].host, masters[i].port};
    error = co_await interview.open(host);
    const std::vector<NeededCommand> needed = commands_needed_at_target(options, true);
    if (!error) error = co_await interview.ask_all(needed);
    if (!error) error = co_await interview.count_databases();
    facts.targets[i].problem = error.what;
  }
}

void look_at_files(const Options& options, ServerFacts& facts) {
  facts.address = redacted(options.source.uri);
  const auto files = find_files(options.source.uri);
  if (!files) {
    facts.problem = files.error().what;
    return;
  }
  facts.info =
      fmt::format("{}, {} file{}, {} bytes", files->is_append_only ? "append-only" : "snapshot",
                  files->files.size(), files->files.size() == 1 ? "" : "s", files->size_bytes());
}

SpoolFacts look_at_spool(const Options& options) {
  SpoolFacts facts;
  if (!options.spool_enabled) return facts;
  std::error_code ec;
  // The folder is made when it is needed: look at the first one above it that is there.
  std::filesystem::path folder = std::filesystem::absolute(options.spool_folder(), ec);
  while (!std::filesystem::exists(folder, ec) && folder.has_relative_path())
    folder = folder.parent_path();
  if (!std::filesystem::is_directory(folder, ec)) {
    facts.problem = folder.string() + " is no folder";
    return facts;
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    facts.problem = std::generic_category().message(errno);
    return facts;
  }
  const auto space = std::filesystem::space(folder, ec);
  if (ec) facts.problem = ec.message();
  facts.free_bytes = ec ? 0 : space.available;
  return facts;
}

}  // namespace

Task<Error> gather_preflight(const Options& options, bool measure_writes, PreflightFacts& facts) {
  if (options.source.uri.kind == Uri::Kind::file) {
    look_at_files(options, facts.source);
  } else {
    HostPort answered;
    co_await gather_source(options, measure_writes, facts.source, answered);
    co_await gather_source_masters(options, answered, measure_writes, facts);
  }
  if (options.target.uri.kind == Uri::Kind::file) {
    facts.target_file_problem = FileSink(options).open().what;
  } else {
    co_await gather_target(options, facts);
  }
  facts.spool = look_at_spool(options);
  co_return Error();
}

}  // namespace keyferry
