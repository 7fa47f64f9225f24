#include <algorithm>

#include "e2e_links.hpp"
#include "e2e_measure.hpp"
#include "e2e_scenarios.hpp"

namespace keyferry::bench {
namespace {

constexpr std::chrono::milliseconds lag_interval{2};  // 500 writes/s
constexpr std::size_t lag_block = 100;

// One competitor's writes and reads.
template <class Link>
class LagProbe {
 public:
  explicit LagProbe(const Config& config) : source_(source_options()), link_(config) {
    link_.start(source_);
    wait_synced(link_, source_);
    writer_ = source_.client();
    reader_ = link_.reader(key_);
    cpu_before_s_ = link_.process().usage().cpu_s;
  }

  void sample() {
    const std::string value = std::to_string(++value_);
    const auto start = Clock::now();
    writer_.append({"SET", key_, value});
    writer_.flush();
    while (reader_.command({"GET", key_}).text != value) {
      if (Clock::now() - start > std::chrono::seconds(10))
        throw std::runtime_error("never visible:\n" + link_.log());
    }
    lags_ms_.push_back(seconds_since(start) * 1000);
    writer_.read();
  }

  Figures figures() {
    Figures all = take(link_, Figures::none, cpu_before_s_, lags_ms_.size());
    std::sort(lags_ms_.begin(), lags_ms_.end());
    all.p50_ms = lags_ms_[lags_ms_.size() / 2];
    all.p99_ms = lags_ms_[lags_ms_.size() * 99 / 100];
    return all;
  }

 private:
  std::string key_ = "lag:probe";
  test::RedisServer source_;
  Link link_;
  test::RespClient writer_;
  test::RespClient reader_;
  double cpu_before_s_ = 0;
  std::size_t value_ = 0;
  std::vector<double> lags_ms_;
};

template <class Link>
void sample_block(LagProbe<Link>& probe, std::size_t count) {
  auto next = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_until(next);
    next += lag_interval;
    probe.sample();
  }
}

}  // namespace

// Both links stand side by side and take turns by the block, so that noise meets both.
Runs measure_lag(const Config& config) {
  Runs runs;
  for (std::size_t i = 0; i < config.repeats; ++i) {
    LagProbe<FerryLink> ferry(config);
    LagProbe<NativeLink> native(config);
    for (std::size_t done = 0; done < config.samples; done += lag_block) {
      const std::size_t count = std::min(lag_block, config.samples - done);
      sample_block(ferry, count);
      sample_block(native, count);
    }
    runs.keyferry.push_back(ferry.figures());
    runs.native.push_back(native.figures());
    note("lag", "keyferry", runs.keyferry.back());
    note("lag", "native", runs.native.back());
  }
  return runs;
}

}  // namespace keyferry::bench
