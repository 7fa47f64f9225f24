// What an Export that is one of several into the same files has to know and ask of the others, each
// reading one shard of the source (cluster_export). Belongs to the link; outlives the Export.
// Executor thread only.
#pragma once

#include <functional>
#include <memory>

#include "keyferry/base/error.hpp"
#include "keyferry/cluster/shards.hpp"
#include "keyferry/net/task.hpp"
#include "keyferry/pipeline/snapshot_rules.hpp"
#include "keyferry/sink/file_sink.hpp"

namespace keyferry {

// The sink is written to by one at a time.
class FileTurn {
 public:
  explicit FileTurn(const asio::any_io_executor& executor) : changed_(executor) {}

  Task<void> take() {
    while (is_taken_)
      co_await changed_.wait();
    is_taken_ = true;
  }
  void give() {
    is_taken_ = false;
    changed_.notify();
  }

 private:
  Signal changed_;
  bool is_taken_ = false;
};

struct ExportRole {
  FileSink* sink = nullptr;
  FileTurn* turn = nullptr;
  std::shared_ptr<SnapshotRules::Names> names;  // of all shards' keys
  // Its snapshot is the first one in the file.
  bool begins_file = false;
  // The shard's own, and those that have become others' without a key that came here since.
  ShardSlots slots;
  ShardSlots lost;
  // Told at each reading: its own goal is reached.
  bool is_ready = false;
  // Whether all have reached theirs: then it may end.
  std::function<bool()> may_end;
  // The snapshot has been taken; returns when the stream may be. Errc::cancelled: that will not be.
  std::function<Task<Error>()> snapshot_done;
  // Returns when everything that the other shards have done to the slot until now has been taken.
  // Errc::cancelled: that will not come any more.
  std::function<Task<Error>(Slot slot)> wait_for_others;
  // A full sync is offered behind the first one, by whomever.
  std::function<void()> on_full_sync;
  // What came has no place in the files: all of it is to be written once more.
  std::function<void(const std::string& why)> begin_anew;
};

}  // namespace keyferry
