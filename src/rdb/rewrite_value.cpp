#include "keyferry/rdb/rewrite_value.hpp"

#include <charconv>

#include <fmt/format.h>

#include "keyferry/resp/command_parser.hpp"

namespace keyferry::rdb {
namespace {

// Calls `use` with every element of the value, which is all there.
template <class Use>
Error for_each_element(const WholeValue& value, Use use) {
  ElementReader reader;
  reader.start(value.type, value.dialect, value.templates);
  ByteView rest = value.bytes;
  Element element;
  while (true) {
    std::size_t consumed = 0;
    switch (reader.next(rest, element, consumed)) {
      case ElementReader::Status::element:
        use(element);
        rest.remove_prefix(consumed);
        break;
      case ElementReader::Status::end:
        return Error();
      case ElementReader::Status::need_more:
        return Error(Errc::corrupt, fmt::format("key \"{}\" (type {}): the value ends too early",
                                                escaped(value.key), value.type));
      case ElementReader::Status::error:
        return Error(Errc::corrupt, fmt::format("key \"{}\" (type {}): {}", escaped(value.key),
                                                value.type, reader.problem()));
    }
  }
}

// Stream types: they alone are read twice.
bool is_stream(std::uint8_t type) {
  return type == 15 || type == 19 || type == 21 || type == 26 || type == 27;
}

}  // namespace

Result<RewrittenValue> rewrite_value(const WholeValue& value, const TargetTraits& target) {
  std::vector<StreamId> ghosts;
  if (is_stream(value.type)) {
    MissingPending missing;
    Error error = for_each_element(value, [&](const Element& element) { missing.add(element); });
    if (error) return error;
    ghosts = missing.take();
  }
  Rewriter rewriter(target, SIZE_MAX);
  rewriter.begin(value.key, value.expire_ms, std::move(ghosts));
  Error error = for_each_element(value, [&](const Element& element) { rewriter.add(element); });
  if (error) return error;
  rewriter.end(value.type == type::string);
  RewrittenValue out;
  out.lost_remembered = rewriter.lost_remembered();
  out.part = rewriter.take();
  return out;
}

std::optional<RestoreCommand> parse_restore(ByteView wire) {
  constexpr std::size_t footer_size = 10;  // u16 version, u64 checksum: see restore.cpp
  std::vector<ByteView> args;
  const CommandParse parsed = parse_command(wire, args);
  if (parsed.status != CommandParse::Status::command || args.size() < 4 || args[0] != "RESTORE" ||
      args[3].size() <= footer_size) {
    return std::nullopt;
  }
  RestoreCommand out;
  out.key = args[1];
  std::from_chars(args[2].data(), args[2].data() + args[2].size(), out.expire_ms);
  out.type = static_cast<std::uint8_t>(args[3].front());
  out.value = args[3].substr(1, args[3].size() - 1 - footer_size);
  return out;
}

}  // namespace keyferry::rdb
