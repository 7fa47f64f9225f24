#include "keyferry/sink/route.hpp"

#include "keyferry/command/written_keys.hpp"

namespace keyferry {
namespace {

Route drop(const char* reason) {
  return {Route::Kind::drop, 0, reason};
}
Route refuse(const char* reason) {
  return {Route::Kind::refuse, 0, reason};
}
Route copy_written(const char* reason) {
  return {Route::Kind::copy_written, 0, reason};
}

Route route_keys(const CommandInfo& info, std::span<const ByteView> args) {
  const KeySlots keys = key_slots(info, args);
  if (keys.own_key) return drop("own_key");
  switch (keys.span) {
    case KeySlots::Span::one_slot:
      if (reads_keys_by_pattern(info, args)) return copy_written("key_pattern");
      return {Route::Kind::lane, keys.slot, ""};
    case KeySlots::Span::many_slots:
      return info.split == SplitShape::no ? copy_written("cross_slot")
                                          : Route{Route::Kind::split, keys.slot, ""};
    case KeySlots::Span::no_key:
      break;
  }
  return refuse("no_key");
}

}  // namespace

// Its effect is known all the same: on keys by their names at the source.
Route route_refused(const char* reason) {
  const ByteView why = reason;
  const bool is_copied = why == "key_pattern" || why == "move_to_another_name";
  return is_copied ? copy_written(reason) : refuse(reason);
}

Route route_command(const CommandInfo* info, std::span<const ByteView> args, std::int32_t db,
                    bool is_cluster) {
  if (info == nullptr) return is_cluster ? refuse("unknown_command") : Route();
  switch (info->kind) {
    case CommandKind::never:
    case CommandKind::control:
      return drop("not_for_replicas");
    case CommandKind::publish:
    case CommandKind::spublish:
      if (args.size() < 2) return refuse("malformed");
      // Sentinels talk to each other through the servers they watch; those of the source must not
      // meet the target's.
      if (is_sentinel_channel(args[1])) return drop("sentinel");
      return {Route::Kind::lane, is_cluster ? slot_of(args[1]) : Slot(0), ""};
    case CommandKind::all_nodes:
      return {is_cluster ? Route::Kind::all_nodes : Route::Kind::lane, 0, ""};
    case CommandKind::write:
      break;
  }
  if (!is_cluster) return touches_own_key(*info, args) ? drop("own_key") : Route();
  if (db != 0) return refuse("database_on_cluster");
  return route_keys(*info, args);
}

}  // namespace keyferry
