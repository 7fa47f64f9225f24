#include "keyferry/cli/verify.hpp"

#include <cstdio>
#include <memory>

#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>
#include <malloc.h>

#include "keyferry/base/log.hpp"
#include "keyferry/cli/cli.hpp"
#include "keyferry/cli/client.hpp"
#include "keyferry/cli/http_client.hpp"
#include "keyferry/cli/status_screen.hpp"
#include "keyferry/pipeline/sink_status.hpp"
#include "keyferry/verify/repair.hpp"
#include "keyferry/verify/verifier.hpp"

namespace keyferry {
namespace {

constexpr Millis progress_interval{5000};
constexpr std::uint64_t differences_shown = 20;  // without a report file
constexpr int heap_keep_bytes = 16 * 1024 * 1024;

// Flags are options under another name.
void add_flags(const VerifyLine& verify, CommandLine& line) {
  const auto set = [&line](const char* name, const std::string& value) {
    if (!value.empty()) line.set.push_back(fmt::format("verify.{}={}", name, value));
  };
  set("level", verify.level);
  set("sample", verify.sample);
  set("report_file", verify.report_file);
  if (verify.repair) set("repair", "true");
  if (verify.repair_extra) set("repair_extra", "true");
}

Error judge_ends(const Options& options) {
  if (!options.sources.empty()) {
    return {Errc::usage,
            "verify compares one source with the target, and every key of the others would be one "
            "too many; give it one by --source, without the list"};
  }
  for (const EndOptions* end : {&options.source, &options.target}) {
    if (end->uri.kind == Uri::Kind::file)
      return {Errc::usage, "verify compares servers; load the file into one first"};
  }
  return {};
}

// Differences as they are found.
class DifferenceLines {
 public:
  Error open(const std::string& path, bool everything_on_stdout) {
    shows_all_ = everything_on_stdout || path == "-";
    if (path.empty() || path == "-") return {};
    file_.reset(std::fopen(path.c_str(), "we"));
    if (file_) return {};
    return {Errc::usage, "verify.report_file: " + path + " cannot be written"};
  }

  void put(const std::string& line) {
    if (file_) fmt::print(file_.get(), "{}\n", line);
    if (!shows_all_ && (file_ || count_ == differences_shown)) return;
    ++count_;
    fmt::print("{}\n", line);
    std::fflush(stdout);  // whole lines, where log lines go to the same place
    if (!shows_all_ && count_ == differences_shown)
      fmt::print("... (--report FILE holds them all)\n");
  }

