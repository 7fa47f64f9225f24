// The stream to a cluster, exactly once: one sink/node_lane per master and one table of slots
// (sink/slot_table). Decides what a refusal means for a slot, follows slots to their owners, keeps
// the records, and notices when a node is not what it was. Where the stream begins, who heals a
// suspect and what is given up is redis_sink's. Pipeline thread only.
//
// Order is kept per slot. A transaction is sent only when nothing of its slot is unanswered, and
// nothing of the slot is sent behind it before its verdict. A refused slot sends nothing until all
// its replies are in, then goes on from the refused unit. When a connection is lost with a
// transaction under way, the slot's record tells whether it took place. A node that was restarted,
// or is the promoted replica of one we wrote to, may have lost what it had acknowledged: then all
// records are read anew, and the stream begins again where they say.
#pragma once

#include <map>
#include <set>

#include "keyferry/checkpoint/resume_plan.hpp"
#include "keyferry/cluster/redirect.hpp"
#include "keyferry/sink/node_lane.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

// Of the value in a reply to DUMP, 0 when there is none; the same on nodes of different versions as
// far as they write the same.
std::uint64_t digest_of_dump(const RespValue& reply);

class ClusterStream {
 public:
  ClusterStream(const asio::any_io_executor& executor, const Options& options, TargetNodes& nodes,
                Claim& claim, SerialEvents& events, const Watermark& watermark);

  // Lanes and owners as the map says now.
  void adopt_map();
  // Until stop().
  Task<Error> run();
  void stop();
  void discard();

  // Reads every record. What a node is from now on compared with is learnt too. Errors: a node
  // cannot be reached, the map is not right at the moment.
  Task<Result<ResumePlan>> read_records();
  // Where the stream begins: `plan` for what is in the target slot by slot; nullptr: everything up
  // to `record`.
  void begin(const Record& record, const ResumePlan* plan);
  // What may be refused because it was executed before: commands up to here.
  Offset replay_until = 0;
  // The source stands at `offset` now: nothing behind it was ever sent.
  void note_source_offset(Offset offset);

  // A unit of the stream: whether it is in the target already. `doubtful`: nobody knows how it was
  // answered.
  bool has(const Unit& unit, bool& doubtful) const;
  bool has_all_behind(Offset end) const { return end > furthest_start_; }
  void submit(LaneBatch batch);
  void note_offset(Offset offset, std::int32_t db);
  // Lets the records of the nodes follow.
  void checkpoint();
  bool is_recorded() const;
  // Every node's record has come as far as suspect keys let it.
  bool is_recorded_clean() const;
  // The stream behind this is needed again after a crash; as of the last checkpoint().
  Offset recorded_offset() const { return lowest_recorded_; }
  // No record, nor one under way, says more.
  Offset furthest_recorded();
  // The source's history has this name from now on.
  void enter_history(const std::string& replid) { record_.replid = replid; }
  void check_timeout(TimePoint now);

  // The same record for every master: a snapshot begins or is complete. Tries again while a node is
  // away.
  Task<Error> write_everywhere(Record record);
  // A command for all nodes that ends at `end`, one after the other, each with its node record;
  // what a node has done already is not done again. The result is an error reply that stays.
  // `db`: where it is carried out.
  Task<Result<std::string>> run_everywhere(Bytes wire, Offset end, bool flushes, std::int32_t db);

  // On a fresh connection to a master: an error unless the node is what it was.
  Task<Error> identify(const Endpoint& node, Connection& connection);

  // Said CLIENT IMPORT-SOURCE ON over every connection (Valkey 8.1). Set before run().
  bool import_source = false;
  // Each fresh connection must know this database; 0: nothing is asked.
  std::int32_t highest_db = 0;

  std::uint64_t reconnects() const;
  std::uint64_t sent_bytes() const;
  std::size_t held_slots() const { return troubles_.size(); }

  // For sink/node_lane.
  SlotTable& slots() { return slots_; }
  SerialEvents& events() { return events_; }
  bool has_begun() const { return begun_; }
  // Another one each time what was under way is given up.
  std::uint64_t epoch() const { return epoch_; }
  Task<Error> greet(NodeLane& lane, Connection& connection);
  Task<Error> greet_asker(NodeLane& lane, Connection& connection);
  // The record that goes with a transaction of the slot that ends at `end`.
  void append_record_command(Bytes& out, Slot slot, Offset end) const;
  // Whether a refusal of the unit may come from its having been executed before.
  bool is_replayed(const Unit& unit) const { return unit.was_sent || unit.end <= replay_until; }
  // The lane that the slot's next unit goes to, and whether it must say ASKING there.
  std::uint16_t lane_of(Slot slot);
  bool is_asking(Slot slot);
  // More of the slot may be sent.
  void wake(Slot slot);
  // `error` refused the slot's first unit, or a transaction of its first `units`, one of them
  // `blamed`.
  void refuse(NodeLane& lane, Slot slot, const std::string& error,
              std::optional<std::uint32_t> blamed, std::uint32_t units);
  void accepted(Slot slot, bool by_asking);
  // The slot's record in the target says so.
  void note_recorded(Slot slot, Offset end);
  // A reply behind a refusal has come.
  void collect(Slot slot);
  // Nothing of the slot is in flight any more; its connection was lost.
  void lose(Slot slot);
  void flush_answered();
  // Records may have to be read or written.
  void nudge() { keep_.notify(); }

