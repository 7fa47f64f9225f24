#include "support/compare.hpp"

#include <algorithm>
#include <cstdlib>
#include <future>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <unordered_map>

#include "support/key_reader.hpp"

namespace keyferry::test {

namespace {

// What is kept of each key in the first pass.
struct Digest {
  std::size_t hash = 0;  // of type and value
  std::int64_t expiry_ms = -1;
};

using Table = std::unordered_map<std::string, Digest>;  // "<db>:<key>"

void read_node(RespClient& node, int db, const ReadFeatures& features, Table& table) {
  const std::string prefix = std::to_string(db) + ":";
  std::string cursor = "0";
  do {
    const Reply page = node.must({"SCAN", cursor, "COUNT", "1000"});
    cursor = page.items.at(0).text;
    std::vector<std::string> keys;
    for (const Reply& key : page.items.at(1).items)
      keys.push_back(key.text);
    const std::vector<KeyImage> images = read_keys(node, keys, features);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (images[i].type == "none") continue;
      const std::size_t hash = std::hash<std::string>{}(images[i].type + '=' + images[i].value);
      table[prefix + keys[i]] = {hash, images[i].expiry_ms};
    }
  } while (cursor != "0");
}

Table read_all(Keyspace& side, const ReadFeatures& features) {
  Table table;
  for (const int db : side.databases_with_keys()) {
    side.select(db);
    for (std::size_t i = 0; i < side.node_count(); ++i)
      read_node(side.node(i), db, features, table);
  }
  return table;
}

std::string shortened(const std::string& value) {
  Reply text;
  text.kind = Reply::Kind::bulk;
  text.text = value.size() > 300 ? value.substr(0, 300) : value;
  return text.printable() +
         (value.size() > 300 ? "... (" + std::to_string(value.size()) + " bytes)" : "");
}

// The piece around the first byte that differs.
std::string around_difference(const std::string& a, const std::string& b) {
  const auto at =
      std::mismatch(a.begin(),
                    a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())),
                    b.begin())
          .first -
      a.begin();
  const std::size_t start = at > 80 ? static_cast<std::size_t>(at) - 80 : 0;
  return "from byte " + std::to_string(start) + ": source \"" + shortened(a.substr(start)) +
         "\" target \"" + shortened(b.substr(start)) + "\"";
}

class Comparison {
 public:
  Comparison(const Endpoint& source, const Endpoint& target, const CompareOptions& options)
      : source_(source), target_(target), options_(options) {
    const int older = std::min(source_.redis_version(), target_.redis_version());
    features_.exact_expiry = older >= 700;
    features_.stream_counters = older >= 700;
    features_.entries_read =
        older >= 700 &&
        (options.entries_read || (source_.keeps_entries_read() && target_.keeps_entries_read()));
    features_.field_ttl = source_.has_hash_field_ttl() && target_.has_hash_field_ttl();
  }

  std::vector<Difference> run() {
    auto source_table =
        std::async(std::launch::async, [this] { return read_all(source_, features_); });
    const Table target = read_all(target_, features_);
    const Table source = source_table.get();
    std::vector<std::string> suspects;
    for (const auto& [key, digest] : source) {
      const auto other = target.find(key);
      if (other == target.end() || other->second.hash != digest.hash ||
          !same_expiry(other->second.expiry_ms, digest.expiry_ms)) {
        suspects.push_back(key);
      }
    }
    for (const auto& [key, digest] : target) {
      if (source.count(key) == 0 && !is_ignored(key)) suspects.push_back(key);
    }
    std::sort(suspects.begin(), suspects.end());
    for (const std::string& key : suspects) {
      if (differences_.size() >= options_.max_differences) break;
      look_again(key);
    }
    functions();
    return std::move(differences_);
  }

 private:
  bool same_expiry(std::int64_t a, std::int64_t b) const {
    const bool is_exact = features_.exact_expiry && !options_.were_moved;
    if (is_exact || a < 0 || b < 0) return a == b;
    return std::abs(a - b) <= options_.expiry_tolerance_ms;
  }

