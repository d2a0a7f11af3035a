// layerOpen(path, maxBytes, maxEntries, blobFile, recordFile, name, size, mtime, form): handle; "" for none:
//   with a name the stream is no archive but the bytes of that file; the form is "directory" or "erofs"
// layerResumeAt(handle): Promise<number>, when the blob file has been replayed
// layerWrite(handle, chunk, from): how many bytes of the chunk from there on were taken
// layerRoom(handle): Promise<void>, when there is room for more
// layerFinish(handle): Promise<{blobDigest, diffId, blobBytes, unpackedBytes, entries, lost}>
// layerAbort(handle): Promise<void>, when the threads have ended

#include <napi.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "../kernel/pipeline.h"
#include "translate.h"

namespace berth::binding {

namespace {

/// Stops the threads when JavaScript and every call under way have let go.
struct LayerHandle {
  explicit LayerHandle(std::shared_ptr<Pipeline> started) : pipeline(std::move(started)) {}
  ~LayerHandle() { pipeline->Abort(); }
  LayerHandle(const LayerHandle&) = delete;
  LayerHandle& operator=(const LayerHandle&) = delete;

  const std::shared_ptr<Pipeline> pipeline;
};

using SharedHandle = std::shared_ptr<LayerHandle>;

SharedHandle HandleArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) {
    Napi::TypeError::New(info.Env(), "argument 0 must be a layer's handle").ThrowAsJavaScriptException();
    return nullptr;
  }
  return *info[0].As<Napi::External<SharedHandle>>().Data();
}

Napi::Value LayerOpen(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  UnpackRequest request;
  request.path = StringArgument(info, 0);
  request.limits.max_bytes = static_cast<uint64_t>(NumberArgument(info, 1));
  request.limits.max_entries = static_cast<uint64_t>(NumberArgument(info, 2));
  request.blob_file = StringArgument(info, 3);
  request.record_file = StringArgument(info, 4);
  request.file.name = StringArgument(info, 5);
  request.file.size = static_cast<uint64_t>(NumberArgument(info, 6));
  request.file.mtime = static_cast<int64_t>(NumberArgument(info, 7));
  std::string form = StringArgument(info, 8);
  if (!env.IsExceptionPending() && form != "directory" && form != "erofs")
    Napi::TypeError::New(env, "argument 8 must be a layer's form").ThrowAsJavaScriptException();
  request.form = form == "erofs" ? LayerForm::kErofs : LayerForm::kDirectory;
  if (env.IsExceptionPending()) return env.Undefined();
  auto pipeline = std::make_shared<Pipeline>(std::move(request));
  Result result = pipeline->Start();
  if (!result.ok()) {
    ToError(env, result).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto* handle = new SharedHandle(std::make_shared<LayerHandle>(std::move(pipeline)));
  // The finalizer runs at the environment's end as well.
  return Napi::External<SharedHandle>::New(env, handle, [](Napi::Env, SharedHandle* old) { delete old; });
}

Napi::Value LayerWrite(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  SharedHandle handle = HandleArgument(info);
  if (handle == nullptr) return env.Undefined();
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    Napi::TypeError::New(env, "argument 1 must be a Uint8Array").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto chunk = info[1].As<Napi::Uint8Array>();
  double from = NumberArgument(info, 2);
  if (env.IsExceptionPending()) return env.Undefined();
  size_t at = from <= 0 ? 0 : std::min(static_cast<size_t>(from), chunk.ElementLength());
  size_t taken = 0;
  Result result = handle->pipeline->Write(chunk.Data() + at, chunk.ElementLength() - at, &taken);
  if (!result.ok()) {
    ToError(env, result).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Number::New(env, static_cast<double>(taken));
}

Napi::Value LayerRoom(const Napi::CallbackInfo& info) {
  SharedHandle handle = HandleArgument(info);
  if (handle == nullptr) return info.Env().Undefined();
  // The closure keeps the handle, and with it the pipeline, until it is called.
  return Await(info.Env(), [handle](std::function<void(Result)> done) {
    handle->pipeline->WhenRoom([handle, done = std::move(done)](Result result) { done(std::move(result)); });
  });
}

Napi::Value LayerResumeAt(const Napi::CallbackInfo& info) {
  SharedHandle handle = HandleArgument(info);
  if (handle == nullptr) return info.Env().Undefined();
  auto offset = std::make_shared<uint64_t>(0);
  return Run(
      info.Env(), Where::kThread, [handle, offset] { return handle->pipeline->ResumeAt(offset.get()); },
      [offset](Napi::Env env) -> Napi::Value {
        return Napi::Number::New(env, static_cast<double>(*offset));
      });
}

Napi::Value LayerFinish(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  SharedHandle handle = HandleArgument(info);
  if (handle == nullptr) return env.Undefined();
  auto outcome = std::make_shared<UnpackOutcome>();
  return Run(
      env, Where::kThread, [handle, outcome] { return handle->pipeline->Finish(outcome.get()); },
      [handle, outcome](Napi::Env env) -> Napi::Value {
        handle->pipeline->Release();
        Napi::Object object = Napi::Object::New(env);
        object.Set("blobDigest", outcome->blob_digest);
        object.Set("diffId", outcome->diff_id);
        object.Set("blobBytes", static_cast<double>(outcome->blob_bytes));
        object.Set("unpackedBytes", static_cast<double>(outcome->unpacked_bytes));
        object.Set("entries", static_cast<double>(outcome->entries));
        object.Set("lost", outcome->lost);
        return object;
      });
}

Napi::Value LayerAbort(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  SharedHandle handle = HandleArgument(info);
  if (handle == nullptr) return env.Undefined();
  handle->pipeline->Abort();
  return Run(
      env, Where::kThread,
      [handle] {
        handle->pipeline->Join();
        return Result::success();
      },
      [handle](Napi::Env env) -> Napi::Value {
        handle->pipeline->Release();
        return env.Undefined();
      });
}

}  // namespace

void RegisterLayer(Napi::Env env, Napi::Object exports) {
  exports.Set("layerOpen", Napi::Function::New(env, LayerOpen));
  exports.Set("layerResumeAt", Napi::Function::New(env, LayerResumeAt));
  exports.Set("layerWrite", Napi::Function::New(env, LayerWrite));
  exports.Set("layerRoom", Napi::Function::New(env, LayerRoom));
  exports.Set("layerFinish", Napi::Function::New(env, LayerFinish));
  exports.Set("layerAbort", Napi::Function::New(env, LayerAbort));
}

}  // namespace berth::binding
