// The words of the replica handshake, as pure decisions: what to send, and what each answer means.
// The coroutine that sends and waits is psync. Source: Redis 7.0.15 replication.c, house notes on
// REPLCONF and PSYNC of every version.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/base/error.hpp"
#include "keyferry/command/batch.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {

// The version we announce: the newest whose RDB we read. To 9.0.0 and up Valkey >= 9 writes its own
// dialect, and refuses older ones a full sync when a hash field expires; 9.2 would put commands
// into the snapshot.
inline constexpr std::string_view announced_version = "9.1.0";

// A place in one replication history: `offset` bytes of the stream of `replid` have been received.
struct ReplicationPosition {
  std::string replid;  // 40 hex digits
  Offset offset = 0;
};

// The REPLCONF commands before PSYNC, in order. Servers that do not know one answer with an error
// that is ignored. announced_port 0: nothing is announced (nothing of ours could be reached there).
std::vector<Bytes> greeting(std::uint16_t announced_port);
// Whether the answer to a greeting ends the attempt (NOAUTH, NOPERM), as an error.
Error judge_greeting(const RespValue& reply);

// PSYNC replid offset+1, or "? -1" for a full sync. `command` is PSYNC's name at a server that
// renamed it.
Bytes psync_request(const std::string& command, const std::optional<ReplicationPosition>& resume);

struct PsyncAnswer {
  enum class Kind { keep_alive, full_sync, go_on, retry, refused, corrupt };
  Kind kind = Kind::corrupt;
  ReplicationPosition
      position;  // full_sync: where the stream will start; go_on: replid if the server named one
  std::string reason;  // retry, refused, corrupt: the server's words
};
// One line of the answer to PSYNC, without CRLF; an empty line is a keep-alive.
PsyncAnswer judge_psync(ByteView line);

// How the snapshot is framed: "$<length>" (from a file) or "$EOF:<40 bytes>" (diskless).
struct SnapshotFrame {
  std::optional<std::uint64_t> length;
  std::string mark;
  bool is_absent = false;  // of a file: there is none, the stream begins with nothing
};
// The line before the snapshot; an empty line (keep-alive) gives nullopt without error.
Result<std::optional<SnapshotFrame>> parse_snapshot_frame(ByteView line);

// REPLCONF ACK <offset>.
Bytes ack_command(Offset offset);

}  // namespace keyferry
