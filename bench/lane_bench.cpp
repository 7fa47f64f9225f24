// A lane over loopback against a server that only says OK. CPU time is that of the lane's thread,
// kernel included; wall time is the slower of the two ends. Counter "s_per_unit": CPU.
#include <algorithm>
#include <array>
#include <thread>

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <boost/asio/io_context.hpp>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyferry/sink/lane.hpp"

namespace {

using namespace keyferry;  // NOLINT: a program of its own

// Answers each command of one connection with +OK, on a thread of its own. A command is one '*':
// the bench's keys and values have none.
class OkServer {
 public:
  OkServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 1) != 0) std::abort();
    ::getsockname(listener_, generic, &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  // The client must have closed, or this waits for it.
  ~OkServer() {
    thread_.join();
    ::close(listener_);
  }
  OkServer(const OkServer&) = delete;
  OkServer& operator=(const OkServer&) = delete;

  std::uint16_t port() const { return port_; }

 private:
  void serve() const {
    const int client = ::accept(listener_, nullptr, nullptr);
    std::vector<char> buffer(256 * 1024);
    std::string replies;
    for (;;) {
      const ssize_t n = ::recv(client, buffer.data(), buffer.size(), 0);
      if (n <= 0) break;
      auto commands = std::count(buffer.begin(), buffer.begin() + n, '*');
      for (replies.clear(); commands > 0; --commands)
        replies += "+OK\r\n";
      if (::send(client, replies.data(), replies.size(), MSG_NOSIGNAL) < 0) break;
    }
    ::close(client);
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

constexpr std::size_t units_per_batch = 4096;

// SETs that lie one behind the other as the stream brings them (adjacent), or each on its own as
// the commands of one cluster node do.
LaneBatch make_batch(const Bytes& wire, std::size_t stride) {
  LaneBatch batch;
  auto cargo = std::make_shared<Cargo>();
  Bytes& bytes = cargo->made.emplace_back();
  for (std::size_t i = 0; i < units_per_batch * stride; ++i)
    bytes += wire;
  for (std::size_t i = 0; i < units_per_batch; ++i) {
    Unit& unit = batch.units.emplace_back();
    unit.wire = ByteView(bytes).substr(i * stride * wire.size(), wire.size());
  }
  batch.cargo = std::move(cargo);
  return batch;
}

void lane(benchmark::State& state, std::size_t stride) {
  const OkServer server;
  asio::io_context context(1);
  const EndOptions options;
  std::size_t completed = 0;
  LaneEvents events;
  events.completed = [&](const LaneBatch&, const Answered&) { ++completed; };
  events.refused = [](Lane&, HeldUnit, const std::string&) { std::abort(); };
  events.held = [](HeldUnit) { std::abort(); };
  events.thawed = [](Slot) { std::abort(); };
  events.disconnected = [](Lane&, const Error&) { std::abort(); };
  Lane lane(context.get_executor(), options, HostPort{"127.0.0.1", server.port()}, events);
  Scope scope(context.get_executor());
  scope.spawn(lane.run());
  const LaneBatch batch =
      make_batch(make_command({"SET", "key:000000001234", "value-of-16-byte"}), stride);
  // Four batches are under way at any time, so that neither end waits for the other's last byte.
  std::size_t submitted = 0;
  for (; submitted < 4; ++submitted)
    lane.submit(batch);

  for (auto _ : state) {
    state.PauseTiming();
    LaneBatch next = batch;
    state.ResumeTiming();
    lane.submit(std::move(next));
    ++submitted;
    while (completed + 4 < submitted)
      context.run_one();
  }

  lane.stop();
  context.run();
  using benchmark::Counter;
  const auto all = static_cast<double>(state.iterations()) * static_cast<double>(units_per_batch);
  state.counters["units"] = Counter(all, Counter::kIsRate);
  state.counters["s_per_unit"] = Counter(all, Counter::kIsRate | Counter::kInvert);
}
BENCHMARK_CAPTURE(lane, adjacent, 1);
BENCHMARK_CAPTURE(lane, scattered, 3);

}  // namespace
