// A module that does nothing but be there. Redis 7.0 redismodule.h: the context begins with the
// function that gives out all others, which modules ask for by name.
int RedisModule_OnLoad(void* context, void** args, int count) {
  typedef int (*GetApi)(const char* name, void* where);
  typedef void (*SetAttributes)(void* context, const char* name, int version, int api_version);
  const GetApi get_api = *(GetApi*)context;
  SetAttributes set_attributes = 0;
  (void)args;
  (void)count;
  if (get_api("RedisModule_SetModuleAttribs", &set_attributes) != 0) return 1;
  set_attributes(context, "emptytest", 1, 1);
  return 0;
}
