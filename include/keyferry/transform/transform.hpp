// Everything that stands between what the source sent and what the target gets: filter, mapping,
// script, in this order. One per link; knows whole commands and groups, the parts know single keys.
// Pure; pipeline thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "keyferry/command/batch.hpp"
#include "keyferry/command/key_copy.hpp"
#include "keyferry/config/options.hpp"
#include "keyferry/transform/filter.hpp"
#include "keyferry/transform/remap.hpp"

namespace keyferry {

class Script;

class Transform {
 public:
  Transform();
  ~Transform();
  Transform(Transform&&) noexcept;
  Transform& operator=(Transform&&) noexcept;
  // Errc::usage, one line per rule that cannot be right, or for the script.
  static Result<Transform> compile(const Options& options);

  // False: apply() need not be called.
  bool is_active() const { return is_active_; }
  bool has_script() const { return script_ != nullptr; }
  bool decodes() const { return decodes_; }
  // 0 when nothing is changed; else a number that another set of rules does not have.
  std::uint64_t fingerprint() const { return fingerprint_; }
  const Filter& filter() const { return filter_; }
  const Remap& remap() const { return remap_; }

  // Rows for names that the static table lacks; may be empty.
  std::function<const CommandInfo*(ByteView name)> learnt;
  // A key whose value at the target no command will bring right (see FilterReason::mixed); may be
  // empty.
  std::function<void(std::int32_t db, ByteView key)> on_doubt;
  // Whether the target holds nothing but what this link brought: then a flush may empty it.
  std::function<bool()> owns_target;

  // Replaces the commands of a batch by what the target is to get: fewer, others, or more (more
  // become a group, so that they stay together). What cannot be done has Command::refusal.
  void apply(Batch& batch);

  // A key of the snapshot or of a scan: whether it travels; counts it when it does not.
  bool admits(const KeyFacts& key);
  // What takes the place of `copy` (names of the source) in the target: wires in order; none when
  // the key has no place there. `db`: where.
  std::vector<Bytes> of_copy(const KeyCopy& copy, std::int32_t& db);
  // The script's answer to one command that is made for the target already. Without a script: the
  // same. Errors: Errc::data_refused.
  Error run_script(std::int32_t db, std::span<const ByteView> args, std::vector<Bytes>& wires);

  void note_collision() {
    ++counts_[static_cast<std::size_t>(FilterReason::collision)];
    ++filtered_;
  }
  const FilterCounts& counts() const { return counts_; }
  // Commands and keys that did not travel.
  std::uint64_t filtered() const { return filtered_; }

 private:
  using Args = std::span<const ByteView>;
  struct Out;

  void take(Out& out, const Command& command);
  void take_flush(Out& out, const Command& command, const CommandInfo& info, Args args);
  void take_swap(Out& out, const Command& command, Args args);
  void take_move(Out& out, const Command& command, Args args);
  void take_copy(Out& out, const Command& command, Args args);
  void map_command(Out& out, const Command& command, const CommandInfo* info, Args args);
  void put(Out& out, const Command& command, Args args);
  void put_scripted(Out& out, const Command& command, Args args);
  void emit(Out& out, const Command& command, Args args);
  void keep(Out& out, const Command& command);
  void drop(Out& out, FilterReason reason);
  void refuse(Out& out, const Command& command, const char* reason);
  void drop_value(Out& out, const Command& command, const CommandInfo& info, Args args);
  void doubt_moved(std::int32_t from, Args args);
  void doubt_kept(std::int32_t db, const CommandInfo& info, Args args);
  ByteView store(Out& out, ByteView wire);
  const Origin* origin_of(Out& out, const Command& command);
  const CommandInfo* info_of(const CommandInfo* info, ByteView name) const;

  Filter filter_;
  Remap remap_;
  std::unique_ptr<Script> script_;
  bool decodes_ = false;
  bool is_active_ = false;
  std::uint64_t fingerprint_ = 0;
  FilterCounts counts_{};
  std::uint64_t filtered_ = 0;
  std::string last_script_error_;  // told once in a row

  // Scratch, kept between commands.
  struct Place {  // of a mapped name: which argument, where in names_
    std::size_t arg;
    std::size_t begin;
    std::size_t end;
  };
  std::vector<Place> places_;
  std::vector<Command> commands_;
  std::vector<ByteView> args_;
  Bytes names_;
  Bytes wire_;
};

}  // namespace keyferry
