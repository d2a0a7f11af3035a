// The addon's table of contents: one registration per door.

#include <malloc.h>
#include <napi.h>

namespace berth::binding {

void RegisterProcess(Napi::Env env, Napi::Object exports);
void RegisterCgroup(Napi::Env env, Napi::Object exports);
void RegisterHost(Napi::Env env, Napi::Object exports);
void RegisterNetns(Napi::Env env, Napi::Object exports);
void RegisterLayer(Napi::Env env, Napi::Object exports);
void RegisterRecord(Napi::Env env, Napi::Object exports);
void RegisterRootfs(Napi::Env env, Napi::Object exports);
void RegisterSeccomp(Napi::Env env, Napi::Object exports);
void RegisterStats(Napi::Env env, Napi::Object exports);

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  // Many short threads, which allocate little: with an arena for each the daemon keeps what they have freed.
  mallopt(M_ARENA_MAX, 2);
  RegisterProcess(env, exports);
  RegisterCgroup(env, exports);
  RegisterHost(env, exports);
  RegisterNetns(env, exports);
  RegisterLayer(env, exports);
  RegisterRecord(env, exports);
  RegisterRootfs(env, exports);
  RegisterSeccomp(env, exports);
  RegisterStats(env, exports);
  return exports;
}

NODE_API_MODULE(berth, Init)

}  // namespace berth::binding
