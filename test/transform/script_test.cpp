#include "keyferry/transform/script.hpp"

#include <gtest/gtest.h>

#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

class ScriptTest : public testing::Test {
 protected:
  void define(const std::string& text) {
    Result<std::unique_ptr<Script>> script = Script::compile(text, "t.lua");
    ASSERT_TRUE(script.has_value()) << script.error().what;
    script_ = std::move(*script);
  }
  // What the body of transform() makes of a command; an error as one line.
  std::vector<Bytes> answer(const std::string& body, const std::vector<ByteView>& args) {
    define("function transform(db, argv, keys) " + body + " end");
    return call(args);
  }
  std::vector<Bytes> call(const std::vector<ByteView>& args) {
    std::vector<Bytes> wires;
    const Error error = script_->call(3, find_command(args[0]), args, wires);
    if (error) wires = {error.what};
    return wires;
  }
  static std::string problem_of(const std::string& text) {
    const auto script = Script::compile(text, "t.lua");
    return script ? "" : script.error().what;
  }

  std::unique_ptr<Script> script_;
};

using Wires = std::vector<Bytes>;

TEST_F(ScriptTest, ReturnsNoneOneOrSeveral) {
  EXPECT_EQ(answer("return argv", {"SET", "a", "1"}), Wires{make_command({"SET", "a", "1"})});
  EXPECT_EQ(answer("return nil", {"SET", "a", "1"}), Wires{});
  EXPECT_EQ(answer("", {"SET", "a", "1"}), Wires{});
  EXPECT_EQ(answer("return {}", {"SET", "a", "1"}), Wires{});
  EXPECT_EQ(answer("return {argv, {'INCRBY', 'n', 7}}", {"SET", "a", "1"}),
            (Wires{make_command({"SET", "a", "1"}), make_command({"INCRBY", "n", "7"})}));
}

TEST_F(ScriptTest, SeesDatabaseArgumentsAndKeys) {
  const std::string body =
      "local k = {} for i, at in ipairs(keys) do k[i] = at .. '=' .. argv[at] end "
      "return {'ECHO', db .. ':' .. table.concat(k, ',')}";

  EXPECT_EQ(answer(body, {"MSET", "a", "1", "b", "2"}), Wires{make_command({"ECHO", "3:2=a,4=b"})});
  EXPECT_EQ(answer(body, {"UNKNOWN", "a"}), Wires{make_command({"ECHO", "3:"})});
}

TEST_F(ScriptTest, CarriesAnyBytes) {
  const Bytes value("\0\xff\r\n", 4);

  EXPECT_EQ(answer("argv[3] = argv[3] .. '\\0'; return argv", {"SET", "a", value}),
            Wires{make_command({"SET", "a", value + Bytes(1, '\0')})});
}

TEST_F(ScriptTest, ReportsWhatIsNoCommand) {
  const std::vector<ByteView> set = {"SET", "a", "1"};

  EXPECT_EQ(answer("return 5", set), Wires{"returned a number, not a table"});
  EXPECT_EQ(answer("return {'SET', {}}", set), Wires{"returned a command with a table in it"});
  EXPECT_EQ(answer("return {{}}", set), Wires{"returned a command without a name"});
  EXPECT_EQ(answer("return {argv, 'x'}", set),
            Wires{"returned a list with something else than commands"});
  EXPECT_EQ(answer("error('no')", set), Wires{"t.lua:1: no"});
}

TEST_F(ScriptTest, IsStoppedWhenItDoesNotEnd) {
  define(
      "n = 0 function transform(db, argv) if argv[2] == 'loop' then "
      "while true do pcall(function() while true do end end) end end return argv end");

  const Wires stopped = call({"SET", "loop", "1"});
  ASSERT_EQ(stopped.size(), 1U);
  EXPECT_NE(stopped[0].find("more than 1000000 steps"), Bytes::npos) << stopped[0];
  EXPECT_EQ(call({"SET", "a", "1"}), Wires{make_command({"SET", "a", "1"})});
}

TEST_F(ScriptTest, CannotTakeMoreMemoryThanItsShare) {
  define(
      "function transform(db, argv) if argv[2] == 'much' then "
      "return {'SET', 'a', string.rep('x', 100000000)} end return argv end");

  EXPECT_EQ(call({"SET", "much", "1"}), Wires{"not enough memory"});
  EXPECT_EQ(call({"SET", "a", "1"}), Wires{make_command({"SET", "a", "1"})});
}

TEST_F(ScriptTest, ReachesNothingOutside) {
  for (const char* name : {"io", "os", "require", "package", "debug", "load", "dofile", "loadfile",
                           "print", "coroutine", "collectgarbage"}) {
    EXPECT_EQ(answer(std::string("return {'ECHO', tostring(") + name + ")}", {"PING"}),
              Wires{make_command({"ECHO", "nil"})})
        << name;
  }
}

TEST_F(ScriptTest, SaysWhyItCannotBeUsed) {
  EXPECT_EQ(problem_of("function transform( end"), "t.lua:1: <name> or '...' expected near 'end'");
  EXPECT_EQ(problem_of("x = 1"), "defines no function called transform(db, argv, keys)");
  EXPECT_EQ(problem_of("io.open('/etc/passwd')"),
            "t.lua:1: attempt to index a nil value (global 'io')");
  EXPECT_NE(problem_of("\x1bLua"), "");
}

}  // namespace
}  // namespace keyferry
