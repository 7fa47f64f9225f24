#include "keyferry/sink/guard_ring.hpp"

#include <fmt/format.h>

#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

std::string due(std::size_t number) {
  return fmt::format("due:{}", number);
}

std::string ran(std::size_t number) {
  return fmt::format("ran:{}", number);
}

}  // namespace

// Tokens are hexadecimal.
bool is_guard(ByteView field) {
  return field.find(':') != ByteView::npos;
}

GuardRing::GuardRing(const std::string& fence, const std::string& token) {
  std::vector<std::string> fields{"HMSET", fence, token, "1", ran(0), "1"};
  for (std::size_t at = 0; at < size; ++at) {
    append_command(check_[at], {"HSETNX", fence, ran(at), "1"});
    append_command(check_[at], {"HDEL", fence, due(at)});
    const std::size_t before = (at + size - 1) % size;
    append_command(step_[at], {"HMSET", fence, due(before), "1", ran(at), "1"});
    append_command(step_[at], {"HDEL", fence, due(at), ran(before)});
    if (at > 0) fields.insert(fields.end(), {due(at), "1"});
  }
  append_command(anew_, {"DEL", fence});
  append_command(anew_, std::vector<ByteView>(fields.begin(), fields.end()));
}

}  // namespace keyferry
