#include "keyferry/cluster/shards.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

constexpr ByteView magic = "keyferry1";
constexpr std::size_t node_id_size = 40;
constexpr std::size_t name_size = 8;  // the start of a node id, longer where that is taken

// Takes what is before the next `end` off `text`.
ByteView next(ByteView& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const ByteView out = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return out;
}

// "42" or "0-5460".
bool read_range(ByteView text, ShardSlots& slots) {
  std::size_t first = 0;
  if (!read_number(next(text, '-'), first)) return false;
  std::size_t last = first;
  if (!text.empty() && !read_number(text, last)) return false;
  if (first > last || last >= slot_count) return false;
  for (std::size_t slot = first; slot <= last; ++slot)
    slots.set(slot);
  return true;
}

bool read_ranges(ByteView text, ShardSlots& slots) {
  while (!text.empty()) {
    if (!read_range(next(text, ','), slots)) return false;
  }
  return true;
}

void append_ranges(Bytes& out, const ShardSlots& slots) {
  bool is_first = true;
  for (std::size_t first = 0; first < slot_count; ++first) {
    if (!slots[first]) continue;
    std::size_t last = first;
    while (last + 1 < slot_count && slots[last + 1])
      ++last;
    fmt::format_to(std::back_inserter(out), "{}{}", is_first ? "" : ",", first);
    if (last > first) fmt::format_to(std::back_inserter(out), "-{}", last);
    is_first = false;
    first = last;
  }
}

bool is_node_id(ByteView text) {
  return text.size() == node_id_size &&
         text.find_first_not_of("0123456789abcdef") == ByteView::npos;
}

// "10.0.0.1:6379@16379,name": the host is empty for a node that does not know its own.
bool read_address(ByteView text, const std::string& asked, Endpoint& out) {
  const ByteView address = text.substr(0, text.find_first_of("@,"));
  const std::size_t colon = address.rfind(':');
  if (colon == ByteView::npos) return false;
  out.host = address.substr(0, colon);
  if (out.host.empty()) out.host = asked;
  return read_number(address.substr(colon + 1), out.port);
}

struct Node {
  std::string id;
  Endpoint address;
  std::string master_id;  // of a replica
  bool is_master = false;
  bool has_failed = false;
  bool is_usable = true;  // its address is known and it has been met
  std::uint64_t epoch = 0;
  ShardSlots slots;
  ShardSlots moving;
};

// A range, or "[42->-id]" and "[42-<-id]": on the move.
bool read_slots(ByteView text, Node& node) {
  if (!text.starts_with("[")) return read_range(text, node.slots);
  text.remove_prefix(1);
  return read_range(next(text, '-'), node.moving);
}

// id address flags master ping pong epoch link slots...
bool read_node(ByteView line, const std::string& asked, Node& node) {
  node.id = next(line, ' ');
  const ByteView address = next(line, ' ');
  ByteView flags = next(line, ' ');
  const ByteView master = next(line, ' ');
  if (!is_node_id(node.id)) return false;
  while (!flags.empty()) {
    const ByteView flag = next(flags, ',');
    node.is_master = node.is_master || flag == "master";
    node.has_failed = node.has_failed || flag == "fail";
    if (flag == "noaddr" || flag == "handshake") node.is_usable = false;
  }
  if (!read_address(address, asked, node.address) && node.is_usable) return false;
  if (master != "-") node.master_id = master;
  next(line, ' ');
  next(line, ' ');
  if (!read_number(next(line, ' '), node.epoch)) return false;
  next(line, ' ');
  while (!line.empty()) {
    const ByteView slots = next(line, ' ');
    if (!read_slots(slots, node)) return false;
  }
  return true;
}

}  // namespace

Result<ClusterView> parse_cluster_nodes(ByteView text, const std::string& asked) {
  ClusterView view;
  std::vector<Node> nodes;
  while (!text.empty()) {
    ByteView line = next(text, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    Node node;
    if (!read_node(line, asked, node))
      return Error(Errc::corrupt, "CLUSTER NODES: \"" + escaped(line, 200) + "\"");
    if (node.slots.any()) view.epoch = std::max(view.epoch, node.epoch);
    nodes.push_back(std::move(node));
  }
  std::map<std::string, std::size_t> shard_of;
  for (const Node& node : nodes) {
    const bool is_gone = node.has_failed && node.slots.none();
    if (!node.is_master || !node.is_usable || is_gone) continue;
    shard_of[node.id] = view.shards.size();
    ClusterShard& shard = view.shards.emplace_back();
    shard.id = node.id;
    shard.master = node.address;
    shard.is_down = node.has_failed;
    shard.nodes.push_back(node.id);
    shard.slots = node.slots;
    shard.moving = node.moving;
  }
  for (const Node& node : nodes) {
    const auto shard = shard_of.find(node.master_id);
    if (node.is_master || shard == shard_of.end()) continue;
    view.shards[shard->second].nodes.push_back(node.id);
    if (!node.is_usable || node.has_failed) continue;
    view.shards[shard->second].replicas.push_back(node.address);
  }
  // Each node lists the others in an order of its own.
  for (ClusterShard& shard : view.shards)
    std::sort(shard.nodes.begin() + 1, shard.nodes.end());
  return view;
}

// The master's own entry; where that is of no slots (it joined as a master, and became a replica),
// that of the master which is its replica now: it has taken that one's place. A replica may have
// come from another shard and tells the least.
std::optional<std::size_t> ShardTable::find(const ClusterShard& seen) const {
  const auto has = [](const std::vector<std::string>& nodes, const std::string& id) {
    return std::count(nodes.begin(), nodes.end(), id) > 0;
  };
  const auto index_of = [this](auto at) { return static_cast<std::size_t>(at - entries_.begin()); };
  auto at = entries_.end();
  for (const std::string& id : seen.nodes) {
    if (at != entries_.end()) break;
    at = std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return has(entry.nodes, id); });
  }
  if (at == entries_.end()) return std::nullopt;
  if (at->slots.any() || at->touched.any()) return index_of(at);
  const auto heritage = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.slots.any() && has(seen.nodes, entry.nodes.front());
  });
  return index_of(heritage == entries_.end() ? at : heritage);
}

