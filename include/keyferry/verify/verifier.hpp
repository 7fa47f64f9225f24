// Compares source and target while a link between them may run: every key of the source (as filter
// and mapping say) with its counterpart, and every key of the target that could have come from
// there. Has the differing ones repaired, where asked to; what repairing means is its owner's
// business. Executor thread only.
//
//   walk (per source node) --pages--> compare --> equal
//                                        `------> doubts --(later, again)--> settle --> different
//   sweep (per target node) --- not at the source ---'                        `--> repair, again
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "keyferry/base/rate.hpp"
#include "keyferry/source/scan.hpp"
#include "keyferry/transform/transform.hpp"
#include "keyferry/verify/doubts.hpp"
#include "keyferry/verify/key_reader.hpp"
#include "keyferry/verify/plan.hpp"
#include "keyferry/verify/report.hpp"

namespace keyferry {

class Verifier {
 public:
  // Options outlive the verifier.
  Verifier(const asio::any_io_executor& executor, const Options& options, VerifyPlan plan);
  ~Verifier();

  // Set before run(); each may be empty. What the target may be behind; nullopt: nobody knows at
  // the moment, so nothing is judged.
  std::function<std::optional<Millis>()> lag;
  // Has these keys (of the source) copied again, or deleted in the target where the source has
  // none.
  std::function<Task<Error>(const KeyList& keys)> repair;
  // A line of JSON for each difference.
  std::function<void(const std::string& line)> on_difference;

  // No error: it is over, summary() says with which result.
  Task<Error> run();
  void stop();
  VerifySummary summary() const;

 private:
  struct Page;

  // the life of it, and what is read (verifier.cpp)
  Error compile_rules();
  Task<Error> open_ends();
  Task<Error> walk(std::size_t node);
  Task<Error> fetch_into(KeyScanner& scanner, HostPort host, Page& page, bool& is_over);
  Task<Error> hand_over(std::unique_ptr<Page> page);
  Task<Error> sweep(std::size_t node);
  Task<Error> sweep_db(Connection& connection, HostPort host, std::int32_t db);
  Task<Error> sweep_page(KeyReader& source, std::int32_t db, const RespValue& keys);
  Task<Result<std::vector<ScanPass::Database>>> databases(const KeyPlaces& places,
                                                          std::size_t node);
  Task<Result<RespValue>> call(const KeyPlaces& places, HostPort host, Bytes command);
  Task<void> wait_for_share(std::size_t keys);
  bool wants(std::int32_t db, ByteView key) const;
  bool is_in_sample(ByteView key) const;
  bool admits(std::int32_t db, ByteView key, ByteView payload, std::int64_t expire_ms) const;
  void take(std::span<const ReadKey> keys, Page& page);

  // what is made of it (settle.cpp)
  Task<Error> compare();
  Task<Error> compare_page(Page& page, KeyReader& source, KeyReader& target);
  void judge_key(const Page& page, std::size_t i, const KeyLook& source, const KeyLook& target);
  Task<Error> settle();
  Task<Error> look_again(std::vector<Doubt> due, KeyReader& source, KeyReader& target);
  Task<Error> look_at_big(Doubt doubt, KeyReader& source, KeyReader& target);
  void conclude(Doubt doubt, const Reading& target, const Reading& source,
                std::optional<ElementDifference> element);
  void call_different(Doubt doubt, const Reading& target, std::optional<ElementDifference> element);
  Task<Error> repair_found();
  KeyList mapped(const KeyList& keys) const;
  void add_name(KeyList& list, std::int32_t db, ByteView key) const;
  void doubt(std::int32_t db, ByteView key, Doubt what);
  bool is_over() const { return walking_ == 0 && sweeping_ == 0 && comparing_ == 0; }
  bool compares_values() const {
    return plan_.level == VerifyLevel::digest || plan_.level == VerifyLevel::full;
  }
  Millis lag_now() const;

  asio::any_io_executor executor_;
  const Options& options_;
  VerifyPlan plan_;
  JudgeRules rules_;
  Transform transform_;
  KeyPlaces source_;
  KeyPlaces target_;
  Scope scope_;
  Signal page_ready_;
  Signal page_room_;
  Signal doubt_ready_;
  std::deque<std::unique_ptr<Page>> pages_;
  Doubts doubts_;
  std::vector<Doubt> to_repair_;
  RateLimit rate_;
  std::size_t walking_ = 0;
  std::size_t sweeping_ = 0;
  std::size_t comparing_ = 0;
  bool stopping_ = false;
  Error failure_;
  VerifySummary summary_;
  TimePoint began_;
};

}  // namespace keyferry
