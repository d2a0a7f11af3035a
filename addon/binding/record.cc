// recordSummary(record): Promise<{diffId, unpackedBytes, blobDigest, blobBytes, entries, lost}>
// recordCompare(directory, record, contents): Promise<{diffId, entries, damaged: {path, what}[]}>
// recordReplay(directory, record): handle
// recordRead(handle): Promise<Uint8Array | null>, the next piece of the tar, null at its end
// recordClose(handle): no more reads

#include <napi.h>

#include <memory>
#include <mutex>

#include "../kernel/tar_replay.h"
#include "translate.h"

namespace berth::binding {

namespace {

constexpr size_t kPieceBytes = 1 << 20;

Napi::Object SummaryObject(Napi::Env env, const RecordSummary& summary) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("diffId", summary.diff_id);
  object.Set("unpackedBytes", static_cast<double>(summary.tar_bytes));
  object.Set("blobDigest", summary.blob_digest);
  object.Set("blobBytes", static_cast<double>(summary.blob_bytes));
  object.Set("entries", static_cast<double>(summary.entries));
  object.Set("lost", summary.lost);
  return object;
}

Napi::Value RecordSummaryDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto summary = std::make_shared<RecordSummary>();
  return Run(
      info.Env(), Where::kThread,
      [path, summary] {
        RecordReader reader;
        return reader.Open(path, summary.get());
      },
      [summary](Napi::Env env) -> Napi::Value { return SummaryObject(env, *summary); });
}

Result RunToEnd(LayerReplay* replay) {
  Result result = replay->Open();
  for (bool more = true; result.ok() && more;) result = replay->Step(nullptr, &more);
  return result;
}

Napi::Value RecordCompare(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::string directory = StringArgument(info, 0);
  std::string record = StringArgument(info, 1);
  if (env.IsExceptionPending()) return env.Undefined();
  ReplayMode mode = info[2].ToBoolean() ? ReplayMode::kVerify : ReplayMode::kCheck;
  auto replay = std::make_shared<LayerReplay>(directory, record, mode);
  return Run(
      env, Where::kThread, [replay] { return RunToEnd(replay.get()); },
      [replay](Napi::Env env) -> Napi::Value {
        Napi::Object object = SummaryObject(env, replay->summary());
        if (!replay->diff_id().empty()) object.Set("diffId", replay->diff_id());
        Napi::Array list = Napi::Array::New(env);
        for (const TreeDamage& damage : replay->damage()) {
          Napi::Object item = Napi::Object::New(env);
          item.Set("path", damage.path);
          item.Set("what", damage.what);
          list.Set(list.Length(), item);
        }
        object.Set("damaged", list);
        return object;
      });
}

/// Read by one thread at a time.
struct ReplayHandle {
  std::mutex mutex;
  std::unique_ptr<LayerReplay> replay;
  bool open = false;
  bool more = true;

  Result Read(std::string* piece) {
    std::lock_guard lock(mutex);
    if (replay == nullptr) return Result::failure("read layer", ECANCELED);
    Result result = open ? Result::success() : replay->Open();
    open = result.ok();
    while (result.ok() && more && piece->size() < kPieceBytes) result = replay->Step(piece, &more);
    return result;
  }
};

using SharedReplay = std::shared_ptr<ReplayHandle>;

SharedReplay ReplayArgument(const Napi::CallbackInfo& info) {
  if (!info[0].IsExternal()) {
    Napi::TypeError::New(info.Env(), "argument 0 must be a layer's reader").ThrowAsJavaScriptException();
    return nullptr;
  }
  return *info[0].As<Napi::External<SharedReplay>>().Data();
}

Napi::Value RecordReplay(const Napi::CallbackInfo& info) {
  std::string directory = StringArgument(info, 0);
  std::string record = StringArgument(info, 1);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto* handle = new SharedReplay(std::make_shared<ReplayHandle>());
  (*handle)->replay = std::make_unique<LayerReplay>(directory, record, ReplayMode::kRecreate);
  return Napi::External<SharedReplay>::New(info.Env(), handle,
                                           [](Napi::Env, SharedReplay* old) { delete old; });
}

Napi::Value RecordRead(const Napi::CallbackInfo& info) {
  SharedReplay handle = ReplayArgument(info);
  if (handle == nullptr) return info.Env().Undefined();
  auto piece = std::make_shared<std::string>();
  return Run(
      info.Env(), Where::kThread, [handle, piece] { return handle->Read(piece.get()); },
      [piece](Napi::Env env) -> Napi::Value {
        if (piece->empty()) return env.Null();
        auto* owned = new std::string(std::move(*piece));
        return Napi::Buffer<char>::New(env, owned->data(), owned->size(),
                                       [owned](Napi::Env, char*) { delete owned; });
      });
}

Napi::Value RecordClose(const Napi::CallbackInfo& info) {
  SharedReplay handle = ReplayArgument(info);
  if (handle == nullptr) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [handle] {
    std::lock_guard lock(handle->mutex);
    handle->replay.reset();
    return Result::success();
  });
}

}  // namespace

void RegisterRecord(Napi::Env env, Napi::Object exports) {
  exports.Set("recordSummary", Napi::Function::New(env, RecordSummaryDoor));
  exports.Set("recordCompare", Napi::Function::New(env, RecordCompare));
  exports.Set("recordReplay", Napi::Function::New(env, RecordReplay));
  exports.Set("recordRead", Napi::Function::New(env, RecordRead));
  exports.Set("recordClose", Napi::Function::New(env, RecordClose));
}

}  // namespace berth::binding
