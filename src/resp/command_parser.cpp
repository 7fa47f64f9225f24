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

}  // namespace

CommandParse parse_command(ByteView bytes, std::vector<ByteView>& args) {
  using Status = CommandParse::Status;
  const std::size_t before = args.size();
  const auto give_up = [&](Status status, std::size_t size, const char* problem) {
    args.resize(before);
    return CommandParse{status, size, problem};
  };

  const Header array = read_header(bytes, 0, '*', max_command_args);
  if (array.status != Status::command) {
    return give_up(array.status, array.end, "a command does not begin with *<count>");
  }
  if (array.value == 0) return give_up(Status::corrupt, 1, "a command without arguments");

  std::size_t at = array.end;
  for (std::int64_t i = 0; i < array.value; ++i) {
    const Header bulk = read_header(bytes, at, '$', max_argument_bytes);
    if (bulk.status != Status::command) {
      return give_up(bulk.status, bulk.end, "an argument does not begin with $<length>");
    }
    const auto size = static_cast<std::size_t>(bulk.value);
    if (bytes.size() < bulk.end + size + 2)
      return give_up(Status::need_more, bulk.end + size + 2, "");
    if (bytes[bulk.end + size] != '\r' || bytes[bulk.end + size + 1] != '\n') {
      return give_up(Status::corrupt, bulk.end + size, "an argument does not end with CRLF");
    }
    args.push_back(bytes.substr(bulk.end, size));
    at = bulk.end + size + 2;
  }
  return {Status::command, at, ""};
}

}  // namespace keyferry
