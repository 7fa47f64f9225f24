// What a target file is to hold, as its name says: "backup.rdb", "changes.resp.gz", "a.jsonl.zst",
// "appendonly.aof.manifest". And the release whose RDB version and commands it is written for.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keyferry {

enum class FileFormat {
  unknown,
  resp,         // commands, as redis-cli --pipe takes them
  json,         // one object per line
  rdb,          // a snapshot
  append_only,  // a manifest with an RDB and files of commands beside it: an AOF of Redis >= 7.0
};
// By the name's end, compression aside; manifests and what they name are never compressed.
FileFormat file_format_of(std::string_view path);

struct Release {
  bool is_valkey = false;
  int major = 0;
  int minor = 0;
};
// "redis-7.2", "valkey-9.0"; nullopt for anything else.
std::optional<Release> parse_release(std::string_view text);

// Seconds since 1970: as such, or "2026-01-31T12:00:00Z" (UTC; the T may be a space, the Z
// missing).
std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace keyferry
