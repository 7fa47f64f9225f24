// ClusterLink: slots that went from shard to shard and back while none of them was followed. Which
// write came last the streams do not tell; the present owner does: every key of such a slot, at
// either end, is copied from it, behind everything that the streams still bring.
#include <algorithm>

#include <fmt/format.h>

#include "keyferry/base/log.hpp"
#include "keyferry/command/keys.hpp"
#include "keyferry/pipeline/cluster_link.hpp"

namespace keyferry {
namespace {

// A former owner removes its keys within seconds; later somebody should look.
constexpr std::int64_t unclear_warning_ms = 30'000;

}  // namespace

// In the table first: a crash must not forget it.
Task<Error> ClusterLink::doubt(ShardSlots slots, const char* why) {
  if (!claim_) {
    co_return Error(
        Errc::history_lost,
        fmt::format("slots {}, and nothing is healed with delivery.mode at_least_once", why));
  }
  healing_ &= ~slots;
  ++doubts_;
  if ((slots & ~table_.doubtful).none()) co_return Error();
  log_warn("slots {}; their keys are copied again: slots={}", why, slots.count());
  table_.doubtful |= slots;
  share_out();
  co_return co_await save_table();
}

// Any slot that the shard may have, where it is not known which move; and where there are several
// databases: meanwhile the stream does not say which one is selected (Valkey 9.1.2: its own replica
// carries out what comes then in the one that the moving keys are of).
Task<Error> ClusterLink::take_import(Shard& shard, ShardSlots slots) {
  const Endpoint master = shard.master;
  const auto dbs = co_await source_.read_databases(master);
  const bool is_one = dbs && (dbs->empty() || (dbs->size() == 1 && dbs->front() == 0));
  const ShardTable::Entry& entry = table_.entries()[shard.entry];
  if (slots.none() || !is_one) slots |= entry.slots | entry.touched;
  co_return co_await doubt(slots, "move to another shard as a whole");
}

// Whether no master but the owner has a key of a doubtful slot: a former owner removes its own only
// when it has heard of the new one, and its stream says so.
Task<bool> ClusterLink::is_cleared() {
  const std::vector<ClusterShard> shards = source_.view().shards;
  for (const ClusterShard& seen : shards) {
    if (seen.is_down) continue;
    const ShardSlots others = table_.doubtful & ~seen.slots;
    const auto left = co_await source_.slots_with_keys(seen.master, others);
    if (!left) co_return false;
    if (left->none()) continue;
    if (!unclear_since_) unclear_since_ = Clock::now();
    if (elapsed_ms(*unclear_since_, Clock::now()) >= unclear_warning_ms) {
      unclear_since_ = Clock::now();
      log_warn(
          "{} has keys of slots that another master serves, so these are not copied yet: slots={}",
          to_string(seen.master), left->count());
    }
    co_return false;
  }
  unclear_since_.reset();
  co_return true;
}

Task<Error> ClusterLink::settle_doubts() {
  if (table_.doubtful.none()) co_return Error();
  look_wanted_ = true;
  std::vector<std::size_t> all;
  std::vector<Shard*> owners;
  for (const ClusterShard& seen : source_.view().shards) {
    if (seen.slots.none()) continue;
    all.push_back(entry_of(seen));
    const ShardSlots own = table_.entries()[all.back()].slots & ~table_.contested(all.back());
    Shard* const shard = shard_of(all.back());
    // On the move, or with nobody to copy from: later.
    if ((table_.doubtful & seen.slots & ~own).any() || shard == nullptr || shard->is_down)
      co_return Error();
    owners.push_back(shard);
  }
  if ((table_.doubtful & ~healing_).any()) {
    const std::uint64_t touches = touches_;
    for (const Shard* owner : owners) {
      const ShardSlots slots = table_.doubtful & owner->role.target.slots;
      const bool is_true = co_await source_.serves(owner->master, slots);
      if (!is_true) co_return Error();
    }
    const bool is_clear = co_await is_cleared();
    if (!is_clear) co_return Error();
    if (!co_await have_recorded(all) || touches != touches_) co_return Error();
    const ShardSlots begun = table_.doubtful;
    const std::uint64_t doubts = doubts_;
    Error error = co_await suspect_target(owners);
    for (std::size_t i = 0; i < owners.size() && !error; ++i) {
      const ShardSlots own = begun & owners[i]->role.target.slots;
      const auto slots = co_await source_.slots_with_keys(owners[i]->master, own);
      if (!slots) co_return slots.error();
      for (std::size_t slot = 0; slot < slot_count && !error; ++slot) {
        if (!(*slots)[slot]) continue;
        auto keys = co_await source_.read_keys(owners[i]->master, static_cast<Slot>(slot));
        if (!keys) error = keys.error();
        for (std::size_t k = 0; keys && k < keys->size(); ++k)
          owners[i]->pipeline->suspect((*keys)[k].first, (*keys)[k].second);
      }
    }
    if (error) co_return error;
    if (doubts != doubts_) co_return Error();  // once more, behind what came meanwhile
    healing_ |= begun;
    co_return Error();
  }
  for (const Shard* owner : owners) {
    if (owner->pipeline->has_suspects()) co_return Error();
  }
  log_info("keys of slots that went to and fro were copied again: slots={}",
           table_.doubtful.count());
  table_.doubtful.reset();
  healing_.reset();
  share_out();
  co_return co_await save_table();
}

// Keys that only the target has: whatever at the source may have become one of them.
Task<Error> ClusterLink::suspect_target(std::vector<Shard*> owners) {
  const Result<Remap> remap = Remap::compile(options_.transform);
  if (!remap) co_return remap.error();
  Error error;
  if (target_.is_cluster()) error = co_await target_.refresh();
  if (error) co_return error;
  const std::vector<Endpoint> masters = target_.map().masters();
  for (const Endpoint& node : masters) {
    const auto dbs = co_await read_databases_of(target_, node, options_.target);
    if (!dbs) co_return dbs.error();
    for (const std::int32_t db : *dbs) {
      error = co_await suspect_target_db(owners, *remap, node, db);
      if (error) co_return error;
    }
  }
  co_return Error();
}

Task<Error> ClusterLink::suspect_target_db(std::vector<Shard*> owners, const Remap& remap,
                                           Endpoint node, std::int32_t db) {
  const Millis limit(options_.target.reply_timeout_ms);
  std::string cursor = "0";
  do {
    Bytes scan = make_command({"SCAN", cursor, "COUNT", "1000"});
    auto page = co_await target_.call_in(node, db, std::move(scan), limit);
    if (!page) co_return page.error();
    if (page->items.size() != 2)
      co_return Error(Errc::unreachable, "SCAN on the target: " + escaped(page->text));
    cursor = page->items[0].text;
    for (const RespValue& key : page->items[1].items) {
      for (const auto& [from, name] : remap.origins(db, key.text)) {
        const Slot slot = slot_of(name);
        for (Shard* owner : owners) {
          if (table_.doubtful[slot] && owner->role.target.slots[slot])
            owner->pipeline->suspect(from, name);
        }
      }
    }
  } while (cursor != "0" && !finished_);
  co_return Error();
}

}  // namespace keyferry
