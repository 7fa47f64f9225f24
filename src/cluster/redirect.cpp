#include "keyferry/cluster/redirect.hpp"

#include <algorithm>
#include <optional>

#include "keyferry/base/number.hpp"

namespace keyferry {
namespace {

// One fact per row: an error whose first word is `word` and whose text has `part` in it ("" = any).
// The first row that fits counts. Texts: Redis 5.0 to 8.0 and Valkey 8.0 (src/server.c, cluster.c,
// networking.c, replication.c); those a Redis 7.0.15 gave are in
// test/data/transcripts/redirect.txt.
struct ErrorRow {
  std::string_view word;
  std::string_view part;
  Verdict verdict;
  std::string_view kind;
  bool refresh_map = false;
};

constexpr ErrorRow rows[] = {
    // Cluster topology.
    {"TRYAGAIN", "", Verdict::retry, "TRYAGAIN"},
    {"CLUSTERDOWN", "", Verdict::retry, "CLUSTERDOWN", true},
    {"CROSSSLOT", "", Verdict::refused, "CROSSSLOT"},

    // A state of the server that passes.
    {"LOADING", "", Verdict::retry, "LOADING"},
    {"MASTERDOWN", "", Verdict::retry, "MASTERDOWN", true},
    {"READONLY", "", Verdict::retry, "READONLY",
     true},  // we write to a replica: roles have changed
    {"UNBLOCKED", "", Verdict::retry, "UNBLOCKED", true},  // likewise, while a command was blocked
    {"BUSY", "", Verdict::retry, "BUSY"},
    {"NOREPLICAS", "", Verdict::retry, "NOREPLICAS"},
    {"MISCONF", "", Verdict::retry, "MISCONF"},
    {"OOM", "", Verdict::retry, "OOM"},
    {"INPROG", "", Verdict::retry, "FAILOVER", true},
    {"ERR", "max number of clients", Verdict::retry, "MAXCLIENTS"},
    {"ERR", "failover in progress", Verdict::retry, "FAILOVER", true},
    {"ERR", "failing over", Verdict::retry, "FAILOVER", true},

    // The connection is not allowed to do anything.
    {"NOAUTH", "", Verdict::unreachable, "NOAUTH"},
    {"WRONGPASS", "", Verdict::unreachable, "WRONGPASS"},
    {"DENIED", "", Verdict::unreachable, "DENIED"},  // protected mode

    // Refused for good. The rows only give known refusals a name of their own.
    {"NOPERM", "", Verdict::refused, "NOPERM"},
    {"WRONGTYPE", "", Verdict::refused, "WRONGTYPE"},
    {"BUSYKEY", "", Verdict::refused, "BUSYKEY"},
    {"BUSYGROUP", "", Verdict::refused, "BUSYGROUP"},
    {"NOGROUP", "", Verdict::refused, "NOGROUP"},
    {"NOSCRIPT", "", Verdict::refused, "NOSCRIPT"},
    {"INVALIDOBJ", "", Verdict::refused, "INVALIDOBJ"},
    {"EXECABORT", "", Verdict::refused, "EXECABORT"},
    {"ERR", "unknown command", Verdict::refused, "UNKNOWN_COMMAND"},
    {"ERR", "unknown subcommand", Verdict::refused, "UNKNOWN_COMMAND"},
    {"ERR", "wrong number of arguments", Verdict::refused, "ARGUMENTS"},
    {"ERR", "syntax error", Verdict::refused, "ARGUMENTS"},
    {"ERR", "bad data format", Verdict::refused, "BAD_PAYLOAD"},
    {"ERR", "dump payload version or checksum", Verdict::refused, "BAD_PAYLOAD"},
    {"ERR", "db index is out of range", Verdict::refused, "DB_INDEX"},
    {"ERR", "invalid db index", Verdict::refused, "DB_INDEX"},
    {"ERR", "select is not allowed in cluster mode", Verdict::refused, "DB_INDEX"},
    {"ERR", "", Verdict::refused, "ERR"},
};

std::string_view first_word(std::string_view text) {
  return text.substr(0, text.find(' '));
}

// `part` is lower case; an empty one is in every text.
bool contains_any_case(std::string_view text, std::string_view part) {
  const auto same = [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  };
  return part.empty() ||
         std::search(text.begin(), text.end(), part.begin(), part.end(), same) != text.end();
}

// "1234 host:port" behind MOVED or ASK. The host may be empty, and an IPv6 address comes without
// brackets.
struct Redirect {
  Slot slot = 0;
  Endpoint to;
};
std::optional<Redirect> parse_redirect(std::string_view text) {
  const std::size_t space = text.find(' ');
  const std::size_t colon = text.rfind(':');
  if (space == std::string_view::npos || colon == std::string_view::npos || colon < space) {
    return std::nullopt;
  }
  Redirect redirect;
  std::string_view host = text.substr(space + 1, colon - space - 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  if (!read_number(text.substr(0, space), redirect.slot) || redirect.slot >= slot_count)
    return std::nullopt;
  if (!read_number(text.substr(colon + 1), redirect.to.port) || redirect.to.port == 0)
    return std::nullopt;
  redirect.to.host = host;
  return redirect;
}

// MOVED or ASK. A host of "?" is a name the node does not know (Redis 7.0, preferred endpoint type
// "hostname"), and a text that cannot be read is no better: then only a fresh map can tell.
Judgement redirected(Verdict verdict, std::string_view kind, std::string_view rest) {
  Judgement judgement;
  judgement.verdict = verdict;
  judgement.kind = kind;
  judgement.refresh_map = verdict == Verdict::moved;
  const auto redirect = parse_redirect(rest);
  if (!redirect || redirect->to.host == "?") {
    judgement.verdict = Verdict::retry;
    judgement.refresh_map = true;
    return judgement;
  }
  judgement.slot = redirect->slot;
  judgement.to = redirect->to;
  return judgement;
}

// What EXEC itself met (Redis >= 6.2, "Transaction discarded because of: OOM ..."), or nothing.
std::string_view reason_of_abort(std::string_view error) {
  constexpr std::string_view marker = "discarded because of: ";
  const std::size_t at = error.find(marker);
  return at == std::string_view::npos ? std::string_view() : error.substr(at + marker.size());
}

}  // namespace

Judgement judge_reply(std::string_view error) {
  Judgement judgement;
  if (error.empty()) return judgement;

  std::string_view word = first_word(error);
  if (word == "EXECABORT") {
    const std::string_view reason = reason_of_abort(error);
    if (!reason.empty()) error = reason;
    word = first_word(error);
  }
  const std::string_view rest = error.substr(std::min(error.size(), word.size() + 1));
  if (word == "MOVED") return redirected(Verdict::moved, "MOVED", rest);
  if (word == "ASK") return redirected(Verdict::ask, "ASK", rest);

  judgement.verdict = Verdict::refused;
  judgement.kind = "OTHER";
  for (const ErrorRow& row : rows) {
    if (row.word != word || !contains_any_case(rest, row.part)) continue;
    judgement.verdict = row.verdict;
    judgement.kind = row.kind;
    judgement.refresh_map = row.refresh_map;
    break;
  }
  return judgement;
}

}  // namespace keyferry
