// Steps that build a container's root. Detached mounts throughout: a mount is configured first and
// attached last, by descriptor, beneath the root (openat2), inside the container's mount namespace.

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../kernel/fd.h"
#include "../kernel/overlay_context.h"
#include "../kernel/rooted.h"
#include "init.h"

namespace berth {

namespace {

Result MoveInto(int mount, int target, const char* path) {
  if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return Result::last("move_mount", path);
  }
  return Result::success();
}

bool IsProc(int fd) {
  struct statfs facts;
  return fstatfs(fd, &facts) == 0 && facts.f_type == PROC_SUPER_MAGIC;
}

Result CloneTree(int fd, bool recursive, const char* path, Fd* tree) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  tree->reset(open_tree(fd, "", flags));
  return tree->valid() ? Result::success() : Result::last("open_tree", path);
}

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

Result Finish(int context, unsigned attributes, const char* path, Fd* mount) {
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("fsconfig create", path);
  mount->reset(fsmount(context, FSMOUNT_CLOEXEC, attributes));
  return mount->valid() ? Result::success() : Result::last("fsmount", path);
}

struct Overlay {
  const char* lowers;
  uint64_t lower_count;
  const char* upper;
  const char* work;
  const char* attach_at;
  bool is_volatile;
  bool allow_devices;  // else device nodes of an image cannot be opened
};

/// fsopen with one lowerdir+ per layer. `too_old`: the kernel is older than 6.7 and does not know lowerdir+;
/// then nothing is mounted, and the result means nothing.
Result OverlayDetached(const Overlay& overlay, Fd* mount, bool* too_old) {
  Fd context;
  Result opened = OpenOverlayContext(&context, too_old);
  if (!opened.ok() || *too_old) return opened;
  const char* lower = overlay.lowers;
  for (uint64_t i = 0; i < overlay.lower_count; i++, lower += strlen(lower) + 1) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", lower, 0) != 0) {
      *too_old = errno == EINVAL && i == 0;
      return Result::last("lowerdir+", lower);
    }
  }
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "upperdir", overlay.upper, 0) != 0) {
    return Result::last("upperdir", overlay.upper);
  }
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "workdir", overlay.work, 0) != 0) {
    return Result::last("workdir", overlay.work);
  }
  if (overlay.is_volatile && fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) != 0) {
    return Result::last("volatile", overlay.upper);
  }
  return Finish(context.get(), overlay.allow_devices ? 0 : MOUNT_ATTR_NODEV, overlay.upper, mount);
}

/// mount(2), whose options must fit a page: hence relative paths with short names.
Result OverlayLegacy(const Overlay& overlay) {
  char data[4096];
  size_t used = static_cast<size_t>(snprintf(
      data, sizeof data, "%supperdir=%s,workdir=%s,lowerdir=", overlay.is_volatile ? "volatile," : "",
      overlay.upper, overlay.work));
  const char* lower = overlay.lowers;
  for (uint64_t i = 0; i < overlay.lower_count; i++, lower += strlen(lower) + 1) {
    size_t length = strlen(lower);
    if (used + length + 2 > sizeof data)
      return Result::failure("mount overlay: too many layers", E2BIG, lower);
    if (i > 0) data[used++] = ':';
    memcpy(data + used, lower, length + 1);
    used += length;
  }
  if (mount("overlay", overlay.attach_at, "overlay", overlay.allow_devices ? 0 : MS_NODEV, data) != 0)
    return Result::last("mount", overlay.attach_at);
  return Result::success();
}

}  // namespace

Result MountPropagation(InitContext&, const PlanStep& step) {
  if (mount(nullptr, "/", nullptr, step.a, nullptr) != 0) return Result::last("mount propagation", "/");
  return Result::success();
}

Result OpenTree(InitContext& context, const PlanStep& step) {
  const char* source = context.plan->text(step, 0);
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | ((step.options & 1) != 0 ? AT_RECURSIVE : 0);
  int tree = open_tree(AT_FDCWD, source, flags);
  if (tree < 0) return Result::last("open_tree", source);
  context.slots[step.slot] = tree;
  return Result::success();
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

Result OverlayRoot(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  const char* upper = plan.text(step, 2);
  Overlay overlay{.lowers = plan.text(step, 1),
                  .lower_count = step.a,
                  .upper = upper,
                  .work = upper + strlen(upper) + 1,
                  .attach_at = plan.text(step, 3),
                  .is_volatile = (step.options & 1) != 0,
                  .allow_devices = (step.options & 4) != 0};
  const char* base = plan.text(step, 0);
  if (chdir(base) != 0) return Result::last("chdir", base);
  bool legacy = (step.options & 2) != 0;
  if (!legacy) {
    Fd mount;
    Result result = OverlayDetached(overlay, &mount, &legacy);
    if (!legacy) {
      if (!result.ok()) return result;
      if (move_mount(mount.get(), "", AT_FDCWD, overlay.attach_at, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
        return Result::last("move_mount", overlay.attach_at);
      }
    }
  }
  if (legacy) {
    Result result = OverlayLegacy(overlay);
    if (!result.ok()) return result;
  }
  context.root = open(overlay.attach_at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (context.root < 0) return Result::last("open", overlay.attach_at);
  context.root_is_ours = true;
  return Result::success();
}

Result HostRoot(InitContext& context, const PlanStep&) {
  context.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  return context.root >= 0 ? Result::success() : Result::last("open", "/");
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
  return result.ok() ? MoveInto(mount.get(), at.get(), target) : result;
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
  if ((uid != 0 || gid != 0) && fchownat(parent.get(), name, uid, gid, AT_SYMLINK_NOFOLLOW) != 0) {
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

Result RootReadonly(InitContext& context, const PlanStep&) {
  mount_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(context.root, "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0) {
    return Result::last("mount_setattr", "/");
  }
  return Result::success();
}

Result PivotRoot(InitContext& context, const PlanStep&) {
  if (fchdir(context.root) != 0) return Result::last("fchdir", "/");
  // With both arguments the same directory the old root is stacked on the new one, and detached from there.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Result::last("pivot_root", ".");
  if (umount2(".", MNT_DETACH) != 0) return Result::last("umount2", "old root");
  if (chdir("/") != 0) return Result::last("chdir", "/");
  return Result::success();
}

}  // namespace berth
