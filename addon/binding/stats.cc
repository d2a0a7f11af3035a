// Doors of StatsKernel (src/kernel/kernel.ts).
// readStats(paths, depths): Promise<{numbers: Float64Array, io: string[], hugepages: string[]}>
// readProcesses(cgroup): Promise<{pid, stat, status, cmdline}[]>, the latter three Buffers
// readNetworkDevices(pids, startTimes): Promise<string[]>

#include "../kernel/stats.h"

#include <napi.h>

#include <algorithm>
#include <memory>

#include "translate.h"

namespace berth::binding {

namespace {

/// Of two arguments that are arrays of one length; throws otherwise.
bool TwoArrays(const Napi::CallbackInfo& info) {
  bool right = info[0].IsArray() && info[1].IsArray() &&
               info[0].As<Napi::Array>().Length() == info[1].As<Napi::Array>().Length();
  if (!right) Napi::TypeError::New(info.Env(), "two arrays of one length").ThrowAsJavaScriptException();
  return right;
}

Napi::Array Strings(Napi::Env env, const std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env, texts.size());
  for (uint32_t i = 0; i < texts.size(); i++) array.Set(i, Napi::String::New(env, texts[i]));
  return array;
}

struct Sweep {
  std::vector<StatsWish> wishes;
  StatsReading reading;
};

Napi::Value ReadStatsDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!TwoArrays(info)) return env.Undefined();
  auto paths = info[0].As<Napi::Array>();
  auto depths = info[1].As<Napi::Array>();
  auto sweep = std::make_shared<Sweep>();
  for (uint32_t i = 0; i < paths.Length(); i++) {
    uint32_t depth = Napi::Value(depths.Get(i)).ToNumber().Uint32Value();
    sweep->wishes.push_back({Napi::Value(paths.Get(i)).ToString().Utf8Value(),
                             static_cast<StatsDepth>(std::min(depth, 2U))});
  }
  if (env.IsExceptionPending()) return env.Undefined();
  return Run(
      env, Where::kThread, [sweep] { return ReadStats(sweep->wishes, &sweep->reading); },
      [sweep](Napi::Env env) -> Napi::Value {
        const StatsReading& reading = sweep->reading;
        auto numbers = Napi::Float64Array::New(env, reading.numbers.size());
        std::copy(reading.numbers.begin(), reading.numbers.end(), numbers.Data());
        Napi::Object answer = Napi::Object::New(env);
        answer.Set("numbers", numbers);
        answer.Set("io", Strings(env, reading.io));
        answer.Set("hugepages", Strings(env, reading.hugepages));
        return answer;
      });
}

struct Processes {
  std::vector<std::pair<pid_t, uint64_t>> wanted;
  std::vector<std::string> found;
};

Napi::Value ReadNetworkDevicesDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!TwoArrays(info)) return env.Undefined();
  auto pids = info[0].As<Napi::Array>();
  auto starts = info[1].As<Napi::Array>();
  auto processes = std::make_shared<Processes>();
  for (uint32_t i = 0; i < pids.Length(); i++) {
    processes->wanted.emplace_back(
        Napi::Value(pids.Get(i)).ToNumber().Int32Value(),
        static_cast<uint64_t>(Napi::Value(starts.Get(i)).ToNumber().DoubleValue()));
  }
  if (env.IsExceptionPending()) return env.Undefined();
  return Run(
      env, Where::kThread,
      [processes] {
        for (auto [pid, start] : processes->wanted) {
          processes->found.push_back(ReadNetworkDevices(pid, start));
        }
        return Result::success();
      },
      [processes](Napi::Env env) -> Napi::Value { return Strings(env, processes->found); });
}

Napi::Value ReadProcessesDoor(const Napi::CallbackInfo& info) {
  std::string cgroup = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto processes = std::make_shared<std::vector<ProcessText>>();
  return Run(
      info.Env(), Where::kThread, [cgroup, processes] { return ReadProcesses(cgroup, processes.get()); },
      [processes](Napi::Env env) -> Napi::Value {
        Napi::Array array = Napi::Array::New(env, processes->size());
        for (uint32_t i = 0; i < processes->size(); i++) {
          const ProcessText& process = (*processes)[i];
          Napi::Object object = Napi::Object::New(env);
          object.Set("pid", Napi::Number::New(env, process.pid));
          object.Set("stat", Napi::Buffer<char>::Copy(env, process.stat.data(), process.stat.size()));
          object.Set("status", Napi::Buffer<char>::Copy(env, process.status.data(), process.status.size()));
          object.Set("cmdline",
                     Napi::Buffer<char>::Copy(env, process.cmdline.data(), process.cmdline.size()));
          array.Set(i, object);
        }
        return array;
      });
}

}  // namespace

void RegisterStats(Napi::Env env, Napi::Object exports) {
  exports.Set("readStats", Napi::Function::New(env, ReadStatsDoor));
  exports.Set("readProcesses", Napi::Function::New(env, ReadProcessesDoor));
  exports.Set("readNetworkDevices", Napi::Function::New(env, ReadNetworkDevicesDoor));
}

}  // namespace berth::binding
