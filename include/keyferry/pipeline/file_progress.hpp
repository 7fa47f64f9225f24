// How far a source that is a file has been read, in the words of the status: bytes as they are on
// disk stand for both the snapshot and what is left of the stream.
#pragma once

#include "keyferry/pipeline/status.hpp"
#include "keyferry/source/file_source.hpp"

namespace keyferry {

inline void show_file_progress(const FileSource& source, Status& status) {
  const std::uint64_t done = source.file_bytes_read();
  status.snapshot_bytes_done = done;
  if (source.files().is_standard_input) return;
  const std::uint64_t total = source.files().size_bytes();
  const std::uint64_t left = total > done ? total - done : 0;
  status.snapshot_bytes_total = total;
  if (status.is_streaming) status.lag_bytes = static_cast<std::int64_t>(left);
  if (done > 0) {
    status.snapshot_eta_s = status.uptime_s * static_cast<double>(left) / static_cast<double>(done);
  }
}

}  // namespace keyferry
