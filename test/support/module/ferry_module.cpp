// A module for real servers (--loadmodule), so that tests meet module values and MODULE_AUX records
// that a server wrote: FERRY.SET key text, FERRY.GET key, keys of the type "ferrytype". Spoken to
// through the server's table of functions (Redis documentation, "Modules API reference"; ABI 1).
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

struct Context;
struct Argument;
struct Key;
struct Type;
struct Io;

constexpr int ok = 0;
constexpr int wrong = 1;
constexpr int read_write = 3;
constexpr int module_events = 1 << 13;  // "d" of notify-keyspace-events
constexpr int before_and_after_keys = 3;

// The fields that version 2 of the table has, in its order.
struct TypeMethods {
  std::uint64_t version;
  void* (*load)(Io*, int);
  void (*save)(Io*, void*);
  void* rewrite;
  void* memory;
  void* digest;
  void (*free)(void*);
  int (*load_aux)(Io*, int, int);
  void (*save_aux)(Io*, int);
  int aux_when;
};

using Command = int (*)(Context*, Argument**, int);

// What the server offers, found by name.
void (*set_attributes)(Context*, const char*, int, int);
int (*create_command)(Context*, const char*, Command, const char*, int, int, int);
Type* (*create_type)(Context*, const char*, int, TypeMethods*);
Key* (*open_key)(Context*, Argument*, int);
void (*close_key)(Key*);
int (*set_value)(Key*, Type*, void*);
void* (*get_value)(Key*);
const char* (*text_of)(const Argument*, std::size_t*);
int (*reply_text)(Context*, const char*, std::size_t);
int (*reply_simple)(Context*, const char*);
int (*reply_null)(Context*);
int (*replicate)(Context*);
int (*notify)(Context*, int, const char*, Argument*);
void (*save_text)(Io*, const char*, std::size_t);
char* (*load_text)(Io*, std::size_t*);
void (*save_unsigned)(Io*, std::uint64_t);
std::uint64_t (*load_unsigned)(Io*);
void (*save_double)(Io*, double);
double (*load_double)(Io*);
void (*release)(void*);

Type* ferry_type = nullptr;

struct Value {
  std::size_t size;
  char text[1];
};

Value* make_value(const char* text, std::size_t size) {
  auto* value = static_cast<Value*>(std::malloc(sizeof(Value) + size));
  value->size = size;
  std::memcpy(value->text, text, size);
  return value;
}

int set(Context* context, Argument** arguments, int count) {
  if (count != 3) return wrong;
  std::size_t size = 0;
  const char* text = text_of(arguments[2], &size);
  Key* key = open_key(context, arguments[1], read_write);
  set_value(key, ferry_type, make_value(text, size));
  close_key(key);
  replicate(context);
  notify(context, module_events, "ferry.set", arguments[1]);
  return reply_simple(context, "OK");
}

int get(Context* context, Argument** arguments, int count) {
  if (count != 2) return wrong;
  Key* key = open_key(context, arguments[1], 1);
  const auto* value = key == nullptr ? nullptr : static_cast<const Value*>(get_value(key));
  const int answered =
      value == nullptr ? reply_null(context) : reply_text(context, value->text, value->size);
  if (key != nullptr) close_key(key);
  return answered;
}

// One item of each kind that the format has.
void save(Io* io, void* value) {
  const auto* own = static_cast<const Value*>(value);
  save_unsigned(io, own->size);
  save_double(io, 0.5);
  save_text(io, own->text, own->size);
}

void* load(Io* io, int) {
  load_unsigned(io);
  load_double(io);
  std::size_t size = 0;
  char* text = load_text(io, &size);
  Value* value = make_value(text, size);
  release(text);
  return value;
}

void save_aux(Io* io, int) {
  save_text(io, "beside the keys", 15);
}

int load_aux(Io* io, int, int) {
  std::size_t size = 0;
  release(load_text(io, &size));
  return ok;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int RedisModule_OnLoad(Context* context,
                                                                         Argument**, int) {
  // The context begins with the function that finds the others.
  int (*find)(const char*, void*) = nullptr;
  std::memcpy(&find, context, sizeof find);
  struct Function {
    const char* name;
    void* at;
  };
  const Function functions[] = {{"SetModuleAttribs", &set_attributes},
                                {"CreateCommand", &create_command},
                                {"CreateDataType", &create_type},
                                {"OpenKey", &open_key},
                                {"CloseKey", &close_key},
                                {"ModuleTypeSetValue", &set_value},
                                {"ModuleTypeGetValue", &get_value},
                                {"StringPtrLen", &text_of},
                                {"ReplyWithStringBuffer", &reply_text},
                                {"ReplyWithSimpleString", &reply_simple},
                                {"ReplyWithNull", &reply_null},
                                {"ReplicateVerbatim", &replicate},
                                {"NotifyKeyspaceEvent", &notify},
                                {"SaveStringBuffer", &save_text},
                                {"LoadStringBuffer", &load_text},
                                {"SaveUnsigned", &save_unsigned},
                                {"LoadUnsigned", &load_unsigned},
                                {"SaveDouble", &save_double},
                                {"LoadDouble", &load_double},
                                {"Free", &release}};
  for (const Function& function : functions) {
    char name[64] = "RedisModule_";
    std::strcat(name, function.name);
    if (find(name, function.at) != ok) return wrong;
  }
  set_attributes(context, "ferry", 1, 1);
  static TypeMethods methods = {2,       load,      save,     nullptr,  nullptr,
                                nullptr, std::free, load_aux, save_aux, before_and_after_keys};
  ferry_type = create_type(context, "ferrytype", 0, &methods);
  if (ferry_type == nullptr) return wrong;
  if (create_command(context, "ferry.set", set, "write deny-oom", 1, 1, 1) != ok) return wrong;
  return create_command(context, "ferry.get", get, "readonly", 1, 1, 1);
}