 private:
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, &std::fclose};
  bool shows_all_ = false;
  std::uint64_t count_ = 0;
};

Task<Error> tell_progress(const Verifier& verifier, Signal& over) {
  co_await over.wait_for(progress_interval);
  while (verifier.summary().running) {
    log_info("verify: {}", progress_text(verifier.summary()));
    co_await over.wait_for(progress_interval);
  }
  co_return Error();
}

// How far the link is behind that serves its status where the options say, if it is the one between
// these ends. Without one, verify.recheck_wait_ms has to do.
struct LagReading {
  bool has_link = false;
  std::optional<Millis> lag;
};

Task<Error> follow_lag(const Options& options, const Verifier& verifier, LagReading& reading,
                       Signal& over) {
  constexpr Millis interval{500};
  constexpr Millis margin{50};
  const std::string source = shown_host(options.source.uri);
  while (verifier.summary().running) {
    const auto found = std::make_shared<LinkLag>();
    std::function<Error()> ask = [found, address = options.http_listen] {
      const Result<HttpAnswer> answer = http_call(address, "GET", "/status", "");
      if (answer && answer->status == 200) *found = link_lag(answer->body);
      return Error();
    };
    const TimePoint asked = Clock::now();
    Error ignored = co_await run_in_pool(std::move(ask));
    if (!verifier.summary().running) break;  // the signal came meanwhile
    reading.has_link = found->is_alive && found->source == source;
    reading.lag.reset();
    // It was that much at the earliest when asked, and may have grown until the next answer.
    const Millis age(elapsed_ms(asked, Clock::now()));
    if (found->lag_ms) reading.lag = Millis(*found->lag_ms) + age + interval + margin;
    co_await over.wait_for(interval);
  }
  co_return Error();
}

Task<Error> carry_out(Verifier& verifier, KeyRepair* repair, Signal& over) {
  Error error = co_await verifier.run();
  if (repair != nullptr) co_await repair->close();
  over.notify();
  co_return error;
}

// A sink that has failed ends the whole.
Task<Error> run_repair(KeyRepair& repair, Verifier& verifier) {
  Error error = co_await repair.run();
  if (error) verifier.stop();
  co_return error;
}

Task<Error> verify_ends(const Options& options, DifferenceLines& lines, VerifySummary& summary) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  const VerifyPlan plan = plan_of(options);
  Verifier verifier(executor, options, plan);
  verifier.on_difference = [&lines](const std::string& line) { lines.put(line); };
  std::unique_ptr<KeyRepair> repair;
  if (plan.repair || plan.repair_extra) {
    repair = std::make_unique<KeyRepair>(executor, options);
    Error error = co_await repair->open();
    if (error) co_return error;
    verifier.repair = [&repair](const KeyList& keys) { return repair->copy(keys); };
  }
  LagReading reading;
  verifier.lag = [&reading] { return reading.has_link ? reading.lag : Millis(0); };
  Signal over(executor);
  Scope scope(executor);
  if (repair) scope.spawn(run_repair(*repair, verifier));
  scope.spawn(carry_out(verifier, repair.get(), over));
  scope.spawn(tell_progress(verifier, over));
  if (!options.http_listen.empty()) scope.spawn(follow_lag(options, verifier, reading, over));
  Error error = co_await scope.join();
  summary = verifier.summary();
  co_return error;
}

int tell(const VerifySummary& summary, bool json) {
  fmt::print("{}", json ? summary_json(summary) + "\n" : summary_table(summary));
  return summary.is_equal() ? 0 : exit_code(Error(Errc::data_refused, ""));
}

// The other end of POST /verify.
int verify_inside(const CommandLine& line, const VerifyLine& verify) {
  if (!verify.report_file.empty()) {
    print_problems("--report: a running link does not write one; leave out --running");
    return exit_code(Error(Errc::usage, ""));
  }
  std::string query;
  const auto add = [&query](const char* name, const std::string& value) {
    query += (query.empty() ? "" : "&") + std::string(name) + "=" + value;
  };
  if (!verify.level.empty()) add("level", verify.level);
  if (!verify.sample.empty()) add("sample", verify.sample + "25");  // "%25"
  if (verify.repair) add("repair", "true");
  if (verify.repair_extra) add("repair_extra", "true");
  ClientOptions client;
  client.http = line.http;
  client.token_file = verify.token_file;
  VerifySummary summary;
  const int code = verify_running(query, client, environment(), summary);
  return code != 0 ? code : tell(summary, verify.json);
}

}  // namespace

int verify_command(CommandLine command_line, const VerifyLine& verify) {
  if (verify.running) return verify_inside(command_line, verify);
  add_flags(verify, command_line);
  Result<Options> options = load_options(command_line, environment());
  Error error = options ? judge_ends(*options) : options.error();
  DifferenceLines lines;
  if (!error) error = lines.open(options->verify_report_file, verify.json);
  if (error) {
    print_problems(error.what);
    return exit_code(error);
  }
  mallopt(M_MMAP_THRESHOLD, heap_keep_bytes);
  mallopt(M_TRIM_THRESHOLD, heap_keep_bytes);
  open_log(LogLevel::info, options->log_format, options->log_file);
  VerifySummary summary;
  error = run_alone(verify_ends(*options, lines, summary));
  if (error && summary.keys == 0) {
    print_problems(error.what);
    return exit_code(error);
  }
  if (error) summary.problem = error.what;
  const int code = tell(summary, verify.json);
  return error ? exit_code(error) : code;
}

}  // namespace keyferry
