// Judges replies while they are read: steps over whole RESP2 replies of any size and nesting
// without storing them, and keeps only the text of the first error inside. Resumable at every byte.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class ReplyScanner {
 public:
  enum class Status { done, need_more, corrupt };

  // Consumes bytes of the current reply from the front of `bytes` (shortening it). `done`: one
  // whole top-level reply ended there; error() tells about it until the next call.
  Status next(ByteView& bytes);

  // The first error in the reply that was just completed, without '-'; empty when there was none.
  const std::string& error() const { return error_; }
  // Whether that error was the reply itself, not an element of an array (an EXEC reply can hold
  // errors).
  bool is_top_level_error() const { return top_level_error_; }
  // Whether the reply was a null (aborted EXEC, missing value).
  bool is_null() const { return null_; }

 private:
  Status start_element(ByteView line);
  bool finish_element();

  std::vector<std::int64_t> open_;  // elements still to come in each open array
  Bytes line_;                      // a header line that was split over reads
  std::int64_t skip_bytes_ = 0;     // of a bulk, with its CRLF
  std::string error_;
  bool top_level_error_ = false;
  bool null_ = false;
  bool fresh_ = true;
};

}  // namespace keyferry
