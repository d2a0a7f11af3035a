// The only marshalling between JavaScript and the C++ of addon/kernel.
// N-API is built without C++ exceptions; a failed conversion leaves a pending JavaScript exception.
#pragma once

#include <napi.h>

#include <functional>
#include <string>

#include "../kernel/result.h"

namespace berth::binding {

/// {step, errno, path} as a JavaScript Error; src/kernel/binding.ts makes a KernelError of it.
Napi::Error ToError(Napi::Env env, const Result& result);

/// The same for a step that is no literal.
Napi::Error ToError(Napi::Env env, const std::string& step, int error_number, const std::string& path);

/// Symbolic name of an errno: "ENOENT". Unknown numbers give "E<number>".
std::string ErrnoName(int error);

/// Positional arguments, already checked by TypeScript; asserted again here.
std::string StringArgument(const Napi::CallbackInfo& info, size_t index);
double NumberArgument(const Napi::CallbackInfo& info, size_t index);

enum class Where {
  kPool,    // libuv's pool: short calls that touch local disks only
  kThread,  // a fresh thread that ends afterwards: namespaces, or calls that may hang
};

/// Runs `work` off the event loop and settles a promise: with `value(env)` when it succeeded, else with
/// ToError. `value` may throw into `env` instead, which rejects. Both closures own what they capture; `work`
/// must not touch N-API.
Napi::Promise Run(Napi::Env env, Where where, std::function<Result()> work,
                  std::function<Napi::Value(Napi::Env)> value = nullptr);

/// For work that ends elsewhere: `start` is called at once and gets `done`, which is to be called exactly
/// once, on any thread; that settles the promise as with Run.
Napi::Promise Await(Napi::Env env, const std::function<void(std::function<void(Result)> done)>& start);

}  // namespace berth::binding