std::size_t ShardTable::adopt(const ClusterShard& seen, bool& changed) {
  const std::optional<std::size_t> known = find(seen);
  if (!known) {
    const auto is_taken = [this](const std::string& name) {
      return std::any_of(entries_.begin(), entries_.end(),
                         [&](const Entry& entry) { return entry.name == name; });
    };
    std::size_t size = name_size;
    while (size < seen.id.size() && is_taken(seen.id.substr(0, size)))
      ++size;
    Entry entry;
    entry.name = seen.id.substr(0, size);
    entries_.push_back(std::move(entry));
  }
  const std::size_t index = known.value_or(entries_.size() - 1);
  const auto at = entries_.begin() + static_cast<std::ptrdiff_t>(index);
  if (at->nodes != seen.nodes) {
    at->nodes = seen.nodes;
    changed = true;
  }
  ShardSlots nobodys = seen.slots;
  for (const Entry& entry : entries_)
    nobodys &= ~entry.slots;
  if (nobodys.any()) {
    at->slots |= nobodys;
    changed = true;
  }
  return index;
}

ShardSlots ShardTable::contested(std::size_t shard) const {
  ShardSlots out;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (i != shard) out |= entries_[i].touched;
  }
  return out;
}

std::vector<std::size_t> ShardTable::others(std::size_t shard, const ShardSlots& slots) const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const bool has_any = ((entries_[i].slots | entries_[i].touched) & slots).any();
    if (i != shard && has_any) out.push_back(i);
  }
  return out;
}

bool ShardTable::touch(std::size_t shard, const ShardSlots& slots) {
  Entry& entry = entries_[shard];
  const ShardSlots fresh = slots & ~entry.slots & ~entry.touched;
  entry.touched |= fresh;
  return fresh.any();
}

void ShardTable::give(std::size_t shard, const ShardSlots& slots) {
  for (Entry& entry : entries_) {
    entry.slots &= ~slots;
    entry.touched &= ~slots;
  }
  entries_[shard].slots |= slots;
}

void append_shard_table(Bytes& out, const ShardTable& table) {
  out.append(magic).append(table.owns_target ? " target=own" : " target=shared");
  out += " doubtful=";
  append_ranges(out, table.doubtful);
  for (const ShardTable::Entry& entry : table.entries()) {
    out.append("\n").append(entry.name).append(" nodes=");
    for (const std::string& id : entry.nodes) {
      if (id != entry.nodes.front()) out += ',';
      out += id;
    }
    out += " slots=";
    append_ranges(out, entry.slots);
    out += " touched=";
    append_ranges(out, entry.touched);
  }
}

namespace {

// The value of the next word "name=value".
bool read_value(ByteView& line, ByteView name, ByteView& value) {
  const ByteView word = next(line, ' ');
  if (!word.starts_with(name)) return false;
  value = word.substr(name.size());
  return true;
}

bool read_entry(ByteView line, ShardTable::Entry& entry) {
  ByteView value;
  entry.name = next(line, ' ');
  if (entry.name.empty() || !read_value(line, "nodes=", value)) return false;
  while (!value.empty()) {
    const ByteView id = next(value, ',');
    if (!is_node_id(id)) return false;
    entry.nodes.emplace_back(id);
  }
  if (!read_value(line, "slots=", value) || !read_ranges(value, entry.slots)) return false;
  return read_value(line, "touched=", value) && read_ranges(value, entry.touched);
}

}  // namespace

Result<ShardTable> parse_shard_table(ByteView text) {
  const Error wrong(Errc::corrupt,
                    "not a table of shards of this version: \"" + escaped(text, 200) + "\"");
  ByteView head = next(text, '\n');
  ByteView target;
  if (next(head, ' ') != magic || !read_value(head, "target=", target)) return wrong;
  if (target != "own" && target != "shared") return wrong;
  ShardTable table;
  table.owns_target = target == "own";
  ByteView doubtful;
  if (!read_value(head, "doubtful=", doubtful) || !read_ranges(doubtful, table.doubtful))
    return wrong;
  while (!text.empty()) {
    ShardTable::Entry entry;
    if (!read_entry(next(text, '\n'), entry)) return wrong;
    table.entries_.push_back(std::move(entry));
  }
  return table;
}

}  // namespace keyferry
