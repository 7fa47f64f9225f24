// The target: turns Batches into lane work, keeps the order per slot across refusals, redirects and
// lost connections, and counts what became of every command. Standalone or cluster. It does not
// read the source.
//
// A slot whose command was refused is *held*: its later commands wait here, in order, until the
// refused one has been accepted somewhere (settler in settle.cpp); other slots go on. On a
// standalone target the stream is one slot. Pipeline thread only.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "keyferry/checkpoint/crossing.hpp"
#include "keyferry/checkpoint/quiet_tail.hpp"
#include "keyferry/checkpoint/suspects.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/command/key_copy.hpp"
#include "keyferry/net/sentinel_watch.hpp"
#include "keyferry/rdb/choice.hpp"
#include "keyferry/rdb/rdb_reader.hpp"
#include "keyferry/rdb/rewrite_value.hpp"
#include "keyferry/sink/cluster_stream.hpp"
#include "keyferry/sink/dead_letter.hpp"
#include "keyferry/sink/lane.hpp"
#include "keyferry/sink/route.hpp"
#include "keyferry/sink/scratch_run.hpp"
#include "keyferry/sink/serial_lane.hpp"
#include "keyferry/sink/shared_target.hpp"
#include "keyferry/sink/topology.hpp"
#include "keyferry/transform/transform.hpp"

namespace keyferry {

struct SinkStats {
  std::uint64_t applied = 0;
  std::uint64_t filtered = 0;
  std::uint64_t skipped = 0;
  std::uint64_t failed = 0;
  std::uint64_t retried = 0;
  std::uint64_t redirected = 0;
  std::uint64_t transactions_split = 0;
  std::uint64_t healed_keys = 0;
  std::uint64_t snapshot_keys = 0;
  std::uint64_t existing_keys = 0;   // left alone: snapshot.on_existing_key is skip
  std::uint64_t rewritten_keys = 0;  // sent as element commands
  std::map<std::string, std::uint64_t, std::less<>> redirects;   // by kind
  std::map<std::string, std::uint64_t, std::less<>> errors;      // by kind
  std::map<std::string, std::uint64_t, std::less<>> cross_slot;  // by command name
  std::string last_error;
  std::vector<std::string> last_dead_letters;  // in words, the newest last

  void remember_dead_letter(const std::string& what) {
    constexpr std::size_t remembered = 10;
    if (last_dead_letters.size() == remembered) last_dead_letters.erase(last_dead_letters.begin());
    last_dead_letters.push_back(what);
  }
};

class RedisSink {
 public:
  // Options and watermark outlive the sink.
  RedisSink(const asio::any_io_executor& executor, const Options& options, Watermark& watermark);
  ~RedisSink();

  // Runs when acknowledgements have arrived: how many commands, and when they were received from
  // the source.
  std::function<void(std::uint64_t commands, TimePoint received)> on_applied;

  // Runs when the target does not stand where this link left it: what its record says now. Nothing
  // more is written until begin_stream().
  std::function<void(std::optional<Record>)> on_lost;

  // What stands between source and target; nullptr: nothing. Outlives the sink. Commands and keys
  // come to the sink transformed; it asks about copies of keys, leftovers and the script.
  Transform* transform = nullptr;

  // Other sinks write to the same target; nullptr: it is ours. Outlives the sink.
  const SharedTarget* shared = nullptr;

  // Suspect keys can be copied from the source.
  bool can_heal = false;
  // They cannot: commands over several slots of a cluster are carried out on copies of their keys.
  bool runs_across = false;

  // Reaches the target, takes the right to write there, and prepares it (target.before). Nothing
  // runs yet.
  Task<Error> open();
  // Whether every command is applied exactly once (else at least once).
  bool is_exactly_once() const { return claim_ != nullptr; }
  // The record that the stream can go on from; nullopt: a full sync is needed.
  std::optional<Record> resumable() const;
  // Carries everything out until stop(), or an error that ends the link.
  Task<Error> run();
  void stop();

  // The target's record says from now on that a full sync has begun.
  Task<Error> begin_generation(const std::string& replid, Offset offset);
  // The stream begins behind `record`.judged: what was queued before is void. Commands up to
  // `record`.offset are in the target; nobody knows how they were answered.
  void begin_stream(Record record);
  // Records that the snapshot is complete and the stream begins at `offset`.
  Task<Error> complete_generation(const std::string& replid, Offset offset, std::int32_t db);

