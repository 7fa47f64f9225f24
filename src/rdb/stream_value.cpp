#include "keyferry/rdb/stream_value.hpp"

#include "keyferry/rdb/format.hpp"

namespace keyferry::rdb {
namespace {

// Entry flags (Redis 5.0 t_stream.c STREAM_ITEM_FLAG_*).
constexpr std::int64_t deleted_flag = 1;
constexpr std::int64_t same_fields_flag = 2;
constexpr std::size_t raw_id_size = 16;

int version_of(std::uint8_t type) {
  switch (type) {
    case type::stream_listpacks:
      return 1;
    case type::stream_listpacks_2:
      return 2;
    case type::stream_listpacks_3:
      return 3;
    case type::stream_listpacks_4:
      return 4;
    default:
      return 5;
  }
}

std::uint64_t big_endian(ByteView bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i)
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

// 16 raw bytes, big endian.
StreamId raw_id(Cursor& in) {
  const ByteView bytes = in.raw(raw_id_size);
  if (!in.ok()) return {};
  return {big_endian(bytes, 0), big_endian(bytes, 8)};
}

StreamId id_of_lengths(Cursor& in) {
  const std::uint64_t ms = in.length();
  return {ms, in.length()};
}

}  // namespace

void StreamValue::start(std::uint8_t type) {
  version_ = version_of(type);
  part_ = Part::node_count;
  has_first_ = false;
  first_id_ = {};
  node_id_ = {};
  ids_kept_ = 0;
}

bool StreamValue::step(Cursor& in, ByteView bytes, Blob& blob, Element& element) {
  switch (part_) {
    case Part::node_count:
      return read_node_count(in);
    case Part::nodes:
      if (blob.is_open()) return read_entry(in, bytes, blob, element);
      open_node(in, bytes, blob);
      return false;
    case Part::info:
      return read_info(in, element);
    case Part::group_count:
      return begin_list(in, groups_left_, Part::group, Part::idmp_head);
    case Part::group:
      return read_group(in, element);
    case Part::pending:
      return read_pending(in, element);
    case Part::consumer_count:
      return begin_list(in, consumers_left_, Part::consumer, Part::nacked_count);
    case Part::consumer:
      return read_consumer(in, element);
    case Part::owned:
    case Part::nacked:
      return read_owned(in, element, part_);
    case Part::nacked_count:
      if (version_ >= 5) return begin_list(in, owned_left_, Part::nacked, Part::group_end);
      part_ = Part::group_end;
      return false;
    case Part::group_end:
      return end_group(in);
    case Part::idmp_head:
      return read_idmp_head(in);
    case Part::producer:
      return read_producer(in);
    case Part::remembered_id:
      return read_remembered_id(in);
    case Part::idmp_end:
      return read_idmp_end(in, element);
    case Part::end:
      break;
  }
  return false;
}

bool StreamValue::begin_list(Cursor& in, std::uint64_t& left, Part first, Part behind) {
  const std::uint64_t count = in.count();
  if (!in.ok()) return false;
  left = count;
  part_ = count > 0 ? first : behind;
  return false;
}

bool StreamValue::read_node_count(Cursor& in) {
  return begin_list(in, nodes_left_, Part::nodes, Part::info);
}

// --- entries

// A node: its master ID, then a listpack that begins with: live entries, deleted entries, number of
// field names, the names, 0 (Redis 5.0 t_stream.c streamAppendItem).
void StreamValue::open_node(Cursor& in, ByteView bytes, Blob& blob) {
  const std::uint64_t size = in.length();
  if (in.ok() && size != raw_id_size) in.fail("a stream node has no 16-byte ID");
  const StreamId id = raw_id(in);
  const bool ascends = id.ms != node_id_.ms ? id.ms > node_id_.ms : id.seq > node_id_.seq;
  if (in.ok() && !ascends) in.fail("the nodes of a stream are not in order");
  blob.open(in, PackedReader::Format::listpack);
  if (!in.ok()) return;
  in.mark();
  node_id_ = id;
  fields_.clear();
  number_text_.clear();
  std::int64_t names = 0;
  if (!next_number(in, bytes, blob, live_left_) || !next_number(in, bytes, blob, deleted_left_) ||
      !next_number(in, bytes, blob, names)) {
    return;
  }
  if (live_left_ < 0 || deleted_left_ < 0 || names < 0) {
    in.fail("a stream node has impossible counts");
    return;
  }
  for (; names > 0; --names) {
    if (!next_place(in, bytes, blob, fields_)) return;
  }
  node_number_text_ = number_text_.size();
  std::int64_t zero = 0;
  if (next_number(in, bytes, blob, zero) && zero != 0) {
    in.fail("a stream node's field names do not end where they should");
  }
  if (in.ok() && blob.at_end()) close_node(in, blob);
}

// flags, ms and sequence minus the master's, then the number of pairs and the pairs, or only values
// when the field names are the node's; then how many listpack entries it takes.
bool StreamValue::read_entry(Cursor& in, ByteView bytes, Blob& blob, Element& element) {
  std::int64_t flags = 0;
  std::int64_t ms = 0;
  std::int64_t seq = 0;
  if (!next_number(in, bytes, blob, flags) || !next_number(in, bytes, blob, ms) ||
      !next_number(in, bytes, blob, seq)) {
    return false;
  }
  const bool same_fields = (flags & same_fields_flag) != 0;
  const bool is_deleted = (flags & deleted_flag) != 0;
  values_.clear();
  number_text_.resize(node_number_text_);
  read_pairs(in, bytes, blob, same_fields);
  if (!in.ok()) return false;
  if (--(is_deleted ? deleted_left_ : live_left_) < 0) {
    in.fail("a stream node has more entries than it says");
    return false;
  }
  if (!is_deleted) {
    element.kind = Element::Kind::entry;
    element.id = {node_id_.ms + static_cast<std::uint64_t>(ms),
                  node_id_.seq + static_cast<std::uint64_t>(seq)};
    fill_pairs(blob.view(bytes), same_fields, element);
    if (!has_first_) first_id_ = element.id;
    has_first_ = true;
  }
  if (blob.at_end()) close_node(in, blob);
  return in.ok() && !is_deleted;
}

void StreamValue::read_pairs(Cursor& in, ByteView bytes, Blob& blob, bool same_fields) {
  std::int64_t values = static_cast<std::int64_t>(fields_.size());
  // Entries without the last one: flags, ms, sequence, (number of pairs), names and values.
  std::int64_t entries = 3 + values;
  if (!same_fields) {
    std::int64_t pairs = 0;
    if (!next_number(in, bytes, blob, pairs)) return;
    if (pairs < 0 || pairs > static_cast<std::int64_t>(blob.view(bytes).size())) {
      in.fail("a stream entry has an impossible number of fields");
      return;
    }
    values = pairs * 2;
    entries = 4 + values;
  }
  for (; values > 0; --values) {
    if (!next_place(in, bytes, blob, values_)) return;
  }
  std::int64_t said = 0;
  if (next_number(in, bytes, blob, said) && said != entries) {
    in.fail("a stream entry is wrong about its own length");
  }
}

void StreamValue::fill_pairs(ByteView blob, bool same_fields, Element& element) {
  pairs_.resize(values_.size() * (same_fields ? 2 : 1));
  ByteView* out = pairs_.data();
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (same_fields) *out++ = text_at(fields_[i], blob);
    *out++ = text_at(values_[i], blob);
  }
  element.pairs = pairs_;
}

