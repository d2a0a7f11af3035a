// Steps about trees of the host: volumes, and the pod's /dev/shm.

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../kernel/fd.h"
#include "../kernel/mount_info.h"
#include "../kernel/rooted.h"
#include "../kernel/userns.h"
#include "init.h"
#include "mounts.h"

#ifndef MOVE_MOUNT_SET_GROUP
#define MOVE_MOUNT_SET_GROUP 0x00000100  // since Linux 5.15
#endif

namespace berth {

namespace {

bool IsProc(int fd) {
  struct statfs facts;
  return fstatfs(fd, &facts) == 0 && facts.f_type == PROC_SUPER_MAGIC;
}

/// With no user namespace that has this mapping yet.
Result MapWithOwn(int tree, const char* uid_map, const char* gid_map) {
  Fd userns;
  Result result = MakeUserNamespace(uid_map, gid_map, &userns);
  return result.ok() ? MapTreeIds(tree, userns.get()) : result;
}

}  // namespace

Result OpenTree(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  const char* source = plan.text(step, 0);
  if (step.b != 0) {
    Fd at(open(source, O_PATH | O_CLOEXEC));
    if (!at.valid()) return Result::last("open", source);
    Result result = RequirePropagation(at.get(), step.b == MS_SHARED, source);
    if (!result.ok()) return result;
  }
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | ((step.options & 1) != 0 ? AT_RECURSIVE : 0);
  Fd tree(open_tree(AT_FDCWD, source, flags));
  if (!tree.valid()) return Result::last("open_tree", source);
  Result result = Result::success();
  if ((step.options & 2) != 0) {
    result = MapTreeIds(tree.get(), context.userns);
  } else if (plan.length(step, 1) > 0) {
    result = MapWithOwn(tree.get(), plan.text(step, 1), plan.text(step, 2));
  }
  if (result.ok()) context.slots[step.slot] = tree.release();
  return result;
}

Result OpenShm(InitContext& context, const PlanStep& step) {
  Fd own(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!own.valid()) return Result::last("open", "/proc/self/ns/mnt");
  // open_tree clones only mounts of the caller's own mount namespace, so it is entered for the moment.
  if (setns(context.pod_mount_ns, CLONE_NEWNS) != 0) return Result::last("setns", "pod's /dev/shm");
  int tree = open_tree(AT_FDCWD, "/shm", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  int error = errno;
  if (setns(own.get(), CLONE_NEWNS) != 0) return Result::last("setns", "own mount namespace");
  if (tree < 0) return Result::failure("open_tree", error, "pod's /dev/shm");
  context.slots[step.slot] = tree;
  return Result::success();
}

Result OpenUserNamespace(InitContext& context, const PlanStep& step) {
  Fd tree;
  Result result = CloneTree(context.userns, false, "pod's user namespace", &tree);
  if (result.ok()) context.slots[step.slot] = tree.release();
  return result;
}

namespace {

/// Into `mounts`, a descriptor that the caller shares.
Result CopyMounts(void* mounts) {
  if (unshare(CLONE_NEWNS) != 0) return Result::last("unshare mount namespace");
  int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  *static_cast<int*>(mounts) = fd;
  return fd >= 0 ? Result::success() : Result::last("open", "/proc/self/ns/mnt");
}

}  // namespace

Result LockMounts(InitContext& context, const PlanStep&) {
  int fd = -1;
  Result result = RunInUserNamespace(context.userns, CopyMounts, &fd);
  Fd mounts(fd);
  if (!result.ok()) return result;
  return setns(mounts.get(), CLONE_NEWNS) == 0 ? result : Result::last("setns", "mount namespace");
}

Result AttachTree(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  int tree = context.slots[step.slot];
  if (step.a != 0 || step.b != 0) {
    mount_attr attributes{.attr_set = step.a, .attr_clr = step.b, .propagation = 0, .userns_fd = 0};
    unsigned flags = AT_EMPTY_PATH | ((step.options & 1) != 0 ? AT_RECURSIVE : 0);
    if (mount_setattr(tree, "", flags, &attributes, sizeof attributes) != 0) {
      return Result::last("mount_setattr", target);
    }
  }
  if (step.c != 0) {
    mount_attr propagation{.attr_set = 0, .attr_clr = 0, .propagation = step.c, .userns_fd = 0};
    if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &propagation, sizeof propagation) != 0) {
      return Result::last("mount_setattr propagation", target);
    }
  }
  if ((step.options & 2) != 0) {
    struct stat source;
    if (fstat(tree, &source) != 0) return Result::last("fstat", target);
    bool made;
    Result result = S_ISDIR(source.st_mode) ? MakeDirsInRoot(context.root, target, 0755, &made)
                                            : MakeFileInRoot(context.root, target);
    if (!result.ok()) return result;
  }
  Fd at;
  Result result = OpenInRoot(context.root, target, O_PATH, 0, &at);
  if (!result.ok()) return result;
  // A link of the image must not lead a volume into /proc, over what confines the process.
  bool says_so = strcmp(target, "/proc") == 0 || strncmp(target, "/proc/", 6) == 0;
  if (!says_so && IsProc(at.get())) {
    return Result::failure("mount: a link leads into /proc", EPERM, target);
  }
  return MoveInto(tree, at.get(), target);
}

Result ShareGroup(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  Fd at;
  Result result = OpenInRoot(context.root, target, O_PATH, 0, &at);
  if (!result.ok()) return result;
  constexpr unsigned kFlags = MOVE_MOUNT_SET_GROUP | MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  if (move_mount(context.slots[step.slot], "", at.get(), "", kFlags) != 0) {
    return Result::last("move_mount set group", target);
  }
  return Result::success();
}

}  // namespace berth
