// Doors of CgroupKernel (src/kernel/kernel.ts).

#include "../kernel/cgroup.h"

#include <napi.h>

#include <memory>
#include <vector>

#include "../kernel/device_filter.h"
#include "../kernel/oom_score.h"
#include "translate.h"

namespace berth::binding {

namespace {

Napi::Value CgroupMountDoor(const Napi::CallbackInfo& info) {
  auto mount = std::make_shared<std::string>();
  return Run(
      info.Env(), Where::kPool, [mount] { return FindCgroupMount(mount.get()); },
      [mount](Napi::Env env) -> Napi::Value { return Napi::String::New(env, *mount); });
}

Napi::Value CreateCgroupDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kPool, [path] { return CreateCgroup(path); });
}

Napi::Value WriteCgroupDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  std::string file = StringArgument(info, 1);
  std::string value = StringArgument(info, 2);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  // memory.max and cgroup.freeze may take their time: reclaim happens within the write.
  return Run(info.Env(), Where::kThread, [path, file, value] { return WriteCgroup(path, file, value); });
}

struct Reading {
  bool found = false;
  std::string content;
};

Napi::Value ReadCgroupDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  std::string file = StringArgument(info, 1);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto reading = std::make_shared<Reading>();
  return Run(
      info.Env(), Where::kPool,
      [path, file, reading] { return ReadCgroup(path, file, &reading->found, &reading->content); },
      [reading](Napi::Env env) -> Napi::Value {
        if (!reading->found) return env.Null();
        return Napi::String::New(env, reading->content);
      });
}

/// `work` is KillCgroup or DestroyCgroup: the two calls on one thread, which would show in every removal.
Napi::Value EmptyCgroup(const Napi::CallbackInfo& info, decltype(KillCgroup)* work) {
  std::string path = StringArgument(info, 0);
  int timeout_ms = static_cast<int>(NumberArgument(info, 1));
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto empty = std::make_shared<bool>(false);
  return Run(
      info.Env(), Where::kThread,
      [work, path, timeout_ms, empty] { return work(path, timeout_ms, empty.get()); },
      [empty](Napi::Env env) -> Napi::Value { return Napi::Boolean::New(env, *empty); });
}

Napi::Value KillCgroupDoor(const Napi::CallbackInfo& info) { return EmptyCgroup(info, KillCgroup); }

Napi::Value DestroyCgroupDoor(const Napi::CallbackInfo& info) { return EmptyCgroup(info, DestroyCgroup); }

/// Four numbers a rule: type (a character), major, minor (-1 is any), access.
Napi::Value AttachDeviceFilterDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  Napi::Int32Array numbers = info[1].As<Napi::Int32Array>();
  std::vector<DeviceRule> rules;
  for (size_t i = 0; i + 4 <= numbers.ElementLength(); i += 4) {
    uint32_t access = static_cast<uint32_t>(numbers[i + 3]);
    rules.push_back({static_cast<char>(numbers[i]), numbers[i + 1], numbers[i + 2], access});
  }
  return Run(info.Env(), Where::kPool, [path, rules] { return AttachDeviceFilter(path, rules); });
}

/// (path, value, clamp)
Napi::Value SetOomScoreDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  int value = static_cast<int>(NumberArgument(info, 1));
  bool clamp = info[2].ToBoolean().Value();
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path, value, clamp] { return SetOomScore(path, value, clamp); });
}

}  // namespace

void RegisterCgroup(Napi::Env env, Napi::Object exports) {
  exports.Set("cgroupMount", Napi::Function::New(env, CgroupMountDoor));
  exports.Set("createCgroup", Napi::Function::New(env, CreateCgroupDoor));
  exports.Set("writeCgroup", Napi::Function::New(env, WriteCgroupDoor));
  exports.Set("readCgroup", Napi::Function::New(env, ReadCgroupDoor));
  exports.Set("attachDeviceFilter", Napi::Function::New(env, AttachDeviceFilterDoor));
  exports.Set("killCgroup", Napi::Function::New(env, KillCgroupDoor));
  exports.Set("setOomScore", Napi::Function::New(env, SetOomScoreDoor));
  exports.Set("destroyCgroup", Napi::Function::New(env, DestroyCgroupDoor));
}

}  // namespace berth::binding