  // Takes over one batch of the stream; waits while too much is outstanding.
  Task<Error> apply(std::unique_ptr<Batch> batch);
  // Copies of suspect keys, to be put between the commands up to copies.at and those behind.
  void heal(KeyCopies copies);
  bool is_healing() const { return copies_.has_value(); }
  // Those that wait for the stream to come to their offset are to be made anew.
  void give_back_copies();
  Suspects& suspects() { return suspects_; }
  // Lets the target's record follow the stream; asked now and then, and at the end.
  void checkpoint();
  // At the end: what was taken over last may be recorded whole, whether it has an effect or not.
  void note_everything();
  // What was taken over behind `offset` had no effect, and the stream goes on there in another way.
  // False, and nothing is changed: that cannot be told from what the target's records say, or will
  // say.
  bool go_back_to(Offset offset);
  // The offset from which the stream is needed again after a crash.
  Offset recorded_offset() const;
  // The name of the link in the target's records.
  const std::string& link() const { return claim_->link(); }
  // The stream goes on under this name.
  void enter_history(const std::string& replid);
  bool is_recorded() const {
    return cluster_ ? cluster_->is_recorded() : serial_ == nullptr || serial_->is_recorded();
  }
  // The same as far as it can be while keys are suspect: a start finds them again.
  bool is_recorded_but_suspects() const { return cluster_ && cluster_->is_recorded_clean(); }
  // The source stands at `offset`: what an earlier run has sent ends there or before.
  void note_source_offset(Offset offset);
  // Gives the right to write away.
  Task<Error> let_go();
  // The target holds what an earlier run of this link left there.
  bool has_remains() const { return has_remains_; }
  std::uint64_t generation() const { return generation_.generation; }

  // Snapshot: keys in any order over all lanes; collected per lane and sent by 64 KiB, the rest by
  // flush_keys.
  // `templates`: of the snapshot.
  Error put_key(const rdb::Event& key, rdb::Dialect dialect, const rdb::HashTemplates* templates);
  // The source has no such key any more: scan mode, where keys come again and go.
  Error put_gone(ByteView key, std::int32_t db);
  // What is flushed from here on belongs to `position` of a source without a stream: the watermark
  // says when all of it is applied. Never lower than before.
  void set_load_position(Offset position) { load_.position = position; }
  // Runs for a value that went as RESTORE, was refused, and has been sent again as commands: behind
  // whatever came for that key meanwhile.
  std::function<void(ByteView key, std::int32_t db)> on_sent_late;
  // A value that is not held whole: its key, its elements, the end. Between two of them wait while
  // must_pause().
  Error begin_key(const rdb::Event& key, rdb::Dialect dialect);
  Error add_element(const rdb::Element& element);
  // The same for a part of one that is too large to be held (rdb::Element::whole_bytes).
  Task<Error> add_part(const rdb::Element& element);
  Task<Error> end_key(const rdb::Event& key);
  bool must_pause() const { return !has_room() || (load_.alone && outstanding_units_ > 0); }
  Task<Error> pause();
  bool has_room() const;
  Task<Error> wait_for_room();
  // Whether the target must be asked by ask_for_key() before this key is put, because nothing in
  // the commands for it would spare a key that is there.
  bool must_ask(const rdb::Event& key, rdb::Dialect dialect) const;
  // The answer decides over the next put_key() or begin_key().
  Task<Error> ask_for_key(const rdb::Event& key);
  Task<Error> load_function(ByteView library);
  Task<Error> load_script(ByteView body);
  void flush_keys();
  // The snapshot broke off: what of it was collected and not sent is dropped.
  void forget_snapshot();
  // A key of the snapshot that does not travel: what the target has under its name stays
  // (snapshot.mirror).
  void spare_key(const rdb::Event& key) {
    if (!load_.found.empty()) note_kept(key);
  }
  // Removes what the target held when the link began and the snapshot did not have
  // (snapshot.mirror).
  Task<Error> remove_leftovers();
  // Whether the target holds a key that the rules let travel (nothing looks at these rules in
  // target_was_empty). Looks through all of it if need be; once open, and before anything is
  // written.
  Task<Error> find_wanted_keys(bool& found);
  // Every expiry that was put off (command/expiry) becomes what it was meant to be.
  Task<Error> settle_expiries();
  // Gives the target back what open() changed for the time of the link (Valkey's import mode).
  Task<void> restore_target();

