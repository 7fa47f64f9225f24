#include "keyferry/rdb/aof_manifest.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

// Redis 7.0 aof.c MANIFEST_MAX_LINE.
constexpr std::size_t line_max_bytes = 1024;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// One character of a double-quoted word, behind the backslash (Redis 7.0 sds.c sdssplitargs).
char unescape(ByteView& rest) {
  if (rest.size() >= 3 && rest[0] == 'x') {
    const int high = hex_digit(rest[1]);
    const int low = hex_digit(rest[2]);
    if (high >= 0 && low >= 0) {
      rest.remove_prefix(3);
      return static_cast<char>(high * 16 + low);
    }
  }
  const char c = rest[0];
  rest.remove_prefix(1);
  constexpr ByteView letters = "nrtba";
  constexpr ByteView meanings = "\n\r\t\b\a";
  const std::size_t at = letters.find(c);
  return at == ByteView::npos ? c : meanings[at];
}

// Takes one word off the front of `rest`; false when its quotes are not closed.
bool take_word(ByteView& rest, std::string& word) {
  word.clear();
  const char quote = rest[0] == '"' || rest[0] == '\'' ? rest[0] : '\0';
  if (quote != '\0') rest.remove_prefix(1);
  while (!rest.empty()) {
    const char c = rest[0];
    if (quote == '\0' && c == ' ') return true;
    rest.remove_prefix(1);
    if (c == quote && quote != '\0') return rest.empty() || rest[0] == ' ';
    const bool escapes = c == '\\' && !rest.empty();
    if (escapes && quote == '"') {
      word += unescape(rest);
    } else if (escapes && quote == '\'' && rest[0] == '\'') {
      word += '\'';
      rest.remove_prefix(1);
    } else {
      word += c;
    }
  }
  return quote == '\0';
}

bool split_words(ByteView line, std::vector<std::string>& words) {
  while (true) {
    while (!line.empty() && line[0] == ' ')
      line.remove_prefix(1);
    if (line.empty()) return true;
    if (!take_word(line, words.emplace_back())) return false;
  }
}

// "file NAME seq N type T", and pairs that later versions may add. What is wrong, or "".
const char* read_line(const std::vector<std::string>& words, AofManifestFile& file) {
  bool has_sequence = false;
  bool has_type = false;
  if (words.size() % 2 != 0) return "a line is not made of names and values";
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string& value = words[i + 1];
    if (words[i] == "file") {
      file.name = value;
    } else if (words[i] == "seq") {
      if (!read_number(value, file.sequence)) return "a sequence number is no number";
      has_sequence = true;
    } else if (words[i] == "type") {
      if (value.size() != 1 || ByteView("bih").find(value[0]) == ByteView::npos)
        return "the type of a file is none of b, i and h";
      file.type = value[0];
      has_type = true;
    }
  }
  if (file.name.empty() || !has_sequence || !has_type) return "file, seq or type is missing";
  if (file.name.find_first_of(ByteView("/\0", 2)) != std::string::npos || file.name == "..")
    return "a file's name is a path";
  return "";
}

}  // namespace

std::vector<std::string> AofManifest::files() const {
  std::vector<std::string> out;
  if (base) out.push_back(*base);
  out.insert(out.end(), increments.begin(), increments.end());
  return out;
}

Result<AofManifest> parse_aof_manifest(ByteView text) {
  AofManifest manifest;
  std::uint64_t last_sequence = 0;
  std::size_t number = 0;
  const auto fail = [&number](const char* what) {
    return Error(Errc::corrupt, fmt::format("line {}: {}", number, what));
  };
  if (!text.empty() && text.back() != '\n') {
    number = 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    return fail("the last line is cut off");
  }
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    ByteView line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.size() > line_max_bytes) return fail("the line is too long");
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with('#')) continue;
    std::vector<std::string> words;
    if (!split_words(line, words)) return fail("a quoted name does not end");
    if (words.empty()) return fail("the line is empty");
    AofManifestFile file;
    const char* const wrong = read_line(words, file);
    if (*wrong != '\0') return fail(wrong);
    manifest.last_sequence = std::max(manifest.last_sequence, file.sequence);
    if (file.type == 'b') {
      if (manifest.base) return fail("there is a second base file");
      manifest.base = std::move(file.name);
    } else if (file.type == 'i') {
      if (file.sequence <= last_sequence) return fail("the sequence numbers do not grow");
      last_sequence = file.sequence;
      manifest.increments.push_back(std::move(file.name));
    }
  }
  if (!manifest.base && manifest.increments.empty())
    return Error(Errc::corrupt, "it names no file");
  return manifest;
}

std::string aof_manifest_text(const std::vector<AofManifestFile>& files) {
  std::string out;
  for (const AofManifestFile& file : files) {
    std::string name = file.name;
    if (name.find_first_of(" \"'\\") != std::string::npos || name != escaped(name, name.size())) {
      name = "\"";
      for (const char c : file.name) {
        const bool is_plain = c > ' ' && c < 0x7f && c != '"' && c != '\\';
        name +=
            is_plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
      name += '"';
    }
    out += fmt::format("file {} seq {} type {}\n", name, file.sequence, file.type);
  }
  return out;
}

}  // namespace keyferry
