// Judges replies while they are read: steps over whole RESP2 replies of any size and nesting
// without storing them, and keeps only the text of the first error inside. Resumable at every byte.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "keyferry/base/bytes.hpp"

namespace keyferry {

class ReplyScanner {
 public:
  static constexpr std::int64_t no_integer = std::numeric_limits<std::int64_t>::max();
  enum class Status { done, element, need_more, corrupt };

  // Consumes bytes of the current reply from the front of `bytes` (shortening it). `done`: one
  // whole top-level reply ended there; error() tells about it until the next call.
  Status next(ByteView& bytes);

  // Steps over whole replies "+QUEUED", at most so many; how many there were.
  std::uint32_t skip_queued(ByteView& bytes, std::uint32_t most);

  // The same for the reply to an EXEC: `element` after each element of the outermost array, about
  // which error() and lowest_integer() tell; the call after the last one gives `done` without
  // taking bytes (at once when the reply is an error, null or empty).
  Status next_element(ByteView& bytes);
  bool owes_done() const { return all_given_; }

  // The first error in the reply that was just completed, without '-'; empty when there was none.
  const std::string& error() const { return error_; }
  // Whether that error was the reply itself, not an element of an array (an EXEC reply can hold
  // errors).
  bool is_top_level_error() const { return top_level_error_; }
  // Whether the reply was a null (aborted EXEC, missing value).
  bool is_null() const { return null_; }
  // The lowest integer in the reply or element, at any depth; the largest number when there was
  // none. TTL commands answer 0 or below where there was nothing to set.
  std::int64_t lowest_integer() const { return lowest_integer_; }

 private:
  Status step(ByteView& bytes, bool stop_at_elements);
  bool take_usual(ByteView& bytes);
  void forget();
  Status start_element(ByteView line);
  bool finish_element();

  std::vector<std::int64_t> open_;  // elements still to come in each open array
  Bytes line_;                      // a header line that was split over reads
  std::int64_t skip_bytes_ = 0;     // of a bulk, with its CRLF
  std::string error_;
  bool top_level_error_ = false;
  bool null_ = false;
  bool fresh_ = true;          // nothing of the reply has been read
  bool element_fresh_ = true;  // nothing of the outermost array's next element has been read
  bool all_given_ = false;     // the last element was given out, `done` is still due
  std::int64_t lowest_integer_ = no_integer;
};

}  // namespace keyferry