void StreamValue::close_node(Cursor& in, Blob& blob) {
  if (live_left_ != 0 || deleted_left_ != 0) {
    in.fail("a stream node has fewer entries than it says");
    return;
  }
  blob.finish(in);
  if (in.ok() && --nodes_left_ == 0) part_ = Part::info;
}

bool StreamValue::next_number(Cursor& in, ByteView bytes, Blob& blob, std::int64_t& number) {
  PackedEntry entry;
  if (!blob.next(in, bytes, entry) || !entry.is_number) {
    in.fail("a stream node holds something else where a number belongs");
    return false;
  }
  number = entry.number;
  return true;
}

bool StreamValue::next_place(Cursor& in, ByteView bytes, Blob& blob, std::vector<Place>& places) {
  PackedEntry entry;
  if (!blob.next(in, bytes, entry)) {
    in.fail("a stream node is cut");
    return false;
  }
  places.push_back(place_of(entry, blob.view(bytes)));
  return true;
}

StreamValue::Place StreamValue::place_of(const PackedEntry& entry, ByteView blob) {
  if (!entry.is_number)
    return {false, static_cast<std::size_t>(entry.text.data() - blob.data()), entry.text.size()};
  NumberText digits;
  const ByteView text = text_of(entry, digits);
  number_text_ += text;
  return {true, number_text_.size() - text.size(), text.size()};
}

ByteView StreamValue::text_at(Place place, ByteView blob) const {
  return {(place.is_number ? number_text_.data() : blob.data()) + place.at, place.size};
}

// --- behind the entries

