// Doors of ProcessKernel (src/kernel/kernel.ts).

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "../kernel/monitor_launch.h"
#include "../kernel/process.h"
#include "translate.h"

namespace berth::binding {

namespace {

/// The sealed binary. Shared, so that a start that is under way keeps the one it began with.
class MonitorProgram {
 public:
  std::shared_ptr<Fd> get() {
    std::lock_guard<std::mutex> lock(mutex_);
    return program_;
  }
  void set(Fd program) {
    std::lock_guard<std::mutex> lock(mutex_);
    program_ = std::make_shared<Fd>(std::move(program));
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<Fd> program_;
};

MonitorProgram monitor_program;

Napi::Value LoadMonitorDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kPool, [path] {
    Fd program;
    Result result = SealProgram(path, &program);
    if (result.ok()) monitor_program.set(std::move(program));
    return result;
  });
}

struct Spawning {
  MonitorRequest request;
  std::vector<uint8_t> plan;
  MonitorStart start;
};

/// {pid, startTime}, or throws what the monitor refused with: step "plan:<index>", or its primitive when that
/// was no step of the plan.
Napi::Value SpawnedValue(Napi::Env env, const MonitorStart& start) {
  if (start.refused) {
    const InitMessage& refusal = start.refusal;
    bool in_plan = refusal.step_index != kNoStep;
    std::string step = in_plan ? "plan:" + std::to_string(refusal.step_index) : refusal.step;
    ToError(env, step, refusal.error, refusal.path).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Object process = Napi::Object::New(env);
  process.Set("pid", Napi::Number::New(env, start.pid));
  process.Set("startTime", Napi::Number::New(env, static_cast<double>(start.start_time)));
  return process;
}

/// (title, cgroupPath, stateDir, socketPath, plan, timeoutMs)
Napi::Value SpawnMonitorDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto spawning = std::make_shared<Spawning>();
  MonitorRequest& request = spawning->request;
  request.title = StringArgument(info, 0);
  request.cgroup_path = StringArgument(info, 1);
  request.state_dir = StringArgument(info, 2);
  request.socket_path = StringArgument(info, 3);
  request.timeout_ms = static_cast<int>(NumberArgument(info, 5));
  if (env.IsExceptionPending()) return env.Undefined();
  if (!info[4].IsTypedArray() || info[4].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    Napi::TypeError::New(env, "argument 4 must be a Uint8Array").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto plan = info[4].As<Napi::Uint8Array>();
  spawning->plan.assign(plan.Data(), plan.Data() + plan.ElementLength());
  request.plan = spawning->plan.data();
  request.plan_bytes = spawning->plan.size();
  return Run(
      env, Where::kThread,
      [spawning] {
        std::shared_ptr<Fd> program = monitor_program.get();
        // loadMonitor comes first.
        if (program == nullptr) return Result::failure("start monitor", ENOEXEC, "no monitor is loaded");
        return LaunchMonitor(program->get(), spawning->request, &spawning->start);
      },
      [spawning](Napi::Env env) { return SpawnedValue(env, spawning->start); });
}

Napi::Value ProcessStartTimeDoor(const Napi::CallbackInfo& info) {
  double pid = NumberArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  uint64_t start_time = LiveStartTime(static_cast<pid_t>(pid));
  if (start_time == 0) return info.Env().Null();
  return Napi::Number::New(info.Env(), static_cast<double>(start_time));
}

/// (pid, startTime, signal): whether it was there to be signalled.
Napi::Value SignalProcessDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto pid = static_cast<pid_t>(NumberArgument(info, 0));
  auto start_time = static_cast<uint64_t>(NumberArgument(info, 1));
  int signal = static_cast<int>(NumberArgument(info, 2));
  if (env.IsExceptionPending()) return env.Undefined();
  bool sent = false;
  Result result = SignalProcess(pid, start_time, signal, &sent);
  if (!result.ok()) {
    ToError(env, result).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Boolean::New(env, sent);
}

}  // namespace

void RegisterProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("loadMonitor", Napi::Function::New(env, LoadMonitorDoor));
  exports.Set("spawnMonitor", Napi::Function::New(env, SpawnMonitorDoor));
  exports.Set("processStartTime", Napi::Function::New(env, ProcessStartTimeDoor));
  exports.Set("signalProcess", Napi::Function::New(env, SignalProcessDoor));
}

}  // namespace berth::binding
