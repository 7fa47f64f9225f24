#include "keyferry/config/sources.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace keyferry {
namespace {

constexpr std::size_t name_max = 64;

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

// The name is part of a key, of a folder and of what connections are called; '-' ends it there.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= name_max &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

std::string comparable(std::string host) {
  for (char& c : host)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return host == "localhost" ? "127.0.0.1" : host;
}

void judge_link(const Options& options, std::vector<SourceProblem>& out) {
  const auto refuse = [&out](bool is_asked_for, const char* option, const char* what) {
    if (is_asked_for) out.push_back({0, option, what});
  };
  refuse(options.target.uri.kind == Uri::Kind::file, "target.uri",
         "several sources go to a server; write each into a file of its own");
  refuse(options.source_mode == SourceMode::scan, "source.mode",
         "one of several sources is not scanned; give each a link of its own");
  refuse(!options.filter.shard.empty(), "source.shards", "it is a part of one cluster");
  refuse(options.snapshot_mirror, "snapshot.mirror",
         "what one of several sources does not have may be another's");
  refuse(options.stop_verify != StopVerify::none, "stop.verify",
         "several sources are not compared with one target; verify each by itself");
}

void judge_one(const Options& one, std::size_t number, std::vector<SourceProblem>& out) {
  const bool has_address = !one.source.uri.hosts.empty() || !one.source.uri.path.empty();
  if (!has_address) {
    out.push_back({number, "source.uri", "is missing"});
  } else if (one.source.uri.kind == Uri::Kind::file) {
    out.push_back({number, "source.uri", "a file is not one of several sources"});
  }
  if (one.source.topology == Topology::cluster)
    out.push_back({number, "source.topology", "a cluster is not one of several sources"});
  if (has_address && !is_name(one.source_name)) {
    out.push_back({number, "source.name",
                   fmt::format("1 to {} letters, digits, '_' and '.' make a name", name_max)});
  }
}

}  // namespace

std::string source_name_of(const Uri& uri) {
  std::string name = uri.path;
  if (!uri.hosts.empty())
    name = fmt::format("{}_{}", uri.hosts.front().host, uri.hosts.front().port);
  if (!uri.sentinel_master.empty()) name += "_" + uri.sentinel_master;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !is_name_character(c); }, '_');
  return name.substr(0, name_max);
}

bool is_same_server(const Uri& a, const Uri& b) {
  if (a.kind != b.kind) return false;
  // The same Sentinels may well watch several.
  if (a.sentinel_master != b.sentinel_master) return false;
  if (a.kind != Uri::Kind::tcp) return a.path == b.path;
  return std::any_of(a.hosts.begin(), a.hosts.end(), [&b](const HostPort& one) {
    return std::any_of(b.hosts.begin(), b.hosts.end(), [&one](const HostPort& other) {
      return one.port == other.port && comparable(one.host) == comparable(other.host);
    });
  });
}

std::vector<SourceProblem> judge_sources(const Options& options) {
  std::vector<SourceProblem> out;
  judge_link(options, out);
  for (std::size_t i = 0; i < options.sources.size(); ++i) {
    const Options& one = options.sources[i];
    judge_one(one, i + 1, out);
    for (std::size_t j = 0; j < i; ++j) {
      const Options& other = options.sources[j];
      if (is_same_server(one.source.uri, other.source.uri)) {
        const std::string what = fmt::format("the same server as that of entry {}", j + 1);
        out.push_back({i + 1, "source.uri", what});
      } else if (one.source_name == other.source_name) {
        const std::string what = fmt::format("entry {} has this name as well", j + 1);
        out.push_back({i + 1, "source.name", what});
      }
    }
  }
  return out;
}

}  // namespace keyferry
