// What a cluster answers to CLUSTER SLOTS and CLUSTER SHARDS: any bytes, no crash; slots have
// owners that are in the list of masters.
#include "fuzz.hpp"
#include "keyferry/cluster/slot_map.hpp"
#include "keyferry/resp/reply_parser.hpp"

namespace {

void look_at(const keyferry::Result<keyferry::SlotMap>& map) {
  using namespace keyferry;  // NOLINT: a program of its own
  if (!map) return;
  std::size_t owned = 0;
  for (std::size_t slot = 0; slot < slot_count; ++slot) {
    const std::uint16_t owner = map->owner_of(static_cast<Slot>(slot));
    if (owner == SlotMap::no_owner) continue;
    fuzz::require(owner < map->masters().size(), "an owner is a master");
    ++owned;
  }
  fuzz::require(owned == map->covered_slots(), "all owned slots are counted");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace keyferry;  // NOLINT: a program of its own
  fuzz::ExactBuffer buffer;
  RespValue reply;
  const ReplyParse parse = parse_reply(buffer.hold(fuzz::view(data, size)), reply);
  if (parse.status != ReplyParse::Status::value) return 0;
  look_at(parse_cluster_slots(reply, "asked"));
  look_at(parse_cluster_shards(reply, "asked"));
  look_at(parse_cluster_shards(reply, "asked", true));
  return 0;
}