  bool is_ignored(const std::string& db_and_key) const {
    const std::string key = db_and_key.substr(db_and_key.find(':') + 1);
    return std::any_of(options_.ignored_prefixes.begin(), options_.ignored_prefixes.end(),
                       [&](const std::string& prefix) { return key.rfind(prefix, 0) == 0; });
  }

  KeyImage read_one(Keyspace& side, int db, const std::string& key) {
    side.select(db);
    return read_keys(side.node(side.node_of(key)), {key}, features_).front();
  }

  void look_again(const std::string& db_and_key) {
    const int db = std::atoi(db_and_key.c_str());
    const std::string key = db_and_key.substr(db_and_key.find(':') + 1);
    KeyImage source;
    KeyImage target;
    for (int attempt = 0; attempt < 3; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(Millis{20});
      source = read_one(source_, db, key);
      target = read_one(target_, db, key);
      if (source.type == target.type && source.value == target.value &&
          same_expiry(source.expiry_ms, target.expiry_ms)) {
        return;
      }
    }
    differences_.push_back(explain(db, key, source, target));
  }

  Difference explain(int db, const std::string& key, const KeyImage& source,
                     const KeyImage& target) const {
    using Kind = Difference::Kind;
    if (target.type == "none") return {Kind::missing, db, key, source.type};
    if (source.type == "none") return {Kind::extra, db, key, target.type};
    if (source.type != target.type) return {Kind::type, db, key, source.type + " / " + target.type};
    if (source.value != target.value) {
      return {Kind::value, db, key,
              source.type + " " + around_difference(source.value, target.value)};
    }
    return {Kind::expiry, db, key,
            std::to_string(source.expiry_ms) + " / " + std::to_string(target.expiry_ms)};
  }

  // Name and code of each library, sorted.
  static std::set<std::string> libraries(RespClient& node) {
    std::set<std::string> result;
    for (const Reply& library : node.must({"FUNCTION", "LIST", "WITHCODE"}).items) {
      const Reply* code = library.field("library_code");
      result.insert(code == nullptr ? "?" : code->text);
    }
    return result;
  }

  void functions() {
    if (source_.redis_version() < 700 || target_.redis_version() < 700) return;
    const std::set<std::string> wanted = libraries(source_.node(0));
    for (std::size_t i = 0; i < target_.node_count(); ++i) {
      const std::set<std::string> found = libraries(target_.node(i));
      if (found == wanted) continue;
      differences_.push_back({Difference::Kind::functions, 0, "",
                              std::to_string(wanted.size()) + " libraries / " +
                                  std::to_string(found.size()) + " on target node " +
                                  std::to_string(i)});
    }
  }

  Keyspace source_;
  Keyspace target_;
  const CompareOptions& options_;
  ReadFeatures features_;
  std::vector<Difference> differences_;
};

}  // namespace

std::vector<Difference> compare(const Endpoint& source, const Endpoint& target,
                                const CompareOptions& options) {
  return Comparison(source, target, options).run();
}

std::string describe(const std::vector<Difference>& differences) {
  static constexpr const char* kinds[] = {"missing", "extra",  "type",
                                          "value",   "expiry", "functions"};
  std::string text;
  for (const Difference& each : differences) {
    text += std::string(kinds[static_cast<std::size_t>(each.kind)]) + " db" +
            std::to_string(each.db) + " " + shortened(each.key) + ": " + each.detail + "\n";
  }
  return text;
}

std::size_t key_count(const Endpoint& endpoint) {
  Keyspace side(endpoint);
  std::size_t count = 0;
  for (const int db : side.databases_with_keys()) {
    side.select(db);
    for (std::size_t i = 0; i < side.node_count(); ++i) {
      RespClient& node = side.node(i);
      count += static_cast<std::size_t>(node.must({"DBSIZE"}).integer);
      std::string cursor = "0";
      do {
        const Reply page = node.must({"SCAN", cursor, "MATCH", "keyferry:*", "COUNT", "10000"});
        cursor = page.items.at(0).text;
        count -= page.items.at(1).items.size();
      } while (cursor != "0");
    }
  }
  return count;
}

}  // namespace keyferry::test
