// Doors of NetnsKernel (src/kernel/kernel.ts).

#include "../kernel/netns.h"

#include <napi.h>

#include <memory>

#include "translate.h"

namespace berth::binding {

namespace {

Napi::Value CreateNetnsDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path] { return CreateNetns(path); });
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

}  // namespace

void RegisterNetns(Napi::Env env, Napi::Object exports) {
  exports.Set("createNetns", Napi::Function::New(env, CreateNetnsDoor));
  exports.Set("removeNetns", Napi::Function::New(env, RemoveNetnsDoor));
  exports.Set("listNetns", Napi::Function::New(env, ListNetnsDoor));
}

}  // namespace berth::binding
