#include "keyferry/rdb/rewrite.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "keyferry/resp/resp.hpp"

namespace keyferry::rdb {
namespace {

// Elements of one command: the target is not kept from other clients for longer than some 100 us.
constexpr std::size_t run_max_elements = 512;

// Short decimal texts on the stack. Of a double the fewest digits that bring it back exactly;
// infinities are "inf" and "-inf" to servers as well.
class Digits {
 public:
  template <class T>
  explicit Digits(T value) : size_(write(bytes_, value)) {}
  explicit Digits(const StreamId& id) : size_(write(bytes_, id.ms)) {
    bytes_[size_++] = '-';
    size_ += write(bytes_ + size_, id.seq);
  }
  operator ByteView() const { return {bytes_, size_}; }  // NOLINT: a text like any other

 private:
  template <class T>
  static std::size_t write(char* to, T value) {
    return static_cast<std::size_t>(std::to_chars(to, to + 32, value).ptr - to);
  }
  char bytes_[64];
  std::size_t size_;
};

bool same(const StreamId& a, const StreamId& b) {
  return a.ms == b.ms && a.seq == b.seq;
}

}  // namespace

void Rewriter::begin(ByteView key, std::optional<std::int64_t> expire_ms,
                     std::vector<StreamId> ghosts) {
  *this = Rewriter(target_, part_bytes_, pending_max_);
  append_bulk(key_, key);
  expire_ms_ = expire_ms;
  ghosts_ = std::move(ghosts);
}

void Rewriter::add(const Element& element) {
  using Kind = Element::Kind;
  wrote_ = true;
  switch (element.kind) {
    case Kind::text:
      return add_text(element);
    case Kind::item:
      return add_item(element);
    case Kind::member:
      start_run("SADD");
      return add_to_run({element.value});
    case Kind::scored_member:
      start_run("ZADD");
      return add_to_run({Digits(element.score), element.value});
    case Kind::field:
      return add_field(element);
    case Kind::entry:
      return add_entry(element);
    case Kind::stream_info:
      return add_stream_info(element);
    case Kind::group:
      return add_group(element);
    case Kind::pending:
      if (pending_.size() >= pending_max_) {
        ++pending_left_out_;
        return;
      }
      pending_sorted_ = pending_sorted_ && (pending_.empty() || pending_.back().id < element.id);
      pending_.push_back({element.id, element.delivered_ms, element.deliveries});
      return;
    case Kind::consumer:
      return add_consumer(element);
    case Kind::owned:
      return add_owned(element);
    case Kind::nacked:
      return;  // no consumer could claim it
    case Kind::remembered:
      lost_remembered_ = lost_remembered_ || element.entries_added > 0;
      return;
    case Kind::array_item:
      // Redis 8.8, command documentation of ARSET and ARSEEK; no server of that release was at
      // hand.
      return command("ARSET", {Digits(element.index), element.value});
    case Kind::array_cursor:
      return command("ARSEEK", {Digits(element.index)});
  }
}

void Rewriter::end(bool is_string) {
  if (is_string && !wrote_) {
    deleted_ = true;
    command("SET", {""});
  }
  if (is_stream_) finish_stream();
  finish_run();
  if (!expire_ms_ || (!wrote_ && !is_string)) return;
  // An expiry of 0 or below is refused by some servers; 1 lies as surely in the past.
  command("PEXPIREAT", {Digits(std::max<std::int64_t>(*expire_ms_, 1))});
}

Rewriter::Part Rewriter::take() {
  finish_run();
  trimmed_ = false;
  if (part_.replies > 0) first_part_ = false;
  return std::exchange(part_, Part());
}

Rewriter::Framed Rewriter::frame(const Element& element) {
  constexpr ByteView no_text = "$0\r\n\r\n";
  Element without = element;
  without.value = {};
  add(without);
  Framed framed;
  const Bytes behind = std::exchange(behind_, Bytes());
  framed.replies = std::exchange(behind_replies_, 0);
  Part part = take();
  framed.replies += part.replies;
  // The text is the last argument of the last command.
  framed.head = std::move(part.wire);
  framed.head.resize(framed.head.size() - no_text.size());
  framed.head.append("$").append(Digits(element.whole_bytes)).append("\r\n");
  framed.tail = "\r\n" + behind;
  return framed;
}

void Rewriter::add_text(const Element& element) {
  if (text_bytes_ == 0 && first_part_ && part_.replies == 0) {
    deleted_ = true;  // SET replaces whatever there is, with its expiry
    command("SET", {element.value});
  } else if (!element.value.empty()) {
    command("SETRANGE", {Digits(text_bytes_), element.value});
  }
  text_bytes_ += element.value.size();
}

void Rewriter::add_item(const Element& element) {
  if (!first_part_ && !trimmed_) {
    // Should this part have been applied before, its items go first.
    command("LTRIM", {"0", Digits(items_ - 1)});
    trimmed_ = true;
  }
  start_run("RPUSH");
  add_to_run({element.value});
  ++items_;
}

void Rewriter::add_field(const Element& element) {
  start_run("HSET");
  add_to_run({element.name, element.value});
  if (element.expire_ms == 0 || !has_field_ttl(target_)) return;
  append_array_header(behind_, 6);
  append_bulk(behind_, "HPEXPIREAT");
  behind_ += key_;
  append_bulk(behind_, Digits(std::max<std::int64_t>(element.expire_ms, 1)));
  append_bulk(behind_, "FIELDS");
  append_bulk(behind_, "1");
  append_bulk(behind_, element.name);
  ++behind_replies_;
}

void Rewriter::add_entry(const Element& element) {
  add_ghosts(&element.id);
  begin_command(3 + element.pairs.size(), "XADD");
  append_bulk(part_.wire, Digits(element.id));
  for (const ByteView text : element.pairs)
    append_bulk(part_.wire, text);
  ++entries_;
  is_stream_ = true;
  part_.has_entries = !first_part_;
}

// Entries in front of `before` (null: all that are left) that only live until end().
void Rewriter::add_ghosts(const StreamId* before) {
  for (; next_ghost_ < ghosts_.size(); ++next_ghost_) {
    if (before != nullptr && !(ghosts_[next_ghost_] < *before)) return;
    command("XADD", {Digits(ghosts_[next_ghost_]), "-", "-"});
    is_stream_ = true;
  }
}

void Rewriter::add_stream_info(const Element& element) {
  add_ghosts(nullptr);
  if (!is_stream_) {
    // No entry: a group that comes and goes leaves an empty stream behind.
    begin_command(6, "XGROUP CREATE");
    for (const ByteView text : {ByteView("-"), ByteView("0-0"), ByteView("MKSTREAM")})
      append_bulk(part_.wire, text);
    begin_command(4, "XGROUP DESTROY");
    append_bulk(part_.wire, "-");
  }
  is_stream_ = true;
  info_ = Element();
  info_.last_id = element.last_id;
  info_.max_deleted_id = element.max_deleted_id;
  info_.entries_added = std::max(element.entries_added, entries_);
}

void Rewriter::add_group(const Element& element) {
  finish_run();
  pending_.clear();
  pending_sorted_ = true;
  last_of_ = element.name;
  const bool with_read = element.entries_read >= 0 && has_stream_counters(target_);
  // Should it have been made before: from the start again.
  begin_command(4, "XGROUP DESTROY");
  append_bulk(part_.wire, last_of_);
  begin_command(with_read ? 7 : 5, "XGROUP CREATE");
  append_bulk(part_.wire, last_of_);
  append_bulk(part_.wire, Digits(element.last_id));
  if (!with_read) return;
  append_bulk(part_.wire, "ENTRIESREAD");
  append_bulk(part_.wire, Digits(element.entries_read));
}

void Rewriter::add_consumer(const Element& element) {
  finish_run();
  if (!pending_sorted_) {
    const auto by_id = [](const Pending& a, const Pending& b) { return a.id < b.id; };
    std::sort(pending_.begin(), pending_.end(), by_id);
    pending_sorted_ = true;
  }
  consumer_ = element.name;
  if (has_create_consumer(target_)) {
    begin_command(5, "XGROUP CREATECONSUMER");
    append_bulk(part_.wire, last_of_);
    append_bulk(part_.wire, consumer_);
    return;
  }
  // Reading its (empty) history makes a consumer, too. Redis 5.0 and 6.0, t_stream.c xreadCommand.
  append_array_header(part_.wire, 9);
  for (const ByteView text :
       {ByteView("XREADGROUP"), ByteView("GROUP"), ByteView(last_of_), ByteView(consumer_),
        ByteView("COUNT"), ByteView("1"), ByteView("STREAMS")}) {
    append_bulk(part_.wire, text);
  }
  part_.wire += key_;
  append_bulk(part_.wire, "0");
  ++part_.replies;
}

void Rewriter::add_owned(const Element& element) {
  const auto found =
      std::lower_bound(pending_.begin(), pending_.end(), element.id,
                       [](const Pending& pending, const StreamId& id) { return pending.id < id; });
  if (found == pending_.end() || !same(found->id, element.id)) return;  // of no one's list: corrupt
  const bool goes_along = run_verb_ == "XCLAIM" && claim_.delivered_ms == found->delivered_ms &&
                          claim_.deliveries == found->deliveries;
  if (!goes_along) {
    finish_run();
    claim_ = *found;
  }
  start_run("XCLAIM", {last_of_, consumer_, "0"});
  if (run_suffix_.empty()) {
    append_bulk(run_suffix_, "TIME");
    append_bulk(run_suffix_, Digits(claim_.delivered_ms));
    append_bulk(run_suffix_, "RETRYCOUNT");
    append_bulk(run_suffix_, Digits(claim_.deliveries));
    append_bulk(run_suffix_, "FORCE");
    append_bulk(run_suffix_, "JUSTID");
    run_suffix_args_ = 6;
  }
  add_to_run({Digits(element.id)});
  if (claims_.empty() || claims_.back().group != last_of_) claims_.push_back({last_of_, 0});
  ++claims_.back().count;
}

void Rewriter::finish_stream() {
  finish_run();
  for (const StreamId& ghost : ghosts_)
    command("XDEL", {Digits(ghost)});
  if (has_stream_counters(target_)) {
    command("XSETID", {Digits(info_.last_id), "ENTRIESADDED", Digits(info_.entries_added),
                       "MAXDELETEDID", Digits(info_.max_deleted_id)});
  } else {
    command("XSETID", {Digits(info_.last_id)});
  }
}

void Rewriter::start_run(ByteView verb, std::initializer_list<ByteView> head) {
  if (run_verb_ == verb && run_elements_ < run_max_elements) return;
  finish_run();
  delete_once();
  run_verb_ = verb;
  for (const ByteView arg : head)
    append_bulk(run_, arg);
  run_args_ = head.size();
}

void Rewriter::add_to_run(std::initializer_list<ByteView> args) {
  for (const ByteView arg : args)
    append_bulk(run_, arg);
  run_args_ += args.size();
  ++run_elements_;
}

void Rewriter::finish_run() {
  if (run_verb_.empty()) return;
  const ByteView verb = std::exchange(run_verb_, ByteView());
  begin_command(2 + run_args_ + run_suffix_args_, verb);
  part_.wire.append(run_).append(run_suffix_).append(behind_);
  part_.replies += behind_replies_;
  run_.clear();
  run_suffix_.clear();
  behind_.clear();
  run_args_ = run_suffix_args_ = run_elements_ = 0;
  behind_replies_ = 0;
}

void Rewriter::command(ByteView verb, std::initializer_list<ByteView> args) {
  begin_command(2 + args.size(), verb);
  for (const ByteView arg : args)
    append_bulk(part_.wire, arg);
}

// Opens a command of `args` arguments with its verb (one or two words) and the key.
void Rewriter::begin_command(std::size_t args, ByteView verb) {
  finish_run();
  delete_once();
  append_array_header(part_.wire, args);
  const std::size_t space = verb.find(' ');
  append_bulk(part_.wire, verb.substr(0, space));
  if (space != ByteView::npos) append_bulk(part_.wire, verb.substr(space + 1));
  part_.wire += key_;
  ++part_.replies;
}

void Rewriter::delete_once() {
  if (deleted_) return;
  deleted_ = true;
  append_array_header(part_.wire, 2);
  append_bulk(part_.wire, "UNLINK");
  part_.wire += key_;
  ++part_.replies;
}

void MissingPending::add(const Element& element) {
  if (element.kind == Element::Kind::entry) entries_.push_back(element.id);
  if (element.kind == Element::Kind::pending) pending_.push_back(element.id);
}

std::vector<StreamId> MissingPending::take() {
  std::sort(pending_.begin(), pending_.end());
  pending_.erase(std::unique(pending_.begin(), pending_.end(), same), pending_.end());
  std::sort(entries_.begin(), entries_.end());
  std::vector<StreamId> missing;
  std::set_difference(pending_.begin(), pending_.end(), entries_.begin(), entries_.end(),
                      std::back_inserter(missing));
  return missing;
}

}  // namespace keyferry::rdb
