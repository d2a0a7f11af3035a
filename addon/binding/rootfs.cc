// makeSnapshot(path): Promise<void>
// removeTree(path): Promise<void>
// readBeneath(layers, path, maxBytes): Promise<Buffer | null>
// treeUsage(path): Promise<{bytes, inodes}>
// syncFilesystem(path): Promise<void>
// mountLayer(path): Promise<number>, the descriptor of a detached mount
// probeErofs(directory): Promise<void>
// requireDiskRoom(path): Promise<void>
// treeTar(layers): {fd, done: Promise<void>}, the read end of a pipe, and when the writing has ended

#include <fcntl.h>
#include <napi.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "../kernel/disk_room.h"
#include "../kernel/erofs_mount.h"
#include "../kernel/erofs_probe.h"
#include "../kernel/overlay_view.h"
#include "../kernel/relabel.h"
#include "../kernel/snapshot.h"
#include "../kernel/tree.h"
#include "../kernel/tree_tar.h"
#include "translate.h"

namespace berth::binding {

namespace {

constexpr int kPipeBytes = 1 << 20;

Napi::Value MakeSnapshotDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kPool, [path] { return MakeSnapshot(path); });
}

Napi::Value RequireDiskRoomDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kPool, [path] { return RequireDiskRoom(path); });
}

// The others on threads of their own: a large tree or a sync takes seconds, and the pool has four threads.

Napi::Value RemoveTreeDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path] { return RemoveTree(path); });
}

Napi::Value SyncFilesystemDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path] { return SyncFilesystem(path); });
}

Napi::Value TreeUsageDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto usage = std::make_shared<TreeUsage>();
  return Run(
      info.Env(), Where::kThread, [path, usage] { return MeasureTree(path, usage.get()); },
      [usage](Napi::Env env) -> Napi::Value {
        Napi::Object object = Napi::Object::New(env);
        object.Set("bytes", static_cast<double>(usage->bytes));
        object.Set("inodes", static_cast<double>(usage->inodes));
        return object;
      });
}

/// Argument 0, an array of paths. False with an exception pending when it is none.
bool LayersArgument(const Napi::CallbackInfo& info, std::vector<std::string>* layers) {
  Napi::Env env = info.Env();
  bool good = info[0].IsArray();
  for (uint32_t i = 0; good && i < info[0].As<Napi::Array>().Length(); i++) {
    Napi::Value layer = info[0].As<Napi::Array>().Get(i);
    good = layer.IsString();
    if (good) layers->push_back(layer.As<Napi::String>().Utf8Value());
  }
  if (!good) Napi::TypeError::New(env, "argument 0 must be an array of strings").ThrowAsJavaScriptException();
  return good;
}

struct ReadRequest {
  std::vector<std::string> layers;
  std::string path;
  uint64_t max_bytes = 0;
  bool found = false;
  std::string content;
};

Napi::Value ReadBeneathDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto request = std::make_shared<ReadRequest>();
  request->path = StringArgument(info, 1);
  request->max_bytes = static_cast<uint64_t>(NumberArgument(info, 2));
  if (env.IsExceptionPending()) return env.Undefined();
  if (!LayersArgument(info, &request->layers)) return env.Undefined();
  return Run(
      env, Where::kThread,
      [request] {
        ReadRequest& r = *request;
        return ReadBeneath(r.layers, r.path, r.max_bytes, &r.found, &r.content);
      },
      [request](Napi::Env env) -> Napi::Value {
        if (!request->found) return env.Null();
        return Napi::Buffer<char>::Copy(env, request->content.data(), request->content.size());
      });
}

/// On a thread of its own: a volume may be dead.
Napi::Value RelabelDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  std::string label = StringArgument(info, 1);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [path, label] { return Relabel(path, label); });
}

/// The thread reads from the layer's disk.
Napi::Value MountLayerDoor(const Napi::CallbackInfo& info) {
  std::string path = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  auto mount = std::make_shared<Fd>();
  return Run(
      info.Env(), Where::kThread, [path, mount] { return MountErofs(path, mount.get()); },
      [mount](Napi::Env env) -> Napi::Value { return Napi::Number::New(env, mount->release()); });
}

Napi::Value ProbeErofsDoor(const Napi::CallbackInfo& info) {
  std::string directory = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [directory] { return ProbeErofs(directory); });
}

Napi::Value TreeTarDoor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  std::vector<std::string> layers;
  if (!LayersArgument(info, &layers)) return env.Undefined();
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ToError(env, Result::last("pipe2")).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto writer = std::make_shared<Fd>(ends[1]);
  fcntl(ends[0], F_SETPIPE_SZ, kPipeBytes);  // as it is otherwise: only slower
  Napi::Object object = Napi::Object::New(env);
  object.Set("fd", ends[0]);
  object.Set("done", Run(env, Where::kThread, [layers = std::move(layers), writer] {
               return WriteTreeTar(layers, std::move(*writer));
             }));
  return object;
}

}  // namespace

void RegisterRootfs(Napi::Env env, Napi::Object exports) {
  exports.Set("makeSnapshot", Napi::Function::New(env, MakeSnapshotDoor));
  exports.Set("removeTree", Napi::Function::New(env, RemoveTreeDoor));
  exports.Set("readBeneath", Napi::Function::New(env, ReadBeneathDoor));
  exports.Set("mountLayer", Napi::Function::New(env, MountLayerDoor));
  exports.Set("probeErofs", Napi::Function::New(env, ProbeErofsDoor));
  exports.Set("relabel", Napi::Function::New(env, RelabelDoor));
  exports.Set("treeUsage", Napi::Function::New(env, TreeUsageDoor));
  exports.Set("treeTar", Napi::Function::New(env, TreeTarDoor));
  exports.Set("syncFilesystem", Napi::Function::New(env, SyncFilesystemDoor));
  exports.Set("requireDiskRoom", Napi::Function::New(env, RequireDiskRoomDoor));
}

}  // namespace berth::binding
