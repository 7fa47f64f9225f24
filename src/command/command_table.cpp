#include "keyferry/command/command_table.hpp"

#include "command_rows.hpp"

namespace keyferry {
namespace {

// Bytes in a fixed order, written so that compilers make one load of it.
constexpr std::uint64_t byte_at(const char* p, int i) {
  return static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
}
constexpr std::uint64_t load4(const char* p) {
  return byte_at(p, 0) | byte_at(p, 1) | byte_at(p, 2) | byte_at(p, 3);
}
constexpr std::uint64_t load8(const char* p) {
  return load4(p) | byte_at(p, 4) | byte_at(p, 5) | byte_at(p, 6) | byte_at(p, 7);
}

// Eight bytes at once: a..z become A..Z, every other byte stays.
constexpr std::uint64_t upper(std::uint64_t bytes) {
  constexpr std::uint64_t ones = 0x0101010101010101;
  const std::uint64_t low_bits = bytes & (0x7f * ones);
  const std::uint64_t from_a = low_bits + (0x80 - 'a') * ones;        // bit 7: >= 'a'
  const std::uint64_t behind_z = low_bits + (0x80 - 'z' - 1) * ones;  // bit 7: > 'z'
  const std::uint64_t is_lower = (from_a & ~behind_z & ~bytes) & (0x80 * ones);
  return bytes - (is_lower >> 2);
}

constexpr char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

// The first and last eight bytes of a name, upper case: together the whole name up to 16 bytes.
struct Folded {
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
};
constexpr Folded fold(ByteView name) {
  const char* p = name.data();
  const std::size_t n = name.size();
  if (n >= 8) return {upper(load8(p)), upper(load8(p + n - 8))};
  if (n >= 4) return {upper(load4(p) | load4(p + n - 4) << 32), 0};
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < n; ++i)
    head |= byte_at(p, static_cast<int>(i));
  return {upper(head), 0};
}

// An open-addressing table, built by the compiler. 512 slots: about a quarter of them in use.
constexpr std::size_t table_bits = 9;
constexpr std::size_t table_size = std::size_t{1} << table_bits;
constexpr std::uint16_t no_row = 0xffff;

struct Entry {
  Folded folded;
  std::uint16_t size = 0;
  std::uint16_t row = no_row;
};

constexpr std::size_t home_of(const Folded& folded, std::size_t size) {
  const std::uint64_t mixed = (folded.head ^ (folded.tail << 1) ^ size) * 0x9e3779b97f4a7c15;
  return static_cast<std::size_t>(mixed >> (64 - table_bits));
}
constexpr std::size_t next_of(std::size_t at) {
  return (at + 1) % table_size;
}

constexpr std::array<Entry, table_size> make_table() {
  std::array<Entry, table_size> table{};
  for (std::size_t row = 0; row < rows::all.size(); ++row) {
    const ByteView name = rows::all[row].name;
    const Folded folded = fold(name);
    std::size_t at = home_of(folded, name.size());
    while (table[at].row != no_row)
      at = next_of(at);
    table[at] = {folded, static_cast<std::uint16_t>(name.size()), static_cast<std::uint16_t>(row)};
  }
  return table;
}
constexpr std::array<Entry, table_size> table = make_table();
static_assert(rows::all.size() * 2 < table_size, "make the table larger");

// What fold() does not see of names longer than 16 bytes.
bool middle_matches(ByteView name, ByteView row_name) {
  for (std::size_t i = 8; i + 8 < name.size(); ++i) {
    if (upper(name[i]) != row_name[i]) return false;
  }
  return true;
}

}  // namespace

const CommandInfo* find_command(ByteView name) {
  const Folded folded = fold(name);
  for (std::size_t at = home_of(folded, name.size()); table[at].row != no_row; at = next_of(at)) {
    const Entry& entry = table[at];
    if (entry.folded.head != folded.head || entry.folded.tail != folded.tail) continue;
    if (entry.size != name.size()) continue;
    const CommandInfo& info = rows::all[entry.row];
    if (name.size() <= 16 || middle_matches(name, info.name)) return &info;
  }
  return nullptr;
}

std::span<const CommandInfo> all_commands() {
  return rows::all;
}

}  // namespace keyferry
