// The stream's connection to one node of a cluster, exactly once: sends what the slots of that node
// have to send (sink/slot_table), bare commands many at a time, others as MULTI, run of one slot,
// slot record, EXEC; and judges every reply. A second connection reads and writes records by hand.
// What a refusal means for a slot, and which slots are this node's, is sink/cluster_stream's.
// Pipeline thread only.
#pragma once

#include <boost/circular_buffer.hpp>

#include "keyferry/checkpoint/slot_record.hpp"
#include "keyferry/sink/serial_lane.hpp"
#include "keyferry/sink/slot_table.hpp"

namespace keyferry {

class ClusterStream;

class NodeLane {
 public:
  NodeLane(const asio::any_io_executor& executor, const Options& options, Endpoint node,
           std::uint16_t index, ClusterStream& stream);

  // Connects, and again whenever the connection breaks, until stop(). Errors: no connection for
  // reconnect_max_s, another instance has taken over.
  Task<Error> run();
  void stop();
  // Breaks the connection; what is under way is nobody's any more.
  void discard();

  // A loose unit of the table: written behind what came before, as it is.
  void send_loose(Slot slot, const Link& link) { append(bare_, {link, loose_epoch, slot}); }
  // The loose units of these slots that came to this lane are put into the slots' chains.
  void chain_loose(const SlotSet& slots);
  // A unit that may be repeated, handed out by the table.
  void send_bare(Slot slot, const Link& link, std::uint32_t epoch);
  // The slot has something that goes alone.
  void list(Slot slot) { append(ready_, slot); }
  void wake() { wake_.notify(); }
  void check_timeout(TimePoint now);

  // By hand, over the second connection; callers take turns.
  Task<Result<std::vector<RespValue>>> ask(Bytes wire, std::size_t replies);

  const Endpoint& node() const { return node_; }
  std::uint16_t index() const { return index_; }
  bool is_connected() const { return connected_; }
  bool is_stopping() const { return stopping_; }
  bool is_idle() const { return in_flight_.empty(); }
  const LaneStats& stats() const { return stats_; }

  // CLIENT IDs of the last connections, "" for none: killed before records are trusted.
  std::string client_id;
  std::string asker_id;
  // `judged` of the node's record in the target, as far as we know.
  Offset recorded = 0;
  bool record_due = false;
  // A slot has its first record, and the node's record does not say so.
  bool has_unlisted = false;
  // Where that record lies: the first slot of the node but so many.
  std::size_t record_shift = 0;

 private:
  // In one piece that is used again and again: no memory is allocated for each few of them.
  template <class T>
  using Fifo = boost::circular_buffer<T>;
  template <class T>
  static void append(Fifo<T>& fifo, const T& value) {
    if (fifo.full()) fifo.set_capacity(std::max(fifo_least, 2 * fifo.capacity()));
    fifo.push_back(value);
  }
  static constexpr std::size_t fifo_least = 64;
  // Of no slot's units: none of the chained kind has it.
  static constexpr std::uint32_t loose_epoch = ~std::uint32_t{0};
  struct Bare {
    Link link;
    std::uint32_t epoch = 0;
    Slot slot = 0;
  };
  // What was sent for one slot and is not answered: a bare command, or a transaction.
  struct Shipment {
    std::uint64_t at = 0;  // of a loose unit
    Slot slot = 0;
    bool is_loose = false;
    bool asking = false;
    bool is_transaction = false;
    bool is_plain = false;      // the loose unit
    std::uint8_t prologue = 0;  // replies before those of its commands: SELECT, ASKING
    std::uint32_t units = 1;
    std::uint32_t selects = 0;  // inside of the transaction
    std::uint32_t seen = 0;     // replies but for EXEC's
    std::uint32_t bytes = 0;
  };

  // connection (node_lane.cpp)
  Task<Error> connect();
  Task<Error> say_import_source(Connection& connection);
  Task<Error> serve();
  Task<Error> write_loop();
  Task<Error> read_loop();
  void disconnect();

  // writing (node_gather.cpp)
  void gather();
  bool has_room() const;
  void gather_slot(Slot slot);
  void gather_bare(Slot slot, const Link& link, bool is_loose);
  void gather_transaction(Slot slot, SlotState& state);
  void select(std::int32_t db);
  void begin_shipment(Shipment& shipment, std::int32_t db);

  // answers (node_judge.cpp)
  Error scan(ByteView bytes);
  Error on_reply();
  Error on_element();
  bool take_select(const SlotState& state);
  void blame(const Shipment& shipment);
  Error on_exec();
  Error on_bare();
  Error on_loose();
  void note_done(std::uint64_t at, bool is_plain);
  // What the reply to the first unit of a slot means. ends_link: it was refused for good.
  enum class Judged : std::uint8_t { done, refused, ends_link };
  Judged judge_unit(Slot slot, const std::string& error, bool in_transaction);

  asio::any_io_executor executor_;
  const Options& options_;
  Endpoint node_;
  std::uint16_t index_;
  ClusterStream& stream_;
  Connection connection_;
  Connection asker_;
  Signal turn_;
  bool asking_ = false;
  bool asker_open_ = false;
  Signal wake_;
  bool connected_ = false;
  bool stopping_ = false;

  Fifo<Bare> bare_;
  Fifo<Slot> ready_;
  Fifo<Shipment> in_flight_;
  std::size_t in_flight_bytes_ = 0;
  std::size_t transactions_ = 0;  // in flight
  WriteBuffer writing_;
  Bytes record_;  // of the transaction being gathered
  // Selected behind what is written; never another one than 0 around a transaction, which may be
  // refused as a whole.
  std::int32_t selected_ = 0;
  std::int32_t answered_db_ = 0;  // selected in the transaction whose answer is being read
  ReplyScanner scanner_;
  std::string queue_error_;              // of the transaction being answered
  std::optional<std::uint32_t> blamed_;  // the unit it was for
  TimePoint progress_;
  LaneStats stats_;
};

}  // namespace keyferry
