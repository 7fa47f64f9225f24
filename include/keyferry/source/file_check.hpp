// Reads input files from end to end as they will be read, and throws away what comes out: so that
// damage is known before anything is written to the target. Blocking; for work in the pool.
#pragma once

#include <atomic>
#include <optional>

#include "keyferry/source/file_set.hpp"

namespace keyferry {

struct FileCheckRules {
  std::optional<std::int64_t> until;  // what follows is not looked at
  bool may_be_torn = false;           // the last command may be cut off
};

// Errors (Errc::corrupt) name file and byte. Ends early, without an error, once `stop` is set.
Error check_files(const FileSet& files, const FileCheckRules& rules, const std::atomic<bool>& stop);

// How many bytes the snapshot at the start of `file` has; 0 when there is none.
Result<std::uint64_t> snapshot_bytes(const InputFile& file);

}  // namespace keyferry
