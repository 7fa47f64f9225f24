#include "keyferry/cli/run_link.hpp"

#include <csignal>
#include <cstdlib>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <malloc.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "keyferry/admin/http.hpp"
#include "keyferry/base/log.hpp"
#include "keyferry/cli/progress.hpp"
#include "keyferry/pipeline/any_link.hpp"
#include "keyferry/pipeline/preflight_facts.hpp"

namespace keyferry {
namespace {

constexpr int heap_keep_bytes = 16 * 1024 * 1024;

// The port to announce to a source that we reach from `local_address`: only if our listener can be
// reached there, since a Sentinel or a FAILOVER will talk to whoever answers on it.
std::uint16_t port_to_announce(const std::string& listen, std::uint16_t port,
                               const std::string& local_address) {
  if (port == 0 || local_address.empty()) return 0;
  const std::string host = listen.substr(0, listen.rfind(':'));
  const bool everywhere = host == "0.0.0.0" || host == "[::]";
  return everywhere || host == local_address || host == "[" + local_address + "]"
             ? port
             : std::uint16_t(0);
}

// First SIGINT or SIGTERM: drain what was received. Second: leave at once.
Task<void> obey_signals(asio::signal_set& signals, AnyLink& pipeline) {
  auto [first_ec, first] = co_await signals.async_wait(use_tuple);
  if (first_ec) co_return;
  pipeline.stop();
  auto [second_ec, second] = co_await signals.async_wait(use_tuple);
  if (!second_ec) pipeline.abort();
}

// SIGHUP means "read your files again", which every connect does by itself.
Task<void> take_hangups(asio::signal_set& hangups) {
  while (true) {
    auto [ec, signal] = co_await hangups.async_wait(use_tuple);
    if (ec) co_return;
    log_info("SIGHUP: password files and certificates are read again at each connect");
  }
}

void obey(AnyLink& pipeline, ControlVerb verb) {
  switch (verb) {
    case ControlVerb::drain:
      return pipeline.drain();
    case ControlVerb::pause:
      return pipeline.pause();
    case ControlVerb::resume:
      return pipeline.resume();
    case ControlVerb::stop:
      return pipeline.stop();
    case ControlVerb::resync:
      return pipeline.resync();
  }
}

Error first_fatal(const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    if (!finding.is_fatal || finding.is_unreachable) continue;
    return Error(Errc::refused_by_peer,
                 fmt::format("{}: {}; {}", finding.name, finding.text, finding.advice));
  }
  return Error();
}

// What `check` finds, as far as a link could not work at all and would notice only later, perhaps
// in the middle of the snapshot. Whether the ends can be reached is told by the pipeline itself.
Task<Error> insist_on_rights(const Options& options, AnyLink& pipeline) {
  if (!options.sources.empty()) {
    std::vector<Finding> findings;
    Error error = co_await check_link(options, false, findings);
    co_return error ? error : first_fatal(findings);
  }
  PreflightFacts facts;
  Error error = co_await gather_preflight(options, false, facts);
  if (error) co_return error;
  if (facts.source.problem.empty() && must_scan(facts, options)) pipeline.scan();
  if (is_whole_cluster(facts.source, options)) pipeline.follow_cluster();
  co_return first_fatal(judge_preflight(facts, options));
}

// Files that cannot be loaded are known before anything else begins. A snapshot goes key by key,
// which does no harm when it is repeated, and leaves no record of ours in the target.
Error adapt_to_files(Options& options) {
  if (options.source.uri.kind != Uri::Kind::file) return Error();
  const auto files = find_files(options.source.uri);
  if (!files) return with_context("source " + redacted(options.source.uri), files.error());
  if (!files->is_append_only) options.delivery_mode = Delivery::at_least_once;
  return Error();
}

// Whether one live line suits what is on standard error, and how it should look.
bool wants_live_line(const Options& options, ProgressStyle& style) {
  if (options.log_format == "json" || isatty(STDERR_FILENO) != 1) return false;
  const char* const terminal = std::getenv("TERM");
  if (terminal == nullptr || std::string_view(terminal) == "dumb") return false;
  const char* const no_color = std::getenv("NO_COLOR");
  style.colour = no_color == nullptr || *no_color == '\0';  // no-color.org
  return true;
}

std::size_t terminal_columns() {
  constexpr std::size_t usual = 80;
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
  return size.ws_col;
}

// Until `over` is notified with `ended` set.
Task<void> show_progress(const StatusBoard& board, ProgressStyle style, Signal& over,
                         const bool& ended) {
  constexpr Millis refresh{200};
  while (!ended) {
    style.columns = terminal_columns();
    show_live_line(progress_line(*board.read(), style));
    co_await over.wait_for(refresh);
  }
  show_live_line("");
}

// Runs the link, then, when asked to stay, waits for a signal with the listeners still answering.
Task<Error> live(AnyLink& pipeline, asio::signal_set& signals, const Options& options) {
  Error error = co_await insist_on_rights(options, pipeline);
  if (!error) error = co_await pipeline.run();
  if (!error && pipeline.reached_goal() && options.stop_then == StopThen::idle) {
    log_info("done; idle until a signal comes (stop.then: idle)");
    signals.cancel();
    co_await signals.async_wait(use_tuple);
  }
  co_return error;
}

}  // namespace

