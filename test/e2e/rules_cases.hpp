// Every kind of rule by name and type, with what it should do, written down once for all ends of a
// link that they are tested with.
#pragma once

#include "e2e/rules_link.hpp"

namespace keyferry::test {

struct Case {
  const char* name;
  std::vector<std::string> settings;
  Rule rule;
  bool takes_databases = false;  // so it makes no sense where there is only one
};

// 12 of "{t12}:list:3".
inline int block_of(const std::string& key) {
  return std::atoi(key.c_str() + 2);
}

inline std::string kind_of(const std::string& key) {
  const std::size_t begin = key.find("}:") + 2;
  return key.substr(begin, key.find(':', begin) - begin);
}

inline std::string text_of(const Place& own) {
  return own.key;
}

inline const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"exact",
       {"filter.block.keys=['{t1}:str:0', '{t2}:hash:0', '{t3}:stream:0']"},
       only([](const Place& own, const std::string&) {
         return own.key != "{t1}:str:0" && own.key != "{t2}:hash:0" && own.key != "{t3}:stream:0";
       })},
      {"prefix",
       {"filter.allow.prefixes=['{t1', '{t22}:s']", "filter.block.prefixes=['{t15}']"},
       only([](const Place& own, const std::string&) {
         return (text_of(own).starts_with("{t1") && !text_of(own).starts_with("{t15}")) ||
                text_of(own).starts_with("{t22}:s");
       })},
      {"suffix", {"filter.block.suffixes=[':0']"}, only([](const Place& own, const std::string&) {
         return !own.key.ends_with(":0");
       })},
      {"glob",
       {"filter.allow.globs=['{t[0-4]*}:[shl]*']"},
       only([](const Place& own, const std::string&) {
         const char kind = kind_of(own.key)[0];
         return own.key[2] >= '0' && own.key[2] <= '4' &&
                (kind == 's' || kind == 'h' || kind == 'l');
       })},
      {"regex",
       {"filter.block.regexes=['^\\{t[0-9]*[02468]\\}']"},
       only([](const Place& own, const std::string&) { return block_of(own.key) % 2 != 0; })},
      {"slot",
       {"filter.allow.slots=['0-8191', '9000']"},
       only([](const Place& own, const std::string&) {
         return key_slot(own.key) < 8192 || key_slot(own.key) == 9000;
       })},
      {"database",
       {"filter.allow.databases=[0, 2, 3]", "filter.block.databases=['3']",
        "filter.allow.databases=[0, 2]"},
       only([](const Place& own, const std::string&) { return own.db == 0 || own.db == 2; }),
       true},
      {"type",
       {"filter.block.types=[hash, stream]"},
       only([](const Place&, const std::string& type) {
         return type != "hash" && type != "stream";
       })},
      {"mapping",
       {"databases.map={1: 0, 2: 5}", "databases.prefix={1: 'db1:'}",
        "transform.key_prefix.replace={'{t1': 'T{t1'}", "transform.key_prefix.add=n:"},
       [](Place own, const std::string&) {
         if (own.key.starts_with("{t1")) own.key = "T" + own.key;
         own.key = (own.db == 1 ? "db1:n:" : "n:") + own.key;
         own.db = own.db == 1 ? 0 : own.db == 2 ? 5 : own.db;
         return std::optional(own);
       },
       true},
      {"filter_and_mapping",
       {"filter.block.suffixes=[':1']", "transform.key_prefix.strip={t",
        "databases.map={0: 1, 1: 0}"},
       [](Place own, const std::string&) {
         if (own.key.ends_with(":1")) return std::optional<Place>();
         own.key = own.key.substr(2);
         own.db = own.db == 1 ? 0 : own.db == 0 ? 1 : own.db;
         return std::optional(own);
       },
       true},
      {"names",
       {"transform.key_prefix.replace={'{t1': 'T{t1'}",
        "transform.key_prefix.add=n:", "filter.block.suffixes=[':1']"},
       [](Place own, const std::string&) {
         if (own.key.ends_with(":1")) return std::optional<Place>();
         own.key = (own.key.starts_with("{t1") ? "n:T" : "n:") + own.key;
         return std::optional(own);
       }},
      {"no_expiry",
       {"transform.ttl=none"},
       [](Place own, const std::string&) {
         own.expire_ms = "0";
         return std::optional(own);
       }},
      {"later_expiry",
       {"transform.ttl=+1h"},
       [](Place own, const std::string&) {
         if (own.expire_ms != "0")
           own.expire_ms = std::to_string(std::stoll(own.expire_ms) + 3600000);
         return std::optional(own);
       }},
  };
  return all;
}

inline LiveOptions live_options(std::uint64_t seed) {
  LiveOptions live;
  live.dataset.keys = 1200;
  live.dataset.seed = seed;
  live.dataset.huge = false;
  live.seed = seed + 1000;
  live.commands_per_s = 2500;
  return live;
}

}  // namespace keyferry::test
