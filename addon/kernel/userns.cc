#include "userns.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "fd_info.h"

namespace berth {

namespace {

/// The number that /proc knows the process by: the caller may be in another PID namespace than that.
Result PidInProc(int pidfd, int* pid) {
  char text[512];
  Result result = ReadFdInfo(pidfd, text);
  if (!result.ok()) return result;
  const char* line = strstr(text, "\nPid:");
  bool found = line != nullptr && sscanf(line, "\nPid: %d", pid) == 1 && *pid > 0;
  return found ? Result::success() : Result::failure("read fdinfo", ESRCH, "Pid");
}

Result WriteMap(int pid, const char* file, const char* map) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  Fd target(open(path, O_WRONLY | O_CLOEXEC));
  if (!target.valid()) return Result::last("open", path);
  ssize_t length = static_cast<ssize_t>(strlen(map));
  if (write(target.get(), map, static_cast<size_t>(length)) == length) return Result::success();
  return Result::last("write", file);
}

struct InsideCall {
  int userns;
  Result (*body)(void*);
  void* argument;
  Result result;
};

int InsideBody(void* argument) {
  InsideCall& call = *static_cast<InsideCall*>(argument);
  call.result = setns(call.userns, CLONE_NEWUSER) == 0 ? call.body(call.argument)
                                                       : Result::last("setns user namespace");
  return 0;
}

}  // namespace

Result MakeUserNamespace(const char* uid_map, const char* gid_map, Fd* userns) {
  CloneRequest request;
  request.flags = CLONE_NEWUSER;
  request.exit_signal = 0;
  IdleProcess idle;
  Result result = CloneIdle(request, &idle);
  if (!result.ok()) return result;
  int pid = -1;
  result = PidInProc(idle.pidfd.get(), &pid);
  if (result.ok()) result = WriteMap(pid, "uid_map", uid_map);
  if (result.ok()) result = WriteMap(pid, "gid_map", gid_map);
  if (!result.ok()) return result;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  userns->reset(open(path, O_RDONLY | O_CLOEXEC));
  return userns->valid() ? Result::success() : Result::last("open", path);
}

Result OwningUserNamespace(const char* path, Fd* userns) {
  Fd owned(open(path, O_RDONLY | O_CLOEXEC));
  if (!owned.valid()) return Result::last("open", path);
  userns->reset(ioctl(owned.get(), NS_GET_USERNS));
  if (!userns->valid()) return Result::last("owner of namespace", path);
  return fcntl(userns->get(), F_SETFD, FD_CLOEXEC) == 0 ? Result::success() : Result::last("fcntl");
}

Result BecomeRoot() {
  if (syscall(SYS_setgroups, 0, nullptr) != 0) return Result::last("setgroups");
  if (syscall(SYS_setresgid, 0, 0, 0) != 0) return Result::last("setresgid");
  if (syscall(SYS_setresuid, 0, 0, 0) != 0) return Result::last("setresuid");
  return Result::success();
}

Result RunInUserNamespace(int userns, Result (*body)(void*), void* argument) {
  InsideCall call{userns, body, argument, {}};
  CloneRequest request;
  request.flags = CLONE_FILES;
  CloneOutcome outcome;
  // A change of credentials takes the right to be dumped from the memory, which is the caller's too.
  int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  Result result = CloneVfork(request, InsideBody, &call, &outcome);
  if (!result.ok()) return result;
  Fd pidfd(outcome.pidfd);
  if (dumpable == 1) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  while (waitpid(outcome.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return call.result;
}

Result MapTreeIds(int tree, int userns) {
  mount_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(userns);
  if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0) return Result::success();
  int error = errno;
  struct statfs facts;
  if (fstatfs(tree, &facts) != 0) return Result::failure("map ids", error);
  char filesystem[64];
  snprintf(filesystem, sizeof filesystem, "fs:0x%lx", static_cast<unsigned long>(facts.f_type));
  return Result::failure("map ids", error, filesystem);
}

}  // namespace berth