int run_link(Options options) {
  if (Error error = adapt_to_files(options)) {
    log_error("{}", error.what);
    return exit_code(error);
  }
  // Slabs and batches come and go by the 100 KiB; without this the heap's top is given back and
  // faulted in again each time (a tenth of the CPU in a catch-up).
  mallopt(M_MMAP_THRESHOLD, heap_keep_bytes);
  mallopt(M_TRIM_THRESHOLD, heap_keep_bytes);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // `ulimit -f` is a disk that is full, no end
  name_instance(options);
  asio::io_context loop(1);
  StatusBoard board;
  AnyLink pipeline(loop.get_executor(), options, board);

  AdminOptions admin_options;
  admin_options.http_listen = options.http_listen;
  admin_options.resp_listen = options.admin_resp_listen;
  admin_options.token = options.http_token;
  admin_options.ready_lag_bytes = options.http_ready_lag_bytes;
  admin_options.change_limits = [&loop, &pipeline](const RateChange& change) {
    asio::post(loop, [&pipeline, change] { pipeline.change_limits(change); });
  };
  admin_options.cut_over = [&loop, &pipeline](const CutoverRequest& request) {
    asio::post(loop, [&pipeline, request] {
      if (!pipeline.cut_over(request))
        log_warn("cutover refused: the link is not following its source");
    });
  };
  admin_options.start_verify = [&loop, &pipeline, &options](const VerifyRequest& wanted) {
    asio::post(loop, [&pipeline, &options, wanted] {
      if (!pipeline.verify(merged(plan_of(options), wanted)))
        log_warn("verify refused: the link is not following its source, or compares already");
    });
  };
  AdminServer admin(admin_options, board, [&loop, &pipeline](ControlVerb verb) {
    asio::post(loop, [&pipeline, verb] { obey(pipeline, verb); });
    return true;
  });
  if (Error error = admin.start()) {
    log_error("{}", error.what);
    return exit_code(error);
  }
  pipeline.announced_port = [&](const std::string& local_address) {
    return port_to_announce(options.admin_resp_listen, admin.resp_port(), local_address);
  };

  asio::signal_set signals(loop, SIGINT, SIGTERM);
  asio::signal_set hangups(loop, SIGHUP);
  const auto rethrow = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  asio::co_spawn(loop, obey_signals(signals, pipeline), rethrow);
  asio::co_spawn(loop, take_hangups(hangups), rethrow);
  Signal over(loop.get_executor());
  bool ended = false;
  ProgressStyle style;
  pipeline.logs_progress = !wants_live_line(options, style);
  if (!pipeline.logs_progress)
    asio::co_spawn(loop, show_progress(board, style, over, ended), rethrow);
  Error result;
  asio::co_spawn(loop, live(pipeline, signals, options),
                 [&](std::exception_ptr failure, Error error) {
                   rethrow(failure);
                   result = std::move(error);
                   signals.cancel();
                   hangups.cancel();
                   ended = true;
                   over.notify();
                 });
  loop.run();
  admin.stop();

  if (result) {
    log_error("{}", result.what);
  } else {
    log_info("done");
  }
  return exit_code(result);
}

}  // namespace keyferry
