#include "keyferry/resp/command_parser.hpp"

namespace keyferry {
namespace {

// "*<n>\r\n" or "$<n>\r\n" at `at`. Longest header that can be right: kind, 10 digits of 4 GiB or
// 2^24, CRLF.
constexpr std::size_t longest_header = 13;

struct Header {
  CommandParse::Status status;
  std::int64_t value;
  std::size_t end;  // command: behind the CRLF; need_more: bytes needed; corrupt: where
};

Header read_header(ByteView bytes, std::size_t at, char kind, std::int64_t limit) {
  using Status = CommandParse::Status;
  if (at >= bytes.size()) return {Status::need_more, 0, at + 4};
  if (bytes[at] != kind) return {Status::corrupt, 0, at};
  std::int64_t value = 0;
  std::size_t i = at + 1;
  for (; i < bytes.size() && i < at + longest_header; ++i) {
    const auto digit = static_cast<unsigned char>(bytes[i] - '0');
    if (digit > 9) break;
    value = value * 10 + digit;
  }
  if (i == at + longest_header) return {Status::corrupt, 0, i};
  if (i >= bytes.size()) return {Status::need_more, 0, i + 2};
  if (i == at + 1 || bytes[i] != '\r' || value > limit) return {Status::corrupt, 0, i};
  if (i + 1 >= bytes.size()) return {Status::need_more, 0, i + 2};
  if (bytes[i + 1] != '\n') return {Status::corrupt, 0, i + 1};
  return {Status::command, value, i + 2};
}

// Moves the arguments behind `before` to `progress`.
void remember(CommandProgress& progress, ByteView bytes, std::vector<ByteView>& args,
              std::size_t before) {
  for (std::size_t i = before; i < args.size(); ++i) {
    const auto offset = static_cast<std::size_t>(args[i].data() - bytes.data());
    progress.args.push_back({offset, args[i].size()});
  }
  args.resize(before);
}

// Puts the arguments found before in front of those found now.
void recall(CommandProgress& progress, ByteView bytes, std::vector<ByteView>& args,
            std::size_t before) {
  const auto front = args.begin() + static_cast<std::ptrdiff_t>(before);
  auto to = args.insert(front, progress.args.size(), ByteView());
  for (const auto& span : progress.args)
    *to++ = bytes.substr(span.offset, span.size);
  progress = CommandProgress();
}

}  // namespace

CommandParse parse_command(ByteView bytes, std::vector<ByteView>& args) {
  CommandProgress progress;
  return parse_command(bytes, args, progress);
}

CommandParse parse_command(ByteView bytes, std::vector<ByteView>& args, CommandProgress& progress) {
  using Status = CommandParse::Status;
  std::size_t at = progress.at;
  std::int64_t left = progress.args_left;
  if (at == 0) {
    const Header array = read_header(bytes, 0, '*', max_command_args);
    if (array.status != Status::command) {
      return {array.status, array.end, "a command does not begin with *<count>"};
    }
    if (array.value == 0) return {Status::corrupt, 1, "a command without arguments"};
    at = array.end;
    left = array.value;
  }
  const std::size_t before = args.size();
  const auto stop = [&](Status status, std::size_t size, const char* problem) {
    if (status == Status::need_more) {
      progress.at = at;
      progress.args_left = left;
      remember(progress, bytes, args, before);
    } else {
      args.resize(before);
      progress = CommandProgress();
    }
    return CommandParse{status, size, problem};
  };
  for (; left > 0; --left) {
    const Header bulk = read_header(bytes, at, '$', max_argument_bytes);
    if (bulk.status != Status::command) {
      return stop(bulk.status, bulk.end, "an argument does not begin with $<length>");
    }
    const std::size_t end = bulk.end + static_cast<std::size_t>(bulk.value);
    if (bytes.size() < end + 2) return stop(Status::need_more, end + 2, "");
    if (bytes[end] != '\r' || bytes[end + 1] != '\n') {
      return stop(Status::corrupt, end, "an argument does not end with CRLF");
    }
    args.push_back(bytes.substr(bulk.end, end - bulk.end));
    at = end + 2;
  }
  if (progress.at != 0) recall(progress, bytes, args, before);
  return {Status::command, at, ""};
}

}  // namespace keyferry
