// Doors of NetnsKernel (src/kernel/kernel.ts).

#include "../kernel/netns.h"

#include <napi.h>

#include <memory>

#include "../kernel/fd.h"
#include "translate.h"

namespace berth::binding {

namespace {

Napi::Value CreateNetnsDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  IdMaps maps;
  if (!info.Env().IsExceptionPending()) maps.uids = StringArgument(info, 1);
  if (!info.Env().IsExceptionPending()) maps.gids = StringArgument(info, 2);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path, maps] { return CreateNetns(path, maps); });
}

Napi::Value RemoveNetnsDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kPool, [path] { return RemoveNetns(path); });
}

Napi::Value ListNetnsDoor(const Napi::CallbackInfo& info) {
  std::string directory = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto paths = std::make_shared<std::vector<std::string>>();
  return Run(
      info.Env(), Where::kPool, [directory, paths] { return ListNetns(directory, paths.get()); },
      [paths](Napi::Env env) -> Napi::Value {
        Napi::Array list = Napi::Array::New(env, paths->size());
        for (uint32_t index = 0; index < paths->size(); index++) {
          list.Set(index, Napi::String::New(env, (*paths)[index]));
        }
        return list;
      });
}

Napi::Value DialLoopbackDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  auto port = static_cast<uint16_t>(NumberArgument(info, 1));
  auto timeout_ms = static_cast<int>(NumberArgument(info, 2));
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto fd = std::make_shared<Fd>();
  return Run(
      info.Env(), Where::kThread,
      [path, port, timeout_ms, fd] {
        int connected = -1;
        Result result = DialLoopback(path, port, timeout_ms, &connected);
        fd->reset(connected);
        return result;
      },
      // From here on it is the socket's that JavaScript makes of it.
      [fd](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, fd->release()); });
}

}  // namespace

void RegisterNetns(Napi::Env env, Napi::Object exports) {
  exports.Set("createNetns", Napi::Function::New(env, CreateNetnsDoor));
  exports.Set("removeNetns", Napi::Function::New(env, RemoveNetnsDoor));
  exports.Set("listNetns", Napi::Function::New(env, ListNetnsDoor));
  exports.Set("dialLoopback", Napi::Function::New(env, DialLoopbackDoor));
}

}  // namespace berth::binding
