#include "keyferry/rdb/value_walker.hpp"

namespace keyferry::rdb {
namespace {

// Item tags of module values (Redis 4.0 rdb.h RDB_MODULE_OPCODE_*).
enum ModuleItem : std::uint8_t { end_of_items, signed_int, unsigned_int, float_4, double_8, text };

// Steps over one item; true when it was the end tag.
bool skip_module_item(Cursor& in) {
  switch (in.length()) {
    case end_of_items:
      return in.ok();
    case signed_int:
    case unsigned_int:
      in.length();
      return false;
    case float_4:
      in.skip(4);
      return false;
    case double_8:
      in.skip(8);
      return false;
    case text:
      in.skip_string();
      return false;
    default:
      in.fail("a module value has an item of unknown kind");
      return false;
  }
}

// One length byte, then that many characters; 253 to 255 stand for NaN and the infinities (Redis
// rdb.c rdbSaveDoubleValue).
void skip_old_double(Cursor& in) {
  const std::uint8_t size = in.byte();
  if (size < 253) in.skip(size);
}

// Redis 7.0 quicklist.h: QUICKLIST_NODE_CONTAINER_PLAIN, _PACKED.
void skip_container(Cursor& in) {
  const std::uint64_t container = in.length();
  if (in.ok() && container != 1 && container != 2) in.fail("a list node is of unknown kind");
}

// The master ID of a stream node is a string of 16 raw bytes (Redis 5.0 rdb.c rdbSaveObject).
void skip_stream_id_string(Cursor& in) {
  const std::uint64_t size = in.length();
  if (in.ok() && size != 16) in.fail("a stream node has no 16-byte ID");
  in.skip(16);
}

const char* behind_loop(const char* at) {
  for (int depth = 1; depth > 0; ++at)
    depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
  return at;
}

}  // namespace

void ValueWalker::start(const char* layout) {
  at_ = layout;
  depth_ = 0;
  saw_empty_ = false;
}

bool ValueWalker::walk(Cursor& in) {
  while (*at_ != '\0') {
    step(in);
    if (!in.ok()) return false;
    in.mark();
  }
  return true;
}

// One part of the layout. Moves at_ only when the cursor is still good.
void ValueWalker::step(Cursor& in) {
  switch (*at_) {
    case '(':
      enter_loop(in);
      return;
    case ')':
      leave_or_repeat();
      return;
    case 'M':
      if (skip_module_item(in)) ++at_;
      return;
    case 's':
      in.skip_string();
      break;
    case 'l':
      in.length();
      break;
    case '8':
      in.skip(8);
      break;
    case '4':
      in.skip(4);
      break;
    case 'g':
      in.skip(16);
      break;
    case 'd':
      skip_old_double(in);
      break;
    case 'c':
      skip_container(in);
      break;
    case 'i':
      skip_stream_id_string(in);
      break;
    default:
      in.fail("the layout of this type is wrong");
      break;
  }
  if (in.ok()) ++at_;
}

void ValueWalker::enter_loop(Cursor& in) {
  const std::uint64_t count = in.count();
  if (!in.ok()) return;
  if (count == 0) {
    if (depth_ == 0) saw_empty_ = true;
    at_ = behind_loop(at_ + 1);
    return;
  }
  ++at_;
  loops_.at(depth_++) = {at_, count};
}

void ValueWalker::leave_or_repeat() {
  Loop& loop = loops_[depth_ - 1];
  if (--loop.left > 0) {
    at_ = loop.body;
  } else {
    --depth_;
    ++at_;
  }
}

}  // namespace keyferry::rdb
