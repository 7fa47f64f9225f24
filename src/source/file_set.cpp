#include "keyferry/source/file_set.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "keyferry/base/checksum.hpp"
#include "keyferry/rdb/aof_manifest.hpp"
#include "keyferry/rdb/rdb_reader.hpp"

namespace keyferry {
namespace {

constexpr std::string_view manifest_end = ".manifest";
constexpr std::size_t manifest_max_bytes = std::size_t{16} * 1024 * 1024;
// Enough for the header and the AUX fields that every server puts first.
constexpr std::size_t head_bytes = 4096;
constexpr std::size_t print_bytes = 1024;

Error file_error(const std::string& name, const std::string& what) {
  return {Errc::corrupt, name + ": " + what};
}

// Up to `size` bytes from the start, decompressed.
Result<Bytes> read_head(const InputFile& file, std::size_t size) {
  FileReader reader;
  if (Error error = reader.open(file)) return error;
  Bytes out(size, '\0');
  std::size_t at = 0;
  while (at < size) {
    const auto piece = reader.read(out.data() + at, size - at);
    if (!piece) return piece.error();
    at += piece->size;
    if (piece->at_end) break;
  }
  out.resize(at);
  return out;
}

// Whether the snapshot that begins so says that it is the first part of an append-only file
// (Redis 4.0 to 6.2 rdb.c "aof-preamble", Redis 7.0 "aof-base").
bool announces_commands(ByteView head) {
  rdb::RdbReader reader;
  rdb::Event event;
  std::size_t consumed = 0;
  while (reader.next(head, event, consumed) == rdb::RdbReader::Status::event) {
    if (event.kind == rdb::Event::Kind::aux) {
      const bool says = event.name == "aof-preamble" || event.name == "aof-base";
      if (says) return event.text == "1";
    } else if (event.kind != rdb::Event::Kind::header) {
      return false;
    }
    head.remove_prefix(consumed);
  }
  return false;
}

// Looks at the first bytes; `may_be_snapshot` is false for what may only hold commands.
Error look_at(const InputFile& file, bool may_be_snapshot, bool may_be_empty, FileSet& set) {
  auto head = read_head(file, head_bytes);
  if (!head) return head.error();
  switch (content_of(*head)) {
    case FileContent::empty:
      if (!may_be_empty) return file_error(file.name, "the file is empty");
      break;
    case FileContent::snapshot:
      if (!may_be_snapshot)
        return file_error(file.name, "it holds a snapshot where only commands may be");
      set.is_append_only = set.is_append_only || announces_commands(*head);
      break;
    case FileContent::commands:
      set.is_append_only = true;
      break;
    case FileContent::unknown:
      return file_error(file.name, fmt::format("it is neither a snapshot nor an append-only file: "
                                               "it begins with \"{}\"",
                                               escaped(*head, 16)));
  }
  return Error();
}

Result<InputFile> stat_file(const std::filesystem::path& path) {
  InputFile file;
  file.path = path.string();
  file.name = path.filename().string();
  std::error_code ec;
  file.size_bytes = std::filesystem::file_size(path, ec);
  if (ec) return file_error(file.path, ec.message());
  return file;
}

Bytes raw_magic(const InputFile& file) {
  std::array<char, 4> magic{};
  std::ifstream in(file.path, std::ios::binary);
  in.read(magic.data(), magic.size());
  return {magic.data(), static_cast<std::size_t>(in.gcount())};
}

Error add_manifest(const std::filesystem::path& path, FileSet& set) {
  const auto manifest_file = stat_file(path);
  if (!manifest_file) return manifest_file.error();
  const auto text = read_head(*manifest_file, manifest_max_bytes);
  if (!text) return text.error();
  const auto manifest = parse_aof_manifest(*text);
  if (!manifest) return with_context("manifest " + path.string(), manifest.error());
  set.is_append_only = true;
  for (const std::string& name : manifest->files()) {
    const auto file = stat_file(path.parent_path() / name);
    if (!file) return with_context("manifest " + path.string() + " names", file.error());
    // Where a link goes on in them is counted by their sizes.
    if (const auto raw = raw_magic(*file); compression_of(raw) != Compression::none)
      return file_error(file->name, "it is compressed, which the files of a manifest never are");
    const bool is_base = manifest->base && set.files.empty();
    if (Error error = look_at(*file, is_base, true, set)) return error;
    set.files.push_back(*file);
  }
  return Error();
}

// The one manifest in a folder.
Result<std::filesystem::path> manifest_in(const std::filesystem::path& folder) {
  std::filesystem::path found;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ec)) {
    if (entry.path().extension() != manifest_end) continue;
    if (!found.empty())
      return file_error(folder.string(), "it holds several manifests: give one of them");
    found = entry.path();
  }
  if (ec) return file_error(folder.string(), ec.message());
  if (found.empty()) return file_error(folder.string(), "the folder holds no manifest");
  return found;
}

// Names the history: what its files are called and how they begin; of those that do not grow any
// more also the size.
Result<std::string> print_of(const FileSet& set) {
  Bytes text;
  for (const InputFile& file : set.files) {
    const auto head = read_head(file, print_bytes);
    if (!head) return head.error();
    text += fmt::format("{}/{}/", file.name, crc64(0, *head));
    if (&file != &set.files.back()) text += fmt::format("{}/", file.size_bytes);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  std::string id;
  for (unsigned int i = 0; i < size; ++i)
    id += fmt::format("{:02x}", digest.at(i));
  return id;
}

}  // namespace

std::uint64_t FileSet::size_bytes() const {
  std::uint64_t sum = 0;
  for (const InputFile& file : files)
    sum += file.size_bytes;
  return sum;
}

FileContent content_of(ByteView first_bytes) {
  if (first_bytes.empty()) return FileContent::empty;
  // A command, or an annotation (Redis 7.0 aof.c).
  if (first_bytes[0] == '*' || first_bytes[0] == '#') return FileContent::commands;
  const bool is_snapshot = first_bytes.starts_with(rdb::redis_magic) ||
                           first_bytes.starts_with(rdb::valkey_magic) ||
                           first_bytes.starts_with("VCS");  // refused by name when it is read
  return is_snapshot ? FileContent::snapshot : FileContent::unknown;
}

Result<FileSet> find_files(const Uri& uri) {
  FileSet set;
  if (uri.path == "-") {
    set.is_standard_input = true;
    set.files.push_back({"-", "standard input", 0});
    set.id = std::string(40, '0');
    return set;
  }
  std::filesystem::path path = uri.path;
  std::error_code ec;
  if (std::filesystem::is_directory(path, ec)) {
    auto manifest = manifest_in(path);
    if (!manifest) return manifest.error();
    path = std::move(*manifest);
  }
  Error error;
  if (path.extension() == manifest_end) {
    error = add_manifest(path, set);
  } else {
    const auto file = stat_file(path);
    if (!file) return file.error();
    const bool may_be_empty = without_compression(uri.path).ends_with(".aof");
    error = look_at(*file, true, may_be_empty, set);
    set.is_append_only = set.is_append_only || may_be_empty;
    set.files.push_back(*file);
  }
  if (error) return error;
  auto id = print_of(set);
  if (!id) return id.error();
  set.id = std::move(*id);
  return set;
}

}  // namespace keyferry
