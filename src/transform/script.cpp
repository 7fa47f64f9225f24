#include "keyferry/transform/script.hpp"

#include <cstdlib>

#include <fmt/format.h>
#include <lua5.4/lua.hpp>

#include "keyferry/command/keys.hpp"
#include "keyferry/resp/resp.hpp"

namespace keyferry {
namespace {

constexpr std::size_t memory_max_bytes = std::size_t{64} * 1024 * 1024;
constexpr int steps_per_call = 1'000'000;  // virtual machine instructions: some milliseconds
constexpr int commands_max = 1000;

struct Job {
  std::int32_t db = 0;
  const CommandInfo* info = nullptr;
  std::span<const ByteView> args;
  std::vector<std::size_t>* keys = nullptr;
  std::vector<Bytes>* wires = nullptr;
};

// Once over the limit every further step fails, so that no pcall of the script can go on.
void stop_script(lua_State* lua, lua_Debug*) {
  lua_sethook(lua, stop_script, LUA_MASKCOUNT, 1);
  luaL_error(lua, "more than %d steps in one call", steps_per_call);
}

// Functions that reach outside, load code, or answer differently the next time.
constexpr const char* forbidden[] = {"dofile", "loadfile",       "load",
                                     "print",  "collectgarbage", "warn"};

void open_sandbox(lua_State* lua) {
  constexpr luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                    {LUA_STRLIBNAME, luaopen_string},
                                    {LUA_TABLIBNAME, luaopen_table},
                                    {LUA_MATHLIBNAME, luaopen_math},
                                    {LUA_UTF8LIBNAME, luaopen_utf8}};
  for (const luaL_Reg& library : libraries) {
    luaL_requiref(lua, library.name, library.func, 1);
    lua_pop(lua, 1);
  }
  for (const char* name : forbidden) {
    lua_pushnil(lua);
    lua_setglobal(lua, name);
  }
  lua_getglobal(lua, LUA_MATHLIBNAME);
  for (const char* name : {"random", "randomseed"}) {
    lua_pushnil(lua);
    lua_setfield(lua, -2, name);
  }
  lua_getglobal(lua, LUA_STRLIBNAME);
  lua_pushnil(lua);
  lua_setfield(lua, -2, "dump");
  lua_pop(lua, 2);
}

// Lua unwinds by longjmp: functions below hold nothing that a destructor must free.

// The table on top of the stack as one command.
void take_command(lua_State* lua, std::vector<Bytes>& wires) {
  const lua_Unsigned count = lua_rawlen(lua, -1);
  if (count == 0) luaL_error(lua, "returned a command without a name");
  if (wires.size() >= commands_max) luaL_error(lua, "returned more than %d commands", commands_max);
  Bytes& wire = wires.emplace_back();
  append_array_header(wire, count);
  for (lua_Unsigned i = 1; i <= count; ++i) {
    lua_rawgeti(lua, -1, static_cast<lua_Integer>(i));
    std::size_t size = 0;
    const char* const text = lua_tolstring(lua, -1, &size);
    if (text == nullptr)
      luaL_error(lua, "returned a command with a %s in it", luaL_typename(lua, -1));
    append_bulk(wire, ByteView(text, size));
    lua_pop(lua, 1);
  }
}

void take_result(lua_State* lua, std::vector<Bytes>& wires) {
  if (!lua_toboolean(lua, -1)) return;  // nil, false, or nothing
  if (!lua_istable(lua, -1)) luaL_error(lua, "returned a %s, not a table", luaL_typename(lua, -1));
  const lua_Unsigned count = lua_rawlen(lua, -1);
  if (count == 0) return;
  const bool is_one = lua_rawgeti(lua, -1, 1) != LUA_TTABLE;
  lua_pop(lua, 1);
  if (is_one) return take_command(lua, wires);
  for (lua_Unsigned i = 1; i <= count; ++i) {
    if (lua_rawgeti(lua, -1, static_cast<lua_Integer>(i)) != LUA_TTABLE)
      luaL_error(lua, "returned a list with something else than commands");
    take_command(lua, wires);
    lua_pop(lua, 1);
  }
}

int call_protected(lua_State* lua) {
  const Job& job = *static_cast<const Job*>(lua_touserdata(lua, 1));
  lua_rawgetp(lua, LUA_REGISTRYINDEX, &memory_max_bytes);
  lua_pushinteger(lua, job.db);
  lua_createtable(lua, static_cast<int>(job.args.size()), 0);
  for (std::size_t i = 0; i < job.args.size(); ++i) {
    lua_pushlstring(lua, job.args[i].data(), job.args[i].size());
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
  lua_createtable(lua, static_cast<int>(job.keys->size()), 0);
  for (std::size_t i = 0; i < job.keys->size(); ++i) {
    lua_pushinteger(lua, static_cast<lua_Integer>((*job.keys)[i] + 1));
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
  lua_call(lua, 3, 1);
  take_result(lua, *job.wires);
  return 0;
}

int define_protected(lua_State* lua) {
  open_sandbox(lua);
  std::size_t size = 0;
  const char* const text = lua_tolstring(lua, 1, &size);
  if (luaL_loadbufferx(lua, text, size, lua_tostring(lua, 2), "t") != LUA_OK) return lua_error(lua);
  lua_call(lua, 0, 0);
  if (lua_getglobal(lua, "transform") != LUA_TFUNCTION)
    luaL_error(lua, "defines no function called transform(db, argv, keys)");
  // Under the address of something that only we know.
  lua_rawsetp(lua, LUA_REGISTRYINDEX, &memory_max_bytes);
  return 0;
}

}  // namespace

struct Script::State {
  lua_State* lua = nullptr;
  std::size_t used_bytes = 0;
  std::vector<std::size_t> keys;

  ~State() {
    if (lua != nullptr) lua_close(lua);
  }

  static void* allocate(void* self, void* old, std::size_t old_size, std::size_t size) {
    State& state = *static_cast<State*>(self);
    const std::size_t before = old == nullptr ? 0 : old_size;
    if (size == 0) {
      std::free(old);
      state.used_bytes -= before;
      return nullptr;
    }
    if (size > before && state.used_bytes + (size - before) > memory_max_bytes) return nullptr;
    void* const made = std::realloc(old, size);
    if (made != nullptr) state.used_bytes = state.used_bytes - before + size;
    return made;
  }

  // Calls what lies under its `arguments` on the stack, with the limits on.
  Error run(int arguments) {
    lua_sethook(lua, stop_script, LUA_MASKCOUNT, steps_per_call);
    if (lua_pcall(lua, arguments, 0, 0) == LUA_OK) return Error();
    const char* const text = lua_tostring(lua, -1);
    Error error(Errc::data_refused, text == nullptr ? "an error without a text" : text);
    lua_settop(lua, 0);
    return error;
  }
};

Script::Script() : state_(std::make_unique<State>()) {}
Script::~Script() = default;

Result<std::unique_ptr<Script>> Script::compile(const std::string& text, const std::string& name) {
  std::unique_ptr<Script> script(new Script());
  State& state = *script->state_;
  state.lua = lua_newstate(State::allocate, &state);
  if (state.lua == nullptr) return Error(Errc::usage, "no memory for Lua");
  lua_pushcfunction(state.lua, define_protected);
  lua_pushlstring(state.lua, text.data(), text.size());
  lua_pushstring(state.lua, ("@" + name).c_str());
  if (Error error = state.run(2)) return Error(Errc::usage, error.what);
  lua_gc(state.lua, LUA_GCGEN, 0, 0);
  return script;
}

Error Script::call(std::int32_t db, const CommandInfo* info, std::span<const ByteView> args,
                   std::vector<Bytes>& wires) {
  Job job{db, info, args, &state_->keys, &wires};
  state_->keys.clear();
  if (info != nullptr)
    for_each_key(*info, args, [&](std::size_t at) { state_->keys.push_back(at); });
  lua_pushcfunction(state_->lua, call_protected);
  lua_pushlightuserdata(state_->lua, &job);
  Error error = state_->run(1);
  if (error) wires.clear();
  return error;
}

}  // namespace keyferry
