// Carries out a command over several slots of a cluster, whatever slots these are: its keys are
// read from their nodes, restored under names of ours in one slot, the command runs on those, and
// what it left is read; all of that but the reading in one transaction that removes the copies
// again, so that nothing of it is ever seen or left behind. Changes no key: the answer is what
// would have to be written. By hand, one command at a time; pipeline thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "keyferry/cluster/redirect.hpp"
#include "keyferry/command/scratch_command.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/net/connection.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

class ScratchRun {
 public:
  // Options and nodes outlive it.
  ScratchRun(const asio::any_io_executor& executor, const Options& options, TargetNodes& nodes);

  // Runs when the map of the target should be read again.
  std::function<void()> on_stale_map;

  struct Effects {
    std::vector<Bytes> wires;  // RESTORE or DEL, one for each key that it writes
    // Not null: it cannot be carried out. A word for counters, and why.
    const char* refusal = nullptr;
    std::string why;
  };
  // Errors: a node cannot be reached for target.reconnect_max_s; cancelled by stop().
  Task<Result<Effects>> run(const ScratchCommand& command);
  void stop();

 private:
  struct Copy {
    std::optional<Bytes> payload;  // none: there is no such key
    std::int64_t expire_ms = 0;    // 0: never
  };
  // Where and how long something is tried again.
  struct Attempts {
    Backoff backoff{Millis(10), Millis(1000)};
    TimePoint begin = Clock::now();
    std::optional<Endpoint> at;  // instead of the slot's owner
    bool asking = false;
    std::uint32_t count = 0;
  };

  Task<Error> fetch(Bytes key, Copy& out);
  Task<Result<Effects>> play(const ScratchCommand& command, const std::vector<Copy>& copies);
  Effects read_effects(const ScratchCommand& command, std::span<const RespValue> replies) const;
  Bytes transaction(const ScratchCommand& command, const std::vector<Copy>& copies, Slot slot,
                    std::size_t& inside) const;
  Task<Error> try_again(Attempts& attempts, Slot slot, std::string refusal);
  Task<Result<std::vector<RespValue>>> ask(Endpoint node, Bytes wire, std::size_t replies,
                                           std::size_t most_bytes);
  std::size_t values_max_bytes() const;
  std::optional<Endpoint> owner_of(Slot slot) const;
  std::int64_t expiry_in(const RespValue& ttl, const RespValue& time) const;

  asio::any_io_executor executor_;
  const Options& options_;
  TargetNodes& nodes_;
  std::string link_;
  std::map<Endpoint, std::unique_ptr<Connection>> connections_;
  Signal halt_;
  bool has_pexpiretime_ = true;  // Redis 7.0
  bool stopping_ = false;
};

}  // namespace keyferry
