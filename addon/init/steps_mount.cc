// Steps that fill a container's root. Detached mounts throughout: a mount is configured first and attached
// last, by descriptor, beneath the root (openat2), inside the container's mount namespace.

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../kernel/fd.h"
#include "../kernel/rooted.h"
#include "init.h"
#include "mounts.h"

namespace berth {

namespace {

Result Configure(int context, const char* option) {
  char key[128];
  const char* equals = strchr(option, '=');
  if (equals == nullptr) {
    if (fsconfig(context, FSCONFIG_SET_FLAG, option, nullptr, 0) != 0)
      return Result::last("fsconfig", option);
    return Result::success();
  }
  size_t length = static_cast<size_t>(equals - option);
  if (length >= sizeof key) return Result::failure("fsconfig", ENAMETOOLONG, option);
  memcpy(key, option, length);
  key[length] = '\0';
  if (fsconfig(context, FSCONFIG_SET_STRING, key, equals + 1, 0) != 0)
    return Result::last("fsconfig", option);
  return Result::success();
}

/// Those whose files SELinux labels as a mount says; the others have labels of their own in the policy.
bool TakesLabel(const char* fstype) {
  return strcmp(fstype, "tmpfs") == 0 || strcmp(fstype, "devpts") == 0;
}

/// The queues of an IPC namespace exist before they are mounted: only their directory can be labelled.
Result LabelQueues(const InitContext& context, const char* target) {
  Fd directory;
  Result result = OpenInRoot(context.root, target, O_RDONLY | O_DIRECTORY, 0, &directory);
  if (!result.ok()) return result;
  const char* label = context.mount_label;
  if (fsetxattr(directory.get(), "security.selinux", label, strlen(label) + 1, 0) == 0) return result;
  return errno == ENOTSUP ? result : Result::last("set label", target);
}

}  // namespace

Result MountLabel(InitContext& context, const PlanStep& step) {
  context.mount_label = context.plan->text(step, 0);
  return Result::success();
}

Result MountPropagation(InitContext&, const PlanStep& step) {
  if (mount(nullptr, "/", nullptr, step.a, nullptr) != 0) return Result::last("mount propagation", "/");
  return Result::success();
}

namespace {

Result RootAt(InitContext& context, const char* path) {
  context.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  return context.root >= 0 ? Result::success() : Result::last("open", path);
}

}  // namespace

Result HostRoot(InitContext& context, const PlanStep&) { return RootAt(context, "/"); }

Result HostDirectory(InitContext& context, const PlanStep& step) {
  return RootAt(context, context.plan->text(step, 0));
}

Result Mount(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  const char* fstype = plan.text(step, 0);
  const char* target = plan.text(step, 2);
  Fd filesystem(fsopen(fstype, FSOPEN_CLOEXEC));
  if (!filesystem.valid()) return Result::last("fsopen", fstype);
  if (plan.length(step, 1) > 0 &&
      fsconfig(filesystem.get(), FSCONFIG_SET_STRING, "source", plan.text(step, 1), 0) != 0) {
    return Result::last("fsconfig source", plan.text(step, 1));
  }
  const char* option = plan.text(step, 3);
  for (uint64_t i = 0; i < step.b; i++, option += strlen(option) + 1) {
    if (*option == '\0') continue;
    Result result = Configure(filesystem.get(), option);
    if (!result.ok()) return result;
  }
  if (context.mount_label != nullptr && TakesLabel(fstype) &&
      fsconfig(filesystem.get(), FSCONFIG_SET_STRING, "context", context.mount_label, 0) != 0) {
    return Result::last("fsconfig context", context.mount_label);
  }
  Fd mount;
  Result result = Finish(filesystem.get(), static_cast<unsigned>(step.a), target, &mount);
  if (!result.ok()) return result;
  if ((step.options & 1) != 0) {
    bool made;
    result = MakeDirsInRoot(context.root, target, 0755, &made);
    if (!result.ok()) return result;
  }
  // An image whose /proc is a link could have it mounted where nothing is masked.
  Fd at;
  result = OpenPlainInRoot(context.root, target, O_PATH, &at);
  if (result.ok()) result = MoveInto(mount.get(), at.get(), target);
  if (!result.ok() || context.mount_label == nullptr || strcmp(fstype, "mqueue") != 0) return result;
  return LabelQueues(context, target);
}

Result MakeNode(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  Fd parent;
  const char* name;
  Result result = OpenParentInRoot(context.root, target, &parent, &name);
  if (!result.ok()) return result;
  dev_t device = makedev(static_cast<unsigned>(step.b >> 32), static_cast<unsigned>(step.b));
  if (mknodat(parent.get(), name, static_cast<mode_t>(step.a), device) != 0)
    return Result::last("mknodat", target);
  uid_t uid = static_cast<uid_t>(step.c >> 32);
  gid_t gid = static_cast<gid_t>(step.c);
  bool owned = (step.options & 1) != 0 || uid != 0 || gid != 0;
  if (owned && fchownat(parent.get(), name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return Result::last("fchownat", target);
  }
  return Result::success();
}

Result Symlink(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 1);
  Fd parent;
  const char* name;
  Result result = OpenParentInRoot(context.root, target, &parent, &name);
  if (!result.ok()) return result;
  if (symlinkat(context.plan->text(step, 0), parent.get(), name) != 0)
    return Result::last("symlinkat", target);
  return Result::success();
}

Result MakeDir(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  bool made;
  Result result = MakeDirsInRoot(context.root, target, static_cast<mode_t>(step.a), &made);
  if (!result.ok() || !made) return result;
  Fd directory;
  result = OpenInRoot(context.root, target, O_RDONLY | O_DIRECTORY, 0, &directory);
  if (!result.ok()) return result;
  if (fchown(directory.get(), static_cast<uid_t>(step.c >> 32), static_cast<gid_t>(step.c)) != 0) {
    return Result::last("fchown", target);
  }
  return Result::success();
}

Result Mask(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  Fd at;
  Result result = OpenInRoot(context.root, target, O_PATH, 0, &at);
  // What the container does not have need not be hidden from it.
  if (!result.ok()) return result.error == ENOENT || result.error == ENOTDIR ? Result::success() : result;
  struct stat status;
  if (fstat(at.get(), &status) != 0) return Result::last("fstat", target);
  if (!S_ISDIR(status.st_mode)) {
    Fd null, tree;
    result = OpenPlainInRoot(context.root, "/dev/null", O_PATH, &null);
    // What a volume puts in its place must not become what is seen at the masked path.
    if (result.ok() && (fstat(null.get(), &status) != 0 || status.st_rdev != makedev(1, 3))) {
      result = Result::failure("mask: /dev/null is no null device", EINVAL, target);
    }
    if (result.ok()) result = CloneTree(null.get(), false, target, &tree);
    return result.ok() ? MoveInto(tree.get(), at.get(), target) : result;
  }
  Fd filesystem(fsopen("tmpfs", FSOPEN_CLOEXEC));
  if (!filesystem.valid()) return Result::last("fsopen", "tmpfs");
  Fd mount;
  constexpr unsigned kAttributes =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  result = Configure(filesystem.get(), "size=4k");
  if (result.ok()) result = Finish(filesystem.get(), kAttributes, target, &mount);
  return result.ok() ? MoveInto(mount.get(), at.get(), target) : result;
}

Result ReadonlyPath(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  Fd at, tree;
  Result result = OpenInRoot(context.root, target, O_PATH, 0, &at);
  if (!result.ok()) return result.error == ENOENT || result.error == ENOTDIR ? Result::success() : result;
  result = CloneTree(at.get(), true, target, &tree);
  if (!result.ok()) return result;
  mount_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    return Result::last("mount_setattr", target);
  }
  return MoveInto(tree.get(), at.get(), target);
}

Result DelegateCgroup(InitContext& context, const PlanStep& step) {
  const char* target = context.plan->text(step, 0);
  Fd root;
  Result result = OpenPlainInRoot(context.root, target, O_PATH | O_DIRECTORY, &root);
  if (!result.ok()) return result;
  uid_t uid = static_cast<uid_t>(step.a);
  gid_t gid = static_cast<gid_t>(step.b);
  // cgroups(7), "Cgroup delegation": these files and no others. Limits stay with whoever set them.
  constexpr const char* kDelegated[] = {"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control",
                                        "memory.oom.group", "memory.reclaim"};
  for (const char* file : kDelegated) {
    if (fchownat(root.get(), file, uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT) {
      return Result::last("fchownat", *file == '\0' ? target : file);
    }
  }
  return Result::success();
}

}  // namespace berth
