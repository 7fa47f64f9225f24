#include "keyferry/source/handshake.hpp"

#include <algorithm>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr std::size_t replid_size = 40;

bool is_replid(ByteView text) {
  return text.size() == replid_size && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

PsyncAnswer full_sync_answer(ByteView rest) {
  PsyncAnswer answer;
  const std::size_t space = rest.find(' ');
  Offset offset = 0;
  if (space == ByteView::npos || !is_replid(rest.substr(0, space)) ||
      !read_number(rest.substr(space + 1), offset) || offset < 0) {
    answer.reason = "FULLRESYNC " + escaped(rest);
    return answer;
  }
  answer.kind = PsyncAnswer::Kind::full_sync;
  answer.position = {std::string(rest.substr(0, space)), offset};
  return answer;
}

}  // namespace

std::vector<Bytes> greeting(std::uint16_t announced_port) {
  std::vector<Bytes> out;
  if (announced_port != 0) {
    out.push_back(make_command({"REPLCONF", "listening-port", std::to_string(announced_port)}));
  }
  out.push_back(make_command({"REPLCONF", "capa", "eof", "capa", "psync2"}));
  out.push_back(make_command({"REPLCONF", "version", announced_version}));
  return out;
}

Error judge_greeting(const RespValue& reply) {
  if (!reply.is_error()) return Error();
  if (reply.text.starts_with("NOAUTH") || reply.text.starts_with("NOPERM")) {
    return Error(Errc::refused_by_peer, "REPLCONF: " + reply.text);
  }
  return Error();
}

Bytes psync_request(const std::string& command, const std::optional<ReplicationPosition>& resume) {
  if (!resume) return make_command({command, "?", "-1"});
  return make_command({command, resume->replid, std::to_string(resume->offset + 1)});
}

PsyncAnswer judge_psync(ByteView line) {
  PsyncAnswer answer;
  if (line.empty()) {
    answer.kind = PsyncAnswer::Kind::keep_alive;
    return answer;
  }
  if (line.starts_with("+FULLRESYNC ")) return full_sync_answer(line.substr(12));
  if (line == "+CONTINUE" || line.starts_with("+CONTINUE ")) {
    // Since Redis 4.0 the id follows; older servers send the bare word.
    const ByteView id = line.size() > 10 ? line.substr(10) : ByteView();
    if (id.empty() || is_replid(id)) {
      answer.kind = PsyncAnswer::Kind::go_on;
      answer.position.replid = id;
      return answer;
    }
  }
  answer.reason = escaped(line, 200);
  if (line.starts_with("-NOMASTERLINK") || line.starts_with("-LOADING") ||
      line.starts_with("-MASTERDOWN") || line.starts_with("-BUSY") ||
      line.starts_with("-TRYAGAIN")) {
    answer.kind = PsyncAnswer::Kind::retry;
  } else if (line.starts_with("-")) {
    // "-ERR Can't SYNC while not connected with my master" is what 2.8 says for NOMASTERLINK.
    answer.kind = line.find("not connected with my master") != ByteView::npos
                      ? PsyncAnswer::Kind::retry
                      : PsyncAnswer::Kind::refused;
  }
  return answer;
}

Result<std::optional<SnapshotFrame>> parse_snapshot_frame(ByteView line) {
  constexpr std::size_t mark_size = 40;
  if (line.empty()) return std::optional<SnapshotFrame>();
  SnapshotFrame frame;
  if (line.starts_with("$EOF:") && line.size() == 5 + mark_size) {
    frame.mark = line.substr(5);
    return std::optional(std::move(frame));
  }
  std::uint64_t length = 0;
  if (line.starts_with("$") && read_number(line.substr(1), length)) {
    frame.length = length;
    return std::optional(std::move(frame));
  }
  return Error(Errc::corrupt, "instead of a snapshot the source sent \"" + escaped(line) + "\"");
}

Bytes ack_command(Offset offset) {
  return make_command({"REPLCONF", "ACK", std::to_string(offset)});
}

}  // namespace keyferry