bool StreamValue::read_info(Cursor& in, Element& element) {
  element.kind = Element::Kind::stream_info;
  element.length = in.length();
  element.last_id = id_of_lengths(in);
  if (version_ >= 2) {
    element.first_id = id_of_lengths(in);
    element.max_deleted_id = id_of_lengths(in);
    element.entries_added = in.length();
  } else {
    // What a server makes of a stream that old (Redis 7.0 rdb.c rdbLoadObject).
    element.first_id = first_id_;
    element.max_deleted_id = {};
    element.entries_added = element.length;
  }
  if (!in.ok()) return false;
  part_ = Part::group_count;
  return true;
}

bool StreamValue::read_group(Cursor& in, Element& element) {
  element.kind = Element::Kind::group;
  element.name = in.string(name_scratch_);
  element.last_id = id_of_lengths(in);
  // 2^64 - 1 stands for "not known" (Redis 7.0 stream.h SCG_INVALID_ENTRIES_READ).
  element.entries_read = version_ >= 2 ? static_cast<std::int64_t>(in.length()) : -1;
  const std::uint64_t pending = in.count();
  if (!in.ok()) return false;
  pending_left_ = pending_without_owner_ = pending;
  part_ = pending > 0 ? Part::pending : Part::consumer_count;
  return true;
}

bool StreamValue::read_pending(Cursor& in, Element& element) {
  element.kind = Element::Kind::pending;
  element.id = raw_id(in);
  element.delivered_ms = in.number<std::int64_t>();
  element.deliveries = in.length();
  if (!in.ok()) return false;
  if (--pending_left_ == 0) part_ = Part::consumer_count;
  return true;
}

bool StreamValue::read_consumer(Cursor& in, Element& element) {
  element.kind = Element::Kind::consumer;
  element.name = in.string(name_scratch_);
  element.seen_ms = in.number<std::int64_t>();
  element.active_ms = version_ >= 3 ? in.number<std::int64_t>() : -1;
  const std::uint64_t owned = in.count();
  if (!in.ok()) return false;
  owned_left_ = owned;
  --consumers_left_;
  part_ = owned > 0 ? Part::owned : consumers_left_ > 0 ? Part::consumer : Part::nacked_count;
  return true;
}

// An ID of the last consumer, or of the group's entries without one.
bool StreamValue::read_owned(Cursor& in, Element& element, Part part) {
  element.kind = part == Part::owned ? Element::Kind::owned : Element::Kind::nacked;
  element.id = raw_id(in);
  if (!in.ok()) return false;
  if (pending_without_owner_ == 0) {
    in.fail("the consumers of a stream's group hold more entries than are pending");
    return false;
  }
  --pending_without_owner_;
  if (--owned_left_ == 0) {
    part_ = part == Part::nacked  ? Part::group_end
            : consumers_left_ > 0 ? Part::consumer
                                  : Part::nacked_count;
  }
  return true;
}

bool StreamValue::end_group(Cursor& in) {
  if (pending_without_owner_ > 0) {
    in.fail("a pending entry of a stream's group belongs to no consumer");
    return false;
  }
  part_ = --groups_left_ > 0 ? Part::group : Part::idmp_head;
  return false;
}

// What XADD IDMP remembers: for how long, how many, then per producer the IDs it sent (Redis 8.6.3
// rdb.c).
bool StreamValue::read_idmp_head(Cursor& in) {
  if (version_ < 4) {
    part_ = Part::end;
    return false;
  }
  const std::uint64_t keep_s = in.length();
  const std::uint64_t keep_at_most = in.length();
  const std::uint64_t producers = in.count();
  if (!in.ok()) return false;
  keep_s_ = keep_s;
  keep_at_most_ = keep_at_most;
  producers_left_ = producers;
  part_ = producers > 0 ? Part::producer : Part::idmp_end;
  return false;
}

bool StreamValue::read_producer(Cursor& in) {
  in.skip_string();
  const std::uint64_t ids = in.count();
  if (!in.ok()) return false;
  ids_left_ = ids;
  --producers_left_;
  part_ = ids > 0 ? Part::remembered_id : producers_left_ > 0 ? Part::producer : Part::idmp_end;
  return false;
}

bool StreamValue::read_remembered_id(Cursor& in) {
  in.skip_string();
  id_of_lengths(in);
  if (!in.ok()) return false;
  ++ids_kept_;
  if (--ids_left_ == 0) part_ = producers_left_ > 0 ? Part::producer : Part::idmp_end;
  return false;
}

bool StreamValue::read_idmp_end(Cursor& in, Element& element) {
  in.length();
  in.length();
  if (!in.ok()) return false;
  element.kind = Element::Kind::remembered;
  element.keep_s = keep_s_;
  element.length = keep_at_most_;
  element.entries_added = ids_kept_;
  part_ = Part::end;
  return true;
}

}  // namespace keyferry::rdb