  // Runs when somebody else than the map's owner has answered for a slot.
  std::function<void()> on_stale_map;

 private:
  struct Identity {
    std::string run_id;
    std::string replid;
  };
  // A slot that does not go its usual way.
  struct Trouble {
    std::string error;  // of the refusal that is being collected
    std::optional<std::uint32_t> blamed;
    Backoff backoff{Millis(20), Millis(1000)};
    std::optional<TimePoint> refused_since;  // nothing has been accepted since then
    TimePoint not_before;
    std::optional<std::uint16_t> ask;  // lane that its next unit goes to, once
    std::uint16_t from = 0;            // lane that refused
    bool was_run = false;              // it refused several units at once
    bool by_hand = false;              // has been half moved for too long
  };

  std::uint16_t lane_for(const Endpoint& node);
  void act_on(Slot slot);
  void move(Slot slot, std::uint16_t lane);
  void settle_move(Slot slot);
  void reopen(Slot slot);
  void await_record(Slot slot);
  void stop_unused_lanes();
  Task<Error> look_after();
  bool give_up_blamed(Slot slot, const Trouble& trouble);
  void back_off(Slot slot, const Judgement& judgement);
  // a slot that stays half moved (cluster_by_hand.cpp)
  void begin_by_hand(Slot slot);
  Task<Error> go_by_hand(Slot slot);
  Task<Error> run_with_intent(Slot slot, Bytes key);
  Error take_answer(Slot slot, const RespValue& reply);
  Task<Result<RespValue>> ask_slot(Slot slot, std::int32_t db, Bytes command);
  static Task<Result<RespValue>> ask_in(NodeLane& lane, std::int32_t db, bool asking,
                                        Bytes command);
  Task<Result<std::uint64_t>> digest_of(Slot slot, std::int32_t db, Bytes key);
  SlotRecord slot_record(Slot slot) const;
  Task<Error> write_slot_record(Slot slot, SlotRecord record);
  Task<Error> settle_intents(FoundRecords& found);
  // records (cluster_records.cpp)
  // Slots by the node that is asked for them.
  using SlotsOfNodes = std::map<Endpoint, std::vector<Slot>>;
  struct Reading {
    FoundRecords found;
    SlotsOfNodes moved;   // to be asked there instead
    SlotsOfNodes asking;  // on the move: what is missing here may be there
  };
  Task<Error> read_node(Reading& reading, Endpoint node, std::vector<Slot> slots);
  Task<Error> read_slots(Reading& reading, Connection& connection, Endpoint node,
                         std::vector<Slot> slots);
  Task<Error> read_asking(Reading& reading);
  Error take_record(Reading& reading, const RespValue& reply, Slot slot, bool is_node_record);
  Task<Result<RespValue>> call_node(NodeLane& lane, Bytes command);
  Task<Error> keep_records(NodeLane& lane);
  Task<bool> read_slots_of(NodeLane& lane);
  Task<void> read_elsewhere(Slot slot, Endpoint node);
  void settle_record(Slot slot, const RespValue& reply);
  void settle_doubt(Slot slot, Offset found);
  Task<bool> write_node_record(NodeLane& lane);
  Task<Result<std::string>> run_on(NodeLane& lane, Bytes wire, Offset end, bool flushes,
                                   std::int32_t db);
  Task<Result<RespValue>> flush_on(NodeLane& lane, Bytes wire, Offset end, std::int32_t db);
  bool has_run(const NodeLane& lane, Offset end, bool& mixed);
  static bool is_due(const NodeLane& lane, Offset offset);
  NodeRecord node_record(const NodeLane& lane, Offset offset) const;
  std::optional<Slot> record_slot(const NodeLane& lane) const;
  Bytes node_record_command(const NodeLane& lane, const NodeRecord& record) const;
  std::int32_t db_at(Offset offset) const;
  Offset clean_offset();

  asio::any_io_executor executor_;
  const Options& options_;
  TargetNodes& nodes_;
  Claim& claim_;
  SerialEvents& events_;
  const Watermark& watermark_;
  std::string link_;
  SlotTable slots_;
  std::vector<std::unique_ptr<NodeLane>> lanes_;
  std::map<Endpoint, std::uint16_t> lane_of_node_;
  std::map<Endpoint, Identity> known_;
  std::unordered_map<Slot, Trouble> troubles_;
  std::vector<SlotStart> starts_;  // empty: everything is behind furthest_start_
  Offset furthest_start_ = 0;
  Record record_;  // of the generation under way
  bool begun_ = false;
  bool stopping_ = false;
  std::uint64_t epoch_ = 0;  // grows with each discard()
  Offset clean_ = 0;         // up to here everything is applied; suspects are found anew behind it
  Offset lowest_recorded_ = 0;
  Offset noted_ = 0;
  Offset noted_most_ = 0;                            // before the stream began again, too
  std::deque<std::pair<Offset, std::int32_t>> dbs_;  // selected behind that offset
  std::set<Slot> to_read_;                           // slots that wait for their record to be read
  bool running_everywhere_ = false;
  Scope scope_;
  Signal look_;
  Signal keep_;
};

}  // namespace keyferry