  // Waits until every command handed over has been answered. Error: the sink has failed.
  Task<Error> idle();
  bool is_idle() const { return outstanding_units_ == 0; }
  Task<Error> flush_all();
  // Makes sure the target has this database. Cheap when known.
  Task<Error> require_db(std::int32_t db);
  // Of a cluster that has been asked: whether one of its nodes lacks this database.
  bool lacks_db(std::int32_t db) const {
    return db != 0 && nodes_.is_cluster() && !known_dbs_.contains(db);
  }

  const SinkStats& stats() const { return stats_; }
  TargetNodes& nodes() { return nodes_; }
  const std::vector<std::unique_ptr<Lane>>& lanes() const { return lanes_; }
  const Error& failure() const { return failure_; }
  std::uint64_t reconnects() const;
  std::uint64_t sent_bytes() const;
  // Slots that wait for a refused command to be accepted.
  std::size_t held_slots() const { return holds_.size(); }
  // True while the target was empty (or emptied) when this link first wrote to it.
  bool target_was_empty() const { return target_was_empty_; }

 private:
  static constexpr std::uint16_t held_lane = 0xffff;
  static constexpr std::size_t loading_flush_bytes = 64 * 1024;

  struct Hold {
    std::deque<HeldUnit> units;  // refused first, then answered behind it, then those never sent
    std::deque<HeldUnit>
        later;  // came after the slot was held; behind `units` once nothing is in flight
    std::size_t in_flight = 0;   // units of the slot still to be answered in the old lane
    bool has_refusal = false;    // false: held only because the slot's owner changed
    std::optional<Endpoint> at;  // where to send the first unit next; nullopt = the map's owner
    bool asking = false;
    int accepted_in_row = 0;
    TimePoint not_before;
    Backoff backoff{Millis(20), Millis(1000)};
    TimePoint since;
  };

  // planning one batch (apply.cpp)
  struct Plan;
  Error plan_command(Plan& plan, const Command& command);
  Error plan_group(Plan& plan, std::size_t first, std::size_t last);
  Error plan_joined_group(Plan& plan, const std::vector<const Command*>& kept, Offset end);
  Error plan_split_group(Plan& plan, const std::vector<const Command*>& kept);
  void plan_unit(Plan& plan, Unit unit);
  void dispatch(Plan& plan);
  Task<Error> run_on_all_nodes(Plan& plan, const Command& command);
  Task<Error> run_flush_of_a_shard(Plan& plan, std::size_t at);
  void plan_copies(Plan& plan);
  void suspect_keys_of(Plan& plan, std::size_t first, std::size_t last);
  Error refuse_here(Plan& plan, const Command& command, const char* reason);
  // cross_slot.cpp
  static std::string shown_name(ByteView name);
  bool leave_to_copies(const Batch& batch, const Command& command);
  void suspect(std::int32_t db, ByteView key, Offset behind);
  void note_healed(const Unit& unit);
  void note_answered(const Unit& unit);
  bool take_explained(const HeldUnit& held, const std::string& error);
  // across.cpp
  bool must_run_across(const Batch& batch, std::size_t at) const;
  bool has_to_run_across(const Batch& batch, std::size_t first, std::size_t last) const;
  Task<Error> run_group_across(Plan& plan, std::size_t first, std::size_t last);
  Task<Error> run_across(Plan& plan, const Command& command);
  Task<Error> find_effects(Plan& plan, const Command& command, const ScratchCommand& scratch,
                           std::vector<Bytes>& wires);
  void plan_effects(Plan& plan, const Command& command, const std::vector<Bytes>& wires);
  CrossingStep crossing_step(const ScratchCommand& scratch, Offset end) const;
  Task<Error> recall_crossing();
  Task<Error> note_crossing(Offset end, const std::vector<Bytes>& wires);
  Task<Result<RespValue>> ask_claim(Bytes command);
  std::string crossing_key() const;
  // copies.cpp
  std::vector<Bytes> copy_wires(const KeyCopy& copy, std::int32_t& db);
  void append_copy(std::vector<Bytes>& out, Bytes wire, std::int32_t db);
  Error append_rewritten(std::vector<Bytes>& out, const rdb::WholeValue& value);
  std::int32_t db_of(const Command& command) const;
  Route route_of(const Command& command, const CommandInfo* info,
                 std::span<const ByteView> args) const;
  const CommandInfo* info_of(const Command& command, std::span<const ByteView> args) const;

