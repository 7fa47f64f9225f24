// A look at some keys of both ends while nobody writes (cutover, verify=sample): random keys of
// every database of each source master, their values and expiries as the target has them. Proves
// little about the keys it did not see; reads and changes nothing. Executor thread only.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "keyferry/net/connection.hpp"
#include "keyferry/sink/topology.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

class KeySample {
 public:
  // All of them outlive it.
  KeySample(const asio::any_io_executor& executor, const Options& options, const Transform& rules,
            const TargetNodes& target)
      : executor_(executor), options_(options), rules_(rules), target_(target) {}

  // Connects to a source master (the first host of its address), and to all of the target. Errors:
  // unreachable, refused_by_peer; usage where a script decides what arrives.
  Task<Error> open(EndOptions source);
  // Errors: data_refused naming the first key that differs; refused_by_peer, unreachable, also when
  // it is not through at `until`.
  Task<Error> compare(TimePoint until);
  std::uint64_t compared() const { return compared_; }

 private:
  struct Key {
    Bytes name;
    Bytes value;  // as DUMP gives it; empty: there is none
    std::int64_t ttl_ms = -1;
  };
  Task<Error> compare_source(Connection& source);
  Task<Error> compare_db(Connection& source, std::int32_t db, std::int64_t count);
  Task<Error> pick(Connection& source, std::int32_t db, std::int64_t count, std::vector<Key>& keys);
  Task<Error> leave_out_large(Connection& source, std::vector<Key>& keys);
  Task<Error> read(Connection& connection, std::vector<Key>& keys);
  Task<Error> read_target(std::int32_t db, std::vector<Key>& keys);
  Task<Result<std::vector<RespValue>>> ask(Connection& connection, Bytes wire, std::size_t replies);
  Error judge(std::int32_t db, const Key& source, const Key& target);

  asio::any_io_executor executor_;
  const Options& options_;
  const Transform& rules_;
  const TargetNodes& target_;
  std::vector<std::unique_ptr<Connection>> sources_;
  std::map<Endpoint, std::unique_ptr<Connection>> targets_;
  TimePoint until_;
  std::uint64_t compared_ = 0;
};

}  // namespace keyferry
