// Takes the elements out of a stream's value, of every version: nodes of entries, the stream's IDs,
// groups with pending entries and consumers. A part of the element reader, which owns cursor and
// blob; checks the counts, not whether IDs ascend or occur twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "keyferry/rdb/blob.hpp"
#include "keyferry/rdb/cursor.hpp"
#include "keyferry/rdb/element.hpp"

namespace keyferry::rdb {

class StreamValue {
 public:
  // `type` is one of type::stream_listpacks...
  void start(std::uint8_t type);

  // One step on; true when `element` was filled. Otherwise something was settled, the cursor
  // failed, or the value has ended().
  bool step(Cursor& in, ByteView bytes, Blob& blob, Element& element);
  bool ended() const { return part_ == Part::end; }

 private:
  // nodes -> info -> groups -> (group -> pending -> consumers -> (consumer -> owned)* -> nacked)*
  // -> remembered -> end; a part that the version lacks is stepped over.
  enum class Part : std::uint8_t {
    node_count,
    nodes,
    info,
    group_count,
    group,
    pending,
    consumer_count,
    consumer,
    owned,
    nacked_count,
    nacked,
    group_end,
    idmp_head,
    producer,
    remembered_id,
    idmp_end,
    end,
  };

  bool read_node_count(Cursor& in);
  void open_node(Cursor& in, ByteView bytes, Blob& blob);
  bool read_entry(Cursor& in, ByteView bytes, Blob& blob, Element& element);
  bool read_info(Cursor& in, Element& element);
  bool read_group(Cursor& in, Element& element);
  bool read_pending(Cursor& in, Element& element);
  bool read_consumer(Cursor& in, Element& element);
  bool read_owned(Cursor& in, Element& element, Part next);
  bool end_group(Cursor& in);
  bool read_idmp_head(Cursor& in);
  bool read_producer(Cursor& in);
  bool read_remembered_id(Cursor& in);
  bool read_idmp_end(Cursor& in, Element& element);
  bool begin_list(Cursor& in, std::uint64_t& left, Part first, Part behind);

  // A field name or value of an entry, as a place that survives the bytes moving.
  struct Place {
    bool is_number = false;
    std::size_t at = 0;  // in the blob, or in number_text_
    std::size_t size = 0;
  };
  Place place_of(const PackedEntry& entry, ByteView blob);
  ByteView text_at(Place place, ByteView blob) const;
  bool next_number(Cursor& in, ByteView bytes, Blob& blob, std::int64_t& number);
  bool next_place(Cursor& in, ByteView bytes, Blob& blob, std::vector<Place>& places);
  void read_pairs(Cursor& in, ByteView bytes, Blob& blob, bool same_fields);
  void close_node(Cursor& in, Blob& blob);
  void fill_pairs(ByteView blob, bool same_fields, Element& element);

  int version_ = 1;
  Part part_ = Part::node_count;
  std::uint64_t nodes_left_ = 0;
  std::uint64_t groups_left_ = 0;
  std::uint64_t pending_left_ = 0;
  std::uint64_t consumers_left_ = 0;
  std::uint64_t owned_left_ = 0;
  std::uint64_t pending_without_owner_ = 0;

  StreamId node_id_;
  std::int64_t live_left_ = 0;
  std::int64_t deleted_left_ = 0;
  Bytes number_text_;
  std::size_t node_number_text_ = 0;  // of number_text_: the node's field names
  std::vector<Place> fields_;
  std::vector<Place> values_;
  std::vector<ByteView> pairs_;

  bool has_first_ = false;
  StreamId first_id_;

  std::uint64_t keep_s_ = 0;
  std::uint64_t keep_at_most_ = 0;
  std::uint64_t producers_left_ = 0;
  std::uint64_t ids_left_ = 0;
  std::uint64_t ids_kept_ = 0;
  Bytes name_scratch_;
};

}  // namespace keyferry::rdb
