// Where the keys of one end are: standalone or cluster, which masters, who serves which slot. Asks,
// and keeps what it was told. Executor thread only.
#pragma once

#include "keyferry/cluster/slot_map.hpp"
#include "keyferry/net/connection.hpp"

namespace keyferry {

class KeyPlaces {
 public:
  // Options outlive it.
  KeyPlaces(const asio::any_io_executor& executor, const EndOptions& options)
      : executor_(executor), options_(options) {}

  // Reaches the end; again after MOVED. Keeps the old map on error.
  Task<Error> refresh();

  bool is_cluster() const { return is_cluster_; }
  // Standalone: one.
  std::size_t nodes() const { return hosts_.size(); }
  const HostPort& host(std::size_t node) const { return hosts_[node]; }
  // SIZE_MAX: nobody serves its slot.
  std::size_t node_of(ByteView key) const;
  const EndOptions& options() const { return options_; }
  const asio::any_io_executor& executor() const { return executor_; }
  // Grows with each map.
  std::uint64_t version() const { return version_; }

 private:
  Task<Error> ask(HostPort seed);

  asio::any_io_executor executor_;
  const EndOptions& options_;
  bool is_cluster_ = false;
  std::vector<HostPort> hosts_;
  SlotMap map_;
  std::uint64_t version_ = 0;
};

}  // namespace keyferry
