// The manifest of a multi-part append-only file: which files it consists of, in which order
// (Redis 7.0 aof.c aofLoadManifestFromFile). Pure; whether the files exist is not looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "keyferry/base/bytes.hpp"
#include "keyferry/base/error.hpp"

namespace keyferry {

struct AofManifest {
  std::optional<std::string> base;      // an RDB, or commands that build the data
  std::vector<std::string> increments;  // commands, in order
  std::uint64_t last_sequence = 0;      // of any file in it

  // The order in which they are loaded.
  std::vector<std::string> files() const;
};

// Errors (Errc::corrupt) name the line. Files that a rewrite has replaced (type h) are left out.
Result<AofManifest> parse_aof_manifest(ByteView text);

// What a server's manifest with these files looks like.
struct AofManifestFile {
  std::string name;
  std::uint64_t sequence = 0;
  char type = 'i';  // b, i, h
};
std::string aof_manifest_text(const std::vector<AofManifestFile>& files);

}  // namespace keyferry
