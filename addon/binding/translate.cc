#include "translate.h"

#include <cstring>
#include <memory>
#include <thread>

namespace berth::binding {

std::string ErrnoName(int error) {
  const char* name = strerrorname_np(error);
  return name != nullptr ? name : "E" + std::to_string(error);
}

Napi::Error ToError(Napi::Env env, const Result& result) {
  return ToError(env, result.step, result.error, result.path);
}

Napi::Error ToError(Napi::Env env, const std::string& step, int error_number, const std::string& path) {
  std::string errno_name = ErrnoName(error_number);
  std::string object = path.empty() ? "" : " \"" + path + "\"";
  Napi::Error error = Napi::Error::New(env, step + object + ": " + errno_name);
  error.Set("step", Napi::String::New(env, step));
  error.Set("errno", Napi::String::New(env, errno_name));
  error.Set("path", Napi::String::New(env, path));
  return error;
}

std::string StringArgument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsString()) {
    Napi::TypeError::New(info.Env(), "argument " + std::to_string(index) + " must be a string")
        .ThrowAsJavaScriptException();
    return "";
  }
  return info[index].As<Napi::String>().Utf8Value();
}

double NumberArgument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) {
    Napi::TypeError::New(info.Env(), "argument " + std::to_string(index) + " must be a number")
        .ThrowAsJavaScriptException();
    return 0;
  }
  return info[index].As<Napi::Number>().DoubleValue();
}

namespace {

struct Pending {
  Napi::Promise::Deferred deferred;
  std::function<Result()> work;
  std::function<Napi::Value(Napi::Env)> value;
  Result result;

  explicit Pending(Napi::Env env) : deferred(env) {}

  void Settle(Napi::Env env) {
    if (!result.ok()) {
      deferred.Reject(ToError(env, result).Value());
      return;
    }
    Napi::Value settled = value ? value(env) : env.Undefined();
    if (env.IsExceptionPending()) {
      deferred.Reject(env.GetAndClearPendingException().Value());
    } else {
      deferred.Resolve(settled);
    }
  }
};

class PoolWorker : public Napi::AsyncWorker {
 public:
  PoolWorker(Napi::Env env, std::unique_ptr<Pending> pending)
      : Napi::AsyncWorker(env, "berth"), pending_(std::move(pending)) {}
  void Execute() override { pending_->result = pending_->work(); }
  void OnOK() override {
    Napi::HandleScope scope(Env());
    pending_->Settle(Env());
  }

 private:
  std::unique_ptr<Pending> pending_;
};

/// The way back to an environment's thread. One for all calls: to make one costs more than many a call.
struct WayBack {
  Napi::ThreadSafeFunction function;
  size_t pending = 0;  // calls that keep the event loop alive
};

WayBack& WayBackOf(Napi::Env env) {
  auto* back = env.GetInstanceData<WayBack>();
  if (back == nullptr) {
    back = new WayBack{Napi::ThreadSafeFunction::New(env, Napi::Function(), "berth", 0, 1)};
    back->function.Unref(env);
    env.SetInstanceData(back);
  }
  return *back;
}

void SettleFromThread(Napi::Env env, Napi::Function, Pending* pending) {
  std::unique_ptr<Pending> owned(pending);
  if (env == nullptr) return;
  owned->Settle(env);
  WayBack& back = WayBackOf(env);
  if (--back.pending == 0) back.function.Unref(env);
}

/// To be followed by one SettleLater.
Napi::ThreadSafeFunction BeginCall(Napi::Env env) {
  WayBack& back = WayBackOf(env);
  if (back.pending++ == 0) back.function.Ref(env);
  back.function.Acquire();
  return back.function;
}

/// From any thread. A queued call is settled, or freed, by SettleFromThread. One that is refused, as the
/// environment is closing, has already taken the call's reference with it.
void SettleLater(Napi::ThreadSafeFunction back, Pending* pending) {
  if (back.BlockingCall(pending, SettleFromThread) == napi_ok) {
    back.Release();
  } else {
    delete pending;
  }
}

}  // namespace

Napi::Promise Run(Napi::Env env, Where where, std::function<Result()> work,
                  std::function<Napi::Value(Napi::Env)> value) {
  auto pending = std::make_unique<Pending>(env);
  pending->work = std::move(work);
  pending->value = std::move(value);
  Napi::Promise promise = pending->deferred.Promise();
  if (where == Where::kPool) {
    (new PoolWorker(env, std::move(pending)))->Queue();
    return promise;
  }
  auto back = BeginCall(env);
  std::thread([back, raw = pending.release()] {
    raw->result = raw->work();
    SettleLater(back, raw);
  }).detach();
  return promise;
}

Napi::Promise Await(Napi::Env env, const std::function<void(std::function<void(Result)>)>& start) {
  auto pending = std::make_unique<Pending>(env);
  Napi::Promise promise = pending->deferred.Promise();
  auto back = BeginCall(env);
  start([back, raw = pending.release()](Result result) {
    raw->result = std::move(result);
    SettleLater(back, raw);
  });
  return promise;
}

}  // namespace berth::binding
