// hostFacts(), probeUserNamespaces(directory), releaseMemory(): HostKernel of src/kernel/kernel.ts.

#include <fcntl.h>
#include <linux/capability.h>
#include <malloc.h>
#include <napi.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "../kernel/cgroup.h"
#include "../kernel/device_filter.h"
#include "../kernel/fd.h"
#include "../kernel/userns.h"
#include "translate.h"

namespace berth::binding {

namespace {

/// What is more than this is as good as no limit, and is a number of JavaScript.
constexpr rlim_t kNofileMost = rlim_t{1} << 31;

struct Facts {
  std::string kernel_release;
  std::string boot_id;
  std::string controllers;
  bool cap_sys_resource = false;
  double nofile_hard = 0;
  int last_capability = 0;
  bool apparmor = false;
  bool selinux = false;
  bool device_filter = false;
};

/// The first word of a file of /proc or /sys.
Result ReadWord(const char* path, std::string* word) {
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Result::last("open", path);
  char text[256];
  ssize_t size = read(file.get(), text, sizeof text);
  if (size < 0) return Result::last("read", path);
  std::istringstream(std::string(text, static_cast<size_t>(size))) >> *word;
  return Result::success();
}

Result HasSysResource(bool* has) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return Result::last("capget");
  *has = (data[0].effective & (1U << CAP_SYS_RESOURCE)) != 0;
  return Result::success();
}

Result GatherFacts(Facts* facts) {
  utsname names;
  if (uname(&names) != 0) return Result::last("uname");
  facts->kernel_release = names.release;
  Result result = ReadWord("/proc/sys/kernel/random/boot_id", &facts->boot_id);
  std::string word;
  if (result.ok()) result = ReadWord("/proc/sys/kernel/cap_last_cap", &word);
  facts->last_capability = atoi(word.c_str());
  std::string mount;
  bool found = false;
  if (result.ok()) result = FindCgroupMount(&mount);
  if (result.ok()) result = ReadCgroup(mount, "cgroup.controllers", &found, &facts->controllers);
  if (result.ok() && !found) result = Result::failure("read cgroup.controllers", ENOENT, mount.c_str());
  if (result.ok()) result = HasSysResource(&facts->cap_sys_resource);
  if (!result.ok()) return result;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return Result::last("getrlimit", "RLIMIT_NOFILE");
  if (facts->cap_sys_resource) {
    // What the daemon was started with does not matter then: it may raise the limit up to this.
    result = ReadWord("/proc/sys/fs/nr_open", &word);
    if (!result.ok()) return result;
    limit.rlim_max = strtoull(word.c_str(), nullptr, 10);
  }
  facts->nofile_hard = static_cast<double>(std::min(limit.rlim_max, kNofileMost));
  // A kernel without these modules has no such files.
  std::string enabled;
  facts->apparmor = ReadWord("/sys/module/apparmor/parameters/enabled", &enabled).ok() && enabled == "Y";
  facts->device_filter = CanFilterDevices();
  facts->selinux = access("/sys/fs/selinux/enforce", F_OK) == 0;
  return Result::success();
}

Napi::Value FactsValue(Napi::Env env, const Facts& facts) {
  Napi::Array controllers = Napi::Array::New(env);
  std::istringstream words(facts.controllers);
  uint32_t count = 0;
  for (std::string word; words >> word;) controllers.Set(count++, Napi::String::New(env, word));
  Napi::Object object = Napi::Object::New(env);
  object.Set("kernelRelease", Napi::String::New(env, facts.kernel_release));
  object.Set("bootId", Napi::String::New(env, facts.boot_id));
  object.Set("cgroupControllers", controllers);
  object.Set("capSysResource", Napi::Boolean::New(env, facts.cap_sys_resource));
  object.Set("nofileHard", Napi::Number::New(env, facts.nofile_hard));
  object.Set("lastCapability", Napi::Number::New(env, facts.last_capability));
  object.Set("apparmor", Napi::Boolean::New(env, facts.apparmor));
  object.Set("deviceFilter", Napi::Boolean::New(env, facts.device_filter));
  object.Set("selinux", Napi::Boolean::New(env, facts.selinux));
  return object;
}

Napi::Value HostFactsDoor(const Napi::CallbackInfo& info) {
  auto facts = std::make_shared<Facts>();
  return Run(
      info.Env(), Where::kPool, [facts] { return GatherFacts(facts.get()); },
      [facts](Napi::Env env) { return FactsValue(env, *facts); });
}

/// One mapping of one id each is enough to know.
Result ProbeUserNamespaces(const std::string& directory) {
  constexpr const char* kMap = "0 65536 1";
  Fd userns;
  Result result = MakeUserNamespace(kMap, kMap, &userns);
  if (!result.ok()) return result;
  Fd tree(open_tree(AT_FDCWD, directory.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return Result::last("open_tree", directory.c_str());
  return MapTreeIds(tree.get(), userns.get());
}

Napi::Value ProbeUserNamespacesDoor(const Napi::CallbackInfo& info) {
  std::string directory = StringArgument(info, 0);
  if (info.Env().IsExceptionPending()) return info.Env().Undefined();
  return Run(info.Env(), Where::kThread, [directory] { return ProbeUserNamespaces(directory); });
}

/// On the pool: it walks the whole heap.
Napi::Value ReleaseMemoryDoor(const Napi::CallbackInfo& info) {
  return Run(info.Env(), Where::kPool, [] {
    malloc_trim(0);
    return Result::success();
  });
}

}  // namespace

void RegisterHost(Napi::Env env, Napi::Object exports) {
  exports.Set("hostFacts", Napi::Function::New(env, HostFactsDoor));
  exports.Set("releaseMemory", Napi::Function::New(env, ReleaseMemoryDoor));
  exports.Set("probeUserNamespaces", Napi::Function::New(env, ProbeUserNamespacesDoor));
}

}  // namespace berth::binding
