// Keys that looked different once, and when each is looked at again: a link that runs is always
// some way behind, so one look proves nothing. Bounded; pure, time is passed in.
//
//   add --> waiting --(due)--> take --> settle: equal, different, or again after a longer wait
//
// Each time the target is read first, at least one wait after the source was; then the source. The
// target has what the source has, or has come to what the source had then: equal. The source had
// the same all the time, and the target something else: a strike. The source changed meanwhile:
// nothing is known, once more.
#pragma once

#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "keyferry/base/time.hpp"
#include "keyferry/verify/judge.hpp"

namespace keyferry {

struct Doubt {
  std::int32_t db = 0;  // of the source, like the key
  Bytes key;
  Reading source;  // when they were last looked at
  Reading target;
  TimePoint source_at;
  KeyFinding finding = KeyFinding::unknown;
  int strikes = 0;
  int changes = 0;        // looks that told nothing, in a row
  bool repaired = false;  // was copied again since it was found different
  bool is_big = false;    // to be read in pieces
};

class Doubts {
 public:
  struct Schedule {
    Millis wait{500};  // before the second look; doubled with each one after that
    int strikes = 3;   // that make a difference
    int changes = 20;  // looks without result, then the key is given up as always changing
  };
  Doubts(Schedule schedule, std::size_t max_bytes) : schedule_(schedule), max_bytes_(max_bytes) {}

  enum class Verdict : std::uint8_t { equal, different, changing, again };
  // What to call a key after another look at `target` and then `source`; notes it in `doubt`.
  Verdict settle(Doubt& doubt, const Reading& target, const Reading& source,
                 const JudgeRules& rules, std::int64_t now_ms) const;

  // A key that is waiting or was settled before is left alone. `lag`: what the target may be
  // behind.
  void add(Doubt doubt, TimePoint now, Millis lag);
  // Once more, after settle said so.
  void put_back(Doubt doubt, TimePoint now, Millis lag);
  // Those whose time has come, the longest due first; large ones come alone. One whose source was
  // looked at less than `lag` ago waits on: the target need not have that yet.
  std::vector<Doubt> take_due(TimePoint now, std::size_t most, Millis lag = Millis(0));
  // Never to be added again: it was counted.
  void remember(const Doubt& doubt);

  bool empty() const { return waiting_.empty() && taken_ == 0; }
  bool is_full() const { return used_bytes_ >= max_bytes_; }
  std::size_t size() const { return waiting_.size() + taken_; }
  // Until the next one is due; a second when there is none.
  Millis next_due(TimePoint now) const;
  // A taken one will not come back.
  void let_go(const Doubt& doubt);

 private:
  static std::size_t bytes_of(const Doubt& doubt);
  std::uint64_t id_of(const Doubt& doubt) const;
  Millis wait_of(const Doubt& doubt, Millis lag) const;

  Schedule schedule_;
  std::size_t max_bytes_;
  std::size_t used_bytes_ = 0;
  std::size_t taken_ = 0;
  std::multimap<TimePoint, Doubt> waiting_;
  std::unordered_set<std::uint64_t> known_;  // waiting, taken or settled: hashes of their names
};

}  // namespace keyferry
