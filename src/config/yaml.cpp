#include "keyferry/config/yaml.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "keyferry/config/option_table.hpp"
#include "keyferry/config/option_value.hpp"

namespace keyferry {
namespace {

bool is_plain_name(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

// "source" of "source.uri", each once.
std::vector<std::string> group_names() {
  std::set<std::string> groups;
  for (const std::string& name : option_names())
    groups.insert(name.substr(0, name.find('.')));
  groups.insert("sources");
  return {groups.begin(), groups.end()};
}

// Options that an entry of `sources` may set: which server, how to reach it, what travels from it.
bool is_of_one_source(const std::string& name) {
  constexpr std::array alike = {"source.mode", "source.prefer_replica", "source.shards",
                                "source.scan.", "source.aof."};
  constexpr std::array groups = {"source.", "filter.", "databases.", "transform."};
  const auto begins = [&name](std::string_view start) { return name.starts_with(start); };
  return std::any_of(groups.begin(), groups.end(), begins) &&
         std::none_of(alike.begin(), alike.end(), begins);
}

// In one line, however it was written; what is deeper keeps its form.
std::string flow_text(const YAML::Node& value) {
  YAML::Emitter out;
  const auto put = [&out](const YAML::Node& item) {
    if (item.IsScalar()) {
      out << YAML::DoubleQuoted << item.Scalar();  // plain, "k?" would not be read again
    } else {
      out << item;
    }
  };
  out << YAML::Flow;
  if (value.IsSequence()) {
    out << YAML::BeginSeq;
    for (const YAML::Node& item : value)
      put(item);
    out << YAML::EndSeq;
  } else {
    out << YAML::BeginMap;
    for (const auto& entry : value) {
      out << YAML::Key;
      put(entry.first);
      out << YAML::Value;
      put(entry.second);
    }
    out << YAML::EndMap;
  }
  return out.c_str();
}

// Takes note of where a document starts and of nothing else.
class DocumentStart final : public YAML::EventHandler {
 public:
  YAML::Mark mark;

  void OnDocumentStart(const YAML::Mark& start) override { mark = start; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

class Reader {
 public:
  Reader(const std::string& file, std::vector<Setting>& settings,
         std::vector<std::string>& problems)
      : file_(file), settings_(settings), problems_(problems) {}

  void read(const std::string& text) {
    try {
      check_single_document(text);
      read_root(YAML::Load(text));
    } catch (const YAML::Exception& e) {
      // What follows a ':' in yaml-cpp's messages is text of the file, which may be a password.
      problem(e.mark, "not valid YAML: " + e.msg.substr(0, e.msg.find(':')));
    }
  }

 private:
  // yaml-cpp's Load ends silently at a stray ',' or ']' and at '---'; what follows would be
  // ignored. (LoadAll is no way out: in 0.7.0 it never returns after a stray ','.)
  void check_single_document(const std::string& text) {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    DocumentStart first;
    DocumentStart second;
    if (!parser.HandleNextDocument(first) || !parser.HandleNextDocument(second)) return;
    problem(second.mark,
            "what follows is not part of the first document (a stray character or '---')");
  }

  void read_root(const YAML::Node& root) {
    if (root.IsNull()) return;  // an empty file, or one with everything commented out
    if (!root.IsMap()) return problem(root.Mark(), "expected groups of options, like 'source:'");
    for (const auto& entry : root) {
      const std::string group = key_text(entry.first);
      if (std::find(groups_.begin(), groups_.end(), group) == groups_.end()) {
        problem(entry.first.Mark(), unknown_name("group", group, groups_));
      } else if (group == "sources") {
        read_sources(entry.second);
      } else if (entry.second.IsMap()) {
        read_group(group + ".", entry.second);
      } else if (!entry.second.IsNull()) {
        problem(entry.second.Mark(), group + ": expected options below it, like 'name: value'");
      }
    }
  }

  void read_sources(const YAML::Node& entries) {
    if (entries.IsNull()) return;
    if (!entries.IsSequence())
      return problem(entries.Mark(), "sources: expected a list, like '- uri: redis://10.0.0.1'");
    const std::map<std::string, int> outside = lines_;
    for (const YAML::Node& entry : entries) {
      source_ = ++sources_;
      lines_.clear();
      settings_.push_back({source_name_setting, "", place(entry.Mark()), source_});
      if (entry.IsMap()) {
        read_source(entry);
      } else {
        problem(entry.Mark(), "sources: expected options in each entry, like 'uri: redis://...'");
      }
    }
    source_ = 0;
    lines_ = outside;
  }

  // Names are those below `source`, or whole groups of rules.
  void read_source(const YAML::Node& options) {
    for (const auto& entry : options) {
      const std::string group = key_text(entry.first);
      const bool is_rules = group == "filter" || group == "databases" || group == "transform";
      if (group == "name") {
        if (!entry.second.IsScalar()) problem(entry.first.Mark(), "name: expected one value");
        const std::string name = entry.second.IsScalar() ? entry.second.Scalar() : "";
        settings_.push_back({source_name_setting, name, place(entry.first.Mark()), source_});
      } else if (!is_rules) {
        YAML::Node alone;
        alone[entry.first] = entry.second;
        read_group("source.", alone);
      } else if (entry.second.IsMap()) {
        read_group(group + ".", entry.second);
      } else if (!entry.second.IsNull()) {
        problem(entry.second.Mark(), group + ": expected options below it, like 'name: value'");
      }
    }
  }

  static bool has_options_below(const std::string& name) {
    const std::vector<std::string> names = option_names();
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& one) { return one.rfind(name + ".", 0) == 0; });
  }

  // `prefix`: "source." or "source.tls.".
  void read_group(const std::string& prefix, const YAML::Node& options) {
    for (const auto& entry : options) {
      const std::string name = prefix + key_text(entry.first);
      const YAML::Mark mark = entry.first.Mark();
      if (has_options_below(name)) {
        if (entry.second.IsMap()) {
          read_group(name + ".", entry.second);
        } else if (!entry.second.IsNull()) {
          problem(mark, name + ": expected options below it, like 'name: value'");
        }
      } else if (find_option(name) == nullptr) {
        problem(mark, unknown_name("option", name, option_names()));
      } else if (!lines_.emplace(name, mark.line + 1).second) {
        problem(mark, fmt::format("{}: given twice (first in line {})", name, lines_[name]));
      } else if (entry.second.IsNull()) {
        problem(mark, name + ": has no value (write \"\" for an empty one)");
      } else if (source_ > 0 && !is_of_one_source(name)) {
        problem(mark, name + ": not for one of several sources");
      } else if (!entry.second.IsScalar() && find_option(name)->is_structured) {
        settings_.push_back({name, flow_text(entry.second), place(mark), source_});
      } else if (!entry.second.IsScalar()) {
        problem(mark, name + ": expected one value, not a list or a map");
      } else {
        settings_.push_back({name, entry.second.Scalar(), place(mark), source_});
      }
    }
  }

  static std::string key_text(const YAML::Node& key) {
    return key.IsScalar() ? key.Scalar() : std::string();
  }

  std::string place(const YAML::Mark& mark) const {
    return mark.is_null() ? file_ : fmt::format("{}:{}", file_, mark.line + 1);
  }
  void problem(const YAML::Mark& mark, const std::string& what) {
    problems_.push_back(place(mark) + ": " + what);
  }

  const std::vector<std::string> groups_ = group_names();
  const std::string& file_;
  std::vector<Setting>& settings_;
  std::vector<std::string>& problems_;
  std::map<std::string, int> lines_;  // where each option was first seen
  std::size_t source_ = 0;            // the entry of `sources` that is being read, from 1
  std::size_t sources_ = 0;
};

}  // namespace

void read_yaml(const std::string& text, const std::string& file, std::vector<Setting>& settings,
               std::vector<std::string>& problems) {
  Reader(file, settings, problems).read(text);
}

std::string unknown_name(std::string_view kind, const std::string& name,
                         const std::vector<std::string>& candidates) {
  if (!is_plain_name(name))
    return fmt::format("unknown {} (its name holds unusual characters)", kind);
  const std::string nearest = nearest_name(name, candidates);
  if (nearest.empty()) return fmt::format("unknown {} '{}'", kind, name);
  return fmt::format("unknown {} '{}'; did you mean {}?", kind, name, nearest);
}

}  // namespace keyferry
