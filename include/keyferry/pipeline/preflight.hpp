// What is looked at before a link begins (`keyferry check`, and the part of it that `run` insists
// on): facts about both ends in, findings with advice out. Pure; preflight_facts collects the
// facts.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/config/options.hpp"
#include "keyferry/sink/topology.hpp"

namespace keyferry {

// One server, as far as it lets itself be asked.
struct ServerFacts {
  std::string address;
  std::string problem;  // why it could not be reached or does not let us in; "" = it does
  ServerIdentity identity;
  std::string user;                                          // as which it knows us
  std::string info;                                          // INFO everything
  std::map<std::string, std::string> config;                 // empty where CONFIG is not allowed
  std::optional<std::vector<std::string>> modules;           // unknown where it is not allowed
  std::optional<std::map<std::string, std::string>> denied;  // command -> ACL DRYRUN's words
  double rtt_ms = 0;
  std::int64_t clock_ms = 0;           // its clock minus ours
  std::int64_t write_bytes_per_s = 0;  // of its replication stream
  bool is_write_rate_upper_bound = false;
};

struct SpoolFacts {
  std::string problem;  // why the folder cannot be written; "" = it can
  std::uint64_t free_bytes = 0;
};

struct PreflightFacts {
  ServerFacts source;                       // the server that was asked first
  std::vector<ServerFacts> source_masters;  // of a cluster that is read shard by shard: all of them
  std::vector<ServerFacts> targets;         // every master, at least the one that was asked first
  std::string target_file_problem;          // of a target that is a file; "" = it can be written
  bool target_is_cluster = false;
  std::size_t covered_slots = 0;  // of a cluster
  SpoolFacts spool;
};

enum class Grade { ok, warn, fail };
const char* to_string(Grade grade);

struct Finding {
  Grade verdict = Grade::ok;
  std::string name;    // "source.backlog"
  std::string text;    // what is the case
  std::string advice;  // what to do; empty when ok
  bool is_unreachable = false;
  // The link cannot work: `run` does not even begin.
  bool is_fatal = false;
};

// In the order in which people look for causes: reach, roles, rights, room, settings.
std::vector<Finding> judge_preflight(const PreflightFacts& facts, const Options& options);

// Several sources: what is the same for all is said once, the rest with the name of its source.
struct SourceFindings {
  std::string source;
  std::vector<Finding> findings;
};
std::vector<Finding> join_findings(std::vector<SourceFindings> all);
// What keeps a server from being one of several sources; nullopt: nothing.
std::optional<Finding> judge_as_one_of_several(const PreflightFacts& facts, const Options& one);

// What each command is needed for, and whether a link of these options works without it.
struct NeededCommand {
  std::string name;  // "CLIENT KILL"
  std::vector<std::string> args;
  bool is_required = true;
};
std::vector<NeededCommand> commands_needed_at_source(const Options& options, bool scans);
// What `keyferry cutover` needs besides; a link without one does not.
std::vector<NeededCommand> commands_needed_for_cutover();
// Whether the source will be scanned: asked for, or it does not let us be its replica.
bool must_scan(const PreflightFacts& facts, const Options& options);
// Whether the source is a cluster that is read shard by shard, and not only the node that was
// named.
bool is_whole_cluster(const ServerFacts& source, const Options& options);
std::vector<NeededCommand> commands_needed_at_target(const Options& options, bool is_cluster);

}  // namespace keyferry