  // one of several (shared_target.cpp)
  bool is_flush_of_a_shard(const Command& command) const;
  Offset stretch_end(const Batch& batch, std::size_t from) const;
  const char* why_not_flush() const;
  bool is_of_several() const { return shared != nullptr && !shared->by_slots; }
  std::optional<Route> route_of_several(const CommandInfo* info,
                                        std::span<const ByteView> args) const;
  Task<Error> remove_shared(Offset end, std::optional<std::int32_t> db);
  Task<Error> remove_shared_at(Endpoint node, std::optional<std::int32_t> only,
                               std::bitset<slot_count> slots, std::uint64_t& removed);
  Task<Error> flush_shared(const Command& command, ByteView name);
  Task<Error> record_up_to(Offset end, std::int32_t db);
  bool is_recorded_beside_suspects() const;

  // databases (databases.cpp)
  bool has_asked_for_db(std::int32_t db) const {
    return known_dbs_.contains(db) || missing_dbs_.contains(db);
  }
  Task<Error> ask_for_db(std::int32_t db);
  Task<Error> ask_for_copies();
  Task<Error> ask_cluster_for_db(std::int32_t db);

  // lanes and slots (redis_sink.cpp)
  Task<Error> prepare();
  void bind_events();
  void lay_lanes();
  std::uint16_t lane_for(Slot slot) const;
  void adopt_map();
  void flush_loading(std::uint16_t lane);
  void acknowledge(Watermark::Ticket ticket, const Answered& answered, TimePoint received);
  void fail(Error error);
  Task<Error> watch();

  // exactly once on a cluster (exactly_cluster.cpp)
  Task<Error> take_cluster_claim();
  Task<Error> replan();
  void lose_cluster(bool everything);
  Error plan_cluster_group(Plan& plan, const std::vector<const Command*>& kept);
  bool is_in_cluster(const Unit& unit);
  Task<Error> greet_cluster_lane(Lane& lane, Connection& connection);
  Task<Error> run_on_cluster(Plan& plan, const Command& command, Bytes wire, std::int32_t db);
  std::optional<Record> remains() const;

  // exactly once (exactly.cpp)
  std::vector<std::string> own_keys_in_target() const;
  Task<Error> take_claim();
  Task<Error> write_record(Record record);
  void bind_serial_events();
  Task<Error> greet_lane(Lane& lane, Connection& connection);
  void discard_stream();
  void note_end(const Batch& batch);
  void note_offset(StreamPoint point);
  template <class Use>
  void for_each_key_of(const Unit& unit, Use use) const;
  void doubt(const Unit& unit);
  void doubt_elsewhere(const Unit& unit, Offset behind);
  bool explains(const Unit& unit, const std::string& error);
  Task<Error> end_behind(HeldUnit held, std::string error);
  bool give_up_unit(HeldUnit held, const std::string& error, bool executed);
  // by hand, before and behind the snapshot (prepare.cpp)
  Task<Error> learn_modules();
  Task<Error> enter_import_mode();
  Task<Error> note_existing_keys();
  void note_kept(const rdb::Event& key);
  Task<Error> scan_node(Endpoint node, std::int32_t db, bool remove, std::uint64_t& removed);
  Task<Error> for_each_target_db(bool remove, std::uint64_t& removed);
  Task<Result<RespValue>> call_in(Endpoint node, std::int32_t db, Bytes command);
  Task<Result<RespValue>> call_once(Endpoint node, std::int32_t db, Bytes command);
  Task<Error> tell_masters(Bytes command);

  // behind a file (expiry.cpp)
  Task<Error> settle_expiries_of(Connection& connection, std::uint64_t& settled);
  Task<Error> settle_page(Connection& connection, const std::vector<RespValue>& keys,
                          std::uint64_t& settled);

  // the snapshot (load.cpp)
  rdb::Choice choose(const rdb::Event& key, rdb::Dialect dialect) const;
  Offset load_position() const { return std::max(watermark_.applied(), load_.position); }
  Error put_foreign(const rdb::Event& key, const rdb::Choice& choice,
                    const rdb::HashTemplates* templates);
  Error judge_loss(ByteView key, std::int32_t db, rdb::Choice::Loss loss);
  Error lose(const std::string& what, const char* kind, bool is_fatal);
  void put_held(Unit unit, Bytes wire);
  void put_part(Unit unit, rdb::Rewriter::Part part);
  void put_wire(Unit unit, Bytes wire);
  bool put_scripted(const Unit& unit, ByteView wires);
  void refuse_scripted(const Error& error, const std::vector<ByteView>& args);
  void send_part(rdb::Rewriter::Part part, bool is_last);
  Bytes part_wire(Unit& unit, rdb::Rewriter::Part part) const;
  bool take_load_refusal(HeldUnit& held, std::string& error);
  // large texts (large.cpp)
  Task<Error> send_large(const rdb::Element& element);
  static Task<Error> read_whole(Unit unit, Bytes& whole);
  bool rewrite_refused(HeldUnit& held, std::string& error);
  Task<Error> check_claims(const rdb::Event& key, std::vector<rdb::Rewriter::Claims> claims);

