// What a source cluster says about its nodes, and our table of shards: any bytes, no crash, no view
// outside of them; a table that was understood is written as it was read.
#include "fuzz.hpp"
#include "keyferry/cluster/shards.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  fuzz::ExactBuffer buffer;
  const ByteView text = buffer.hold(fuzz::view(data, size));
  const auto view = parse_cluster_nodes(text, "asked");
  for (std::size_t i = 0; view && i < view->shards.size(); ++i)
    fuzz::require(view->shards[i].nodes.front() == view->shards[i].id, "the master comes first");
  const auto table = parse_shard_table(text);
  if (!table) return 0;
  Bytes once;
  append_shard_table(once, *table);
  const auto back = parse_shard_table(once);
  fuzz::require(back.has_value(), "what we write can be read");
  Bytes twice;
  append_shard_table(twice, *back);
  fuzz::require(once == twice, "and is the same");
  return 0;
}
