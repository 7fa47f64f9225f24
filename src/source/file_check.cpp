#include "keyferry/source/file_check.hpp"

#include <fmt/format.h>

#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/source/stream_decoder.hpp"

namespace keyferry {
namespace {

constexpr std::size_t piece_bytes = Slab::default_size_bytes;
// Values above this are stepped over in pieces.
constexpr std::size_t big_value_bytes = std::size_t{1} << 20;

// Steps over the snapshot at the start of an open file. `rest` holds what was read behind it.
Result<std::uint64_t> step_over_snapshot(FileReader& input, const std::string& name, Bytes& rest,
                                         const std::atomic<bool>& stop) {
  rdb::RdbReader reader(big_value_bytes);
  rdb::Event event;
  while (!stop) {
    std::size_t at = 0;
    std::size_t consumed = 0;
    while (rest.size() - at >= reader.need_bytes()) {
      const auto status = reader.next(ByteView(rest).substr(at), event, consumed);
      if (status == rdb::RdbReader::Status::error) return with_context(name, reader.error());
      if (status == rdb::RdbReader::Status::need_more) break;
      at += consumed;
      if (event.kind != rdb::Event::Kind::end) continue;
      rest.erase(0, at);
      return reader.offset();
    }
    rest.erase(0, at);
    const std::size_t had = rest.size();
    rest.resize(had + piece_bytes);
    const auto piece = input.read(rest.data() + had, piece_bytes);
    if (!piece) return piece.error();
    rest.resize(had + piece->size);
    if (piece->at_end) {
      return Error(Errc::corrupt, fmt::format("{}: the snapshot is cut off: it ends after {} bytes",
                                              name, reader.offset() + had));
    }
  }
  return std::uint64_t{0};
}

// The commands of all files, one behind the other.
class Check {
 public:
  Check(const FileCheckRules& rules, const std::atomic<bool>& stop) : stop_(stop) {
    decoder_.read_annotations(rules.until);
    decoder_.start(0, 0);
  }

  Error take_file(const InputFile& file, bool is_first, bool is_last) {
    FileReader input;
    if (Error error = input.open(file)) return error;
    name_ = file.name;
    starts_at_ = decoder_.offset();
    Bytes head(piece_bytes, '\0');
    const auto first = input.read(head.data(), head.size());
    if (!first) return first.error();
    head.resize(first->size);
    if (is_first && content_of(head) == FileContent::snapshot) {
      const auto size = step_over_snapshot(input, name_, head, stop_);
      if (!size) return size.error();
      starts_at_ -= static_cast<Offset>(*size);
    }
    Error error = head.empty() ? Error() : decode(head);
    while (!error && !stop_ && !decoder_.has_ended()) {
      head.resize(piece_bytes);
      const auto piece = input.read(head.data(), head.size());
      if (!piece) return piece.error();
      if (piece->at_end) break;
      error = decode(ByteView(head).substr(0, piece->size));
    }
    if (!error && !is_last && !decoder_.has_ended()) error = decoder_.begin_file();
    return error ? with_context(place(), std::move(error)) : Error();
  }

  bool is_torn() const { return !decoder_.has_ended() && decoder_.is_torn(); }
  bool has_ended() const { return decoder_.has_ended(); }
  std::string place() const {
    return fmt::format("{} at byte {}", name_, decoder_.whole_offset() - starts_at_);
  }

 private:
  Error decode(ByteView bytes) {
    if (!slab_ || slab_->tail_size() < bytes.size()) slab_ = make_slab(budget_, 2 * piece_bytes);
    while (!bytes.empty()) {
      if (slab_->tail_size() == 0) slab_ = make_slab(budget_, 2 * piece_bytes);
      const ByteView piece = bytes.substr(0, slab_->tail_size());
      if (Error error = decoder_.feed(slab_, slab_->append(piece), TimePoint())) return error;
      bytes.remove_prefix(piece.size());
      while (decoder_.take()) {
      }
    }
    return Error();
  }

  const std::atomic<bool>& stop_;
  SlabBudget budget_;
  SlabRef slab_;
  StreamDecoder decoder_{budget_};
  std::string name_;
  Offset starts_at_ = 0;
};

}  // namespace

Error check_files(const FileSet& files, const FileCheckRules& rules,
                  const std::atomic<bool>& stop) {
  Check check(rules, stop);
  for (std::size_t i = 0; i < files.files.size() && !stop && !check.has_ended(); ++i) {
    const bool is_last = i + 1 == files.files.size();
    if (Error error = check.take_file(files.files[i], i == 0, is_last)) return error;
  }
  if (stop || !check.is_torn() || rules.may_be_torn) return Error();
  return {Errc::corrupt, "the last command is cut off: what is whole ends in " + check.place() +
                             " (source.aof.on_truncated: keep does without what follows)"};
}

Result<std::uint64_t> snapshot_bytes(const InputFile& file) {
  FileReader input;
  if (Error error = input.open(file)) return error;
  Bytes head(piece_bytes, '\0');
  const auto first = input.read(head.data(), head.size());
  if (!first) return first.error();
  head.resize(first->size);
  if (content_of(head) != FileContent::snapshot) return std::uint64_t{0};
  const std::atomic<bool> never{false};
  return step_over_snapshot(input, file.name, head, never);
}

}  // namespace keyferry