  // refusals (settle.cpp)
  static std::string describe(const Unit& unit);
  void on_refused(Lane& lane, HeldUnit held, const std::string& error);
  void hold_slot(Lane& lane, Slot slot, Lane::Freeze why);
  void on_thawed(Slot slot);
  void release(Slot slot);
  void give_up(HeldUnit held, std::string error, std::string_view kind, const std::string& target);
  Task<Error> write_dead_letter(HeldUnit held);
  Task<Error> settle();
  Task<void> settle_one(Slot slot);
  Task<Result<std::string>> carry(const Endpoint& node, const HeldUnit& held, bool asking);
  void count(const Judgement& judgement);

  asio::any_io_executor executor_;
  const Options& options_;
  Watermark& watermark_;
  TargetNodes nodes_;
  TargetNodes couriers_;  // connections of the settler: one command at a time
  SentinelWatch sentinels_;
  LaneEvents events_;
  Scope scope_;
  Signal room_;
  Signal settle_;
  Signal watch_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::map<Endpoint, std::uint16_t> first_lane_;  // of a node; its others follow
  std::vector<std::uint16_t> lane_of_slot_;
  std::vector<LaneBatch> building_;  // per lane, of the batch being planned
  std::unordered_map<Slot, Hold> holds_;
  DeadLetter dead_letter_;
  std::unique_ptr<Claim> claim_;            // exactly once only, like those that follow
  std::unique_ptr<SerialLane> serial_;      // standalone
  std::unique_ptr<ClusterStream> cluster_;  // or cluster
  ResumePlan plan_;                         // of the cluster's slots, when it was read last
  SerialEvents serial_events_;
  Record generation_;          // of the snapshot or stream under way; generation 0: none yet
  Offset applied_before_ = 0;  // commands up to here are in the target already
  bool is_loading_ = false;    // a snapshot is under way and the target's record says so
  bool stream_void_ = false;   // what comes is of a stream that will begin again elsewhere
  Suspects suspects_;
  QuietTail quiet_tail_;
  std::optional<StreamPoint> end_;  // of what was taken over
  std::optional<KeyCopies> copies_;
  std::unique_ptr<ScratchRun> scratch_;  // made when needed
  Crossing crossing_;                    // the last one, on a cluster exactly once
  bool crossing_known_ = false;
  bool crossing_done_ = false;
  std::set<std::int32_t> known_dbs_{0};
  std::map<std::int32_t, std::string> missing_dbs_;  // and what a node of the cluster said
  struct Loading {
    Bytes wires;
    std::vector<std::pair<std::size_t, Unit>> units;  // offset of the wire, unit
  };
  std::vector<Loading> loading_;  // per lane: snapshot commands being collected
  std::uint64_t epoch_ = 0;       // grows when everything queued is given up
  struct LoadState {
    rdb::Dialect dialect;
    rdb::ChoiceRules rules;
    std::vector<std::string> modules;
    std::optional<rdb::Rewriter> rewriter;  // of the value that comes in elements
    Bytes key;                              // its name
    std::shared_ptr<LargeBody> large;       // the text of it that comes in parts
    Slot slot = 0;
    std::int32_t db = 0;
    bool skipping = false;     // the elements that come are not wanted
    bool key_exists = false;   // answer of ask_for_key
    bool alone = false;        // a part is under way that must be answered before the next one
    std::uint64_t losses = 0;  // told about
    Offset position = 0;
    bool one_is_enough = false;  // of `found`
    // snapshot.mirror: what the target held at first, sorted, and which of it the snapshot has.
    std::vector<std::uint64_t> found;
    std::vector<bool> kept;
    std::vector<Endpoint> import_mode;  // nodes that must leave it at the end
  };
  LoadState load_;
  std::uint64_t outstanding_units_ = 0;
  std::size_t outstanding_bytes_ = 0;
  std::size_t window_bytes_;
  std::size_t window_most_bytes_;  // far away, where more must be under way
  SinkStats stats_;
  Error failure_;
  bool stopping_ = false;
  bool target_was_empty_ = false;
  bool has_remains_ = false;
  bool refresh_wanted_ = false;
  std::int32_t last_db_ = 0;
};

}  // namespace keyferry
