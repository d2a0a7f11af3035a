// Steps that make a container's root file system and images that are volumes: overlays of layers.

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../kernel/erofs_format.h"
#include "../kernel/fd.h"
#include "../kernel/overlay_context.h"
#include "../kernel/rooted.h"
#include "../kernel/userns.h"
#include "init.h"
#include "mounts.h"

namespace berth {

namespace {

struct Overlay {
  const char* lowers;  // absolute ones are mounts that are attached nowhere, found through /proc
  uint64_t lower_count;
  const char* upper;  // nullptr: a read-only overlay of the layers
  const char* work;
  const char* attach_at;
  bool is_volatile;
  bool allow_devices;  // else device nodes of an image cannot be opened
  const char* label;   // SELinux context of all files; nullptr: each has its own
  int userns;          // whose ids layers that are mounts get; -1: as they are. The others are mapped already
};

bool IsMount(const char* lower) { return *lower == '/'; }

bool HasMounts(const Overlay& overlay) {
  const char* lower = overlay.lowers;
  for (uint64_t i = 0; i < overlay.lower_count; i++, lower += strlen(lower) + 1) {
    if (IsMount(lower)) return true;
  }
  return false;
}

/// Layers that are mounts, with the ids of a user namespace if need be. An overlay that is being configured
/// does not keep copies of mounts: they are held until it is made.
class LayerMounts {
 public:
  LayerMounts() = default;
  LayerMounts(const LayerMounts&) = delete;
  LayerMounts& operator=(const LayerMounts&) = delete;
  ~LayerMounts() {
    for (int i = 0; i < count_; i++) close(mounts_[i]);
  }

  /// `path` is where this process then finds it. ENOENT: it is gone, with the daemon that mounted it; what
  /// else is found there belongs to a process that got the daemon's pid.
  Result Add(const char* layer, int userns, char (&path)[32]) {
    if (count_ == kMost) return Result::failure("open layer: too many", E2BIG, layer);
    Fd mount(open(layer, O_PATH | O_CLOEXEC));
    if (!mount.valid()) return Result::last("open layer", layer);
    struct statfs status;
    if (fstatfs(mount.get(), &status) != 0) return Result::last("fstatfs layer", layer);
    if (status.f_type != kErofsMagic) return Result::failure("open layer: no image", ENOENT, layer);
    if (userns >= 0) {
      mount.reset(open_tree(mount.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
      if (!mount.valid()) return Result::last("clone layer", layer);
      Result result = MapTreeIds(mount.get(), userns);
      if (!result.ok()) return result;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", mount.get());
    mounts_[count_++] = mount.release();
    return Result::success();
  }

 private:
  static constexpr int kMost = 500;  // layers of an overlay (OVL_MAX_STACK)
  int mounts_[kMost];
  int count_ = 0;
};

/// Gives the overlay its layers, the top one first. `too_old` as below.
Result AddLowers(int context, const Overlay& overlay, LayerMounts* mounts, bool* too_old) {
  const char* lower = overlay.lowers;
  for (uint64_t i = 0; i < overlay.lower_count; i++, lower += strlen(lower) + 1) {
    char mount[32];
    const char* from = lower;
    if (IsMount(lower)) {
      Result result = mounts->Add(lower, overlay.userns, mount);
      if (!result.ok()) return result;
      from = mount;
    }
    if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", from, 0) != 0) {
      *too_old = errno == EINVAL && i == 0;
      return Result::last("lowerdir+", lower);
    }
  }
  return Result::success();
}

unsigned Attributes(const Overlay& overlay) {
  unsigned readonly = overlay.upper == nullptr ? MOUNT_ATTR_RDONLY : 0;
  return readonly | (overlay.allow_devices ? 0 : MOUNT_ATTR_NODEV);
}

/// fsopen with one lowerdir+ per layer. `too_old`: the kernel is older than 6.7 and does not know lowerdir+;
/// then nothing is mounted, and the result means nothing.
Result OverlayDetached(const Overlay& overlay, Fd* mount, bool* too_old) {
  Fd context;
  Result opened = OpenOverlayContext(&context, too_old);
  if (!opened.ok() || *too_old) return opened;
  if (overlay.label != nullptr &&
      fsconfig(context.get(), FSCONFIG_SET_STRING, "context", overlay.label, 0) != 0) {
    return Result::last("fsconfig context", overlay.label);
  }
  LayerMounts mounts;
  Result added;
  if (HasMounts(overlay)) added = NumberAcrossLayers(context.get(), overlay.lowers);
  if (added.ok()) added = AddLowers(context.get(), overlay, &mounts, too_old);
  if (!added.ok()) return added;
  if (overlay.upper == nullptr) return Finish(context.get(), Attributes(overlay), overlay.lowers, mount);
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "upperdir", overlay.upper, 0) != 0) {
    return Result::last("upperdir", overlay.upper);
  }
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "workdir", overlay.work, 0) != 0) {
    return Result::last("workdir", overlay.work);
  }
  if (overlay.is_volatile && fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0) != 0) {
    return Result::last("volatile", overlay.upper);
  }
  return Finish(context.get(), Attributes(overlay), overlay.upper, mount);
}

/// mount(2), whose options must fit a page: hence relative paths with short names.
Result OverlayLegacy(const Overlay& overlay) {
  char data[4096];
  size_t used = 0;
  // Quoted: the levels of a label are separated by commas.
  if (overlay.label != nullptr)
    used += static_cast<size_t>(snprintf(data, sizeof data, "context=\"%s\",", overlay.label));
  if (used > sizeof data / 2) return Result::failure("mount overlay: label", E2BIG, overlay.label);
  if (overlay.upper != nullptr) {
    used += static_cast<size_t>(snprintf(data + used, sizeof data - used, "%supperdir=%s,workdir=%s,",
                                         overlay.is_volatile ? "volatile," : "", overlay.upper,
                                         overlay.work));
  }
  used += static_cast<size_t>(snprintf(data + used, sizeof data - used, "lowerdir="));
  const char* lower = overlay.lowers;
  for (uint64_t i = 0; i < overlay.lower_count; i++, lower += strlen(lower) + 1) {
    if (IsMount(lower)) return Result::failure("mount overlay: layer is a mount", EOPNOTSUPP, lower);
    size_t length = strlen(lower);
    if (used + length + 2 > sizeof data)
      return Result::failure("mount overlay: too many layers", E2BIG, lower);
    if (i > 0) data[used++] = ':';
    memcpy(data + used, lower, length + 1);
    used += length;
  }
  // MS_RDONLY and MS_NODEV have the values of the attributes.
  if (mount("overlay", overlay.attach_at, "overlay", Attributes(overlay), data) != 0)
    return Result::last("mount", overlay.attach_at);
  return Result::success();
}

/// Mounts it at `attach_at`; the working directory is what its paths are relative to.
Result AttachOverlay(const Overlay& overlay, bool legacy) {
  if (!legacy) {
    Fd mount;
    Result result = OverlayDetached(overlay, &mount, &legacy);
    if (!legacy) {
      if (!result.ok()) return result;
      bool moved = move_mount(mount.get(), "", AT_FDCWD, overlay.attach_at, MOVE_MOUNT_F_EMPTY_PATH) == 0;
      return moved ? result : Result::last("move_mount", overlay.attach_at);
    }
  }
  return OverlayLegacy(overlay);
}

}  // namespace

Result OverlayRoot(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  const char* upper = plan.text(step, 2);
  Overlay overlay{.lowers = plan.text(step, 1),
                  .lower_count = step.a,
                  .upper = upper,
                  .work = upper + strlen(upper) + 1,
                  .attach_at = plan.text(step, 3),
                  .is_volatile = (step.options & 1) != 0,
                  .allow_devices = (step.options & 4) != 0,
                  .label = context.mount_label,
                  .userns = context.maps_layers ? context.userns : -1};
  const char* base = plan.text(step, 0);
  if (chdir(base) != 0) return Result::last("chdir", base);
  Result result = AttachOverlay(overlay, (step.options & 2) != 0);
  if (!result.ok()) return result;
  context.root = open(overlay.attach_at, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (context.root < 0) return Result::last("open", overlay.attach_at);
  context.root_is_ours = true;
  return Result::success();
}

Result ImageTree(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  const char* base = plan.text(step, 0);
  const char* sub_path = plan.text(step, 3);
  Overlay overlay{.lowers = plan.text(step, 1),
                  .lower_count = step.a,
                  .upper = nullptr,
                  .work = nullptr,
                  .attach_at = plan.text(step, 2),
                  .is_volatile = false,
                  .allow_devices = false,
                  .label = context.mount_label,
                  .userns = context.maps_layers ? context.userns : -1};
  if (chdir(base) != 0) return Result::last("chdir", base);
  // Attached for the moment: before Linux 6.15 no part of a detached mount can be cloned.
  Result result = AttachOverlay(overlay, (step.options & 1) != 0);
  if (!result.ok()) return result;
  Fd root(open(overlay.attach_at, O_PATH | O_DIRECTORY | O_CLOEXEC)), at, tree;
  if (!root.valid()) return Result::last("open", overlay.attach_at);
  result = OpenInRoot(root.get(), *sub_path == '\0' ? "/" : sub_path, O_PATH, 0, &at);
  if (result.ok()) result = CloneTree(at.get(), false, overlay.attach_at, &tree);
  if (!result.ok()) return result;
  if (umount2(overlay.attach_at, MNT_DETACH) != 0) return Result::last("umount2", overlay.attach_at);
  context.slots[step.slot] = tree.release();
  return Result::success();
}

Result MapSnapshots(InitContext& context, const PlanStep& step) {
  const char* base = context.plan->text(step, 0);
  Fd tree(open_tree(AT_FDCWD, base, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!tree.valid()) return Result::last("open_tree", base);
  Result result = MapTreeIds(tree.get(), context.userns);
  if (!result.ok()) return result;
  // Over itself, in this mount namespace only: every layer below is seen through this one mapping, and before
  // Linux 6.15 an overlay takes no layers from a mount that is attached nowhere.
  if (move_mount(tree.get(), "", AT_FDCWD, base, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    return Result::last("move_mount", base);
  }
  // Layers that are mounts of their own follow, each by itself.
  context.maps_layers = true;
  return Result::success();
}

Result FileIds(InitContext&, const PlanStep& step) {
  setfsgid(static_cast<gid_t>(step.b));
  setfsuid(static_cast<uid_t>(step.a));
  // That took the capabilities about files from the effective set; the permitted ones are still all there.
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return Result::last("capget");
  for (__user_cap_data_struct& half : data) half.effective = half.permitted;
  return syscall(SYS_capset, &header, data) == 0 ? Result::success() : Result::last("capset");
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

namespace {

/// A locked mount cannot become a root: a copy over itself can. What is mounted in it stays locked.
Result Unlock(InitContext& context) {
  Fd tree;
  Result result = CloneTree(context.root, true, "/", &tree);
  if (result.ok()) result = MoveInto(tree.get(), context.root, "/");
  if (!result.ok()) return result;
  close(context.root);
  context.root = tree.release();
  return result;
}

}  // namespace

Result PivotRoot(InitContext& context, const PlanStep&) {
  if (context.root_is_locked) {
    Result result = Unlock(context);
    if (!result.ok()) return result;
  }
  if (fchdir(context.root) != 0) return Result::last("fchdir", "/");
  // With both arguments the same directory the old root is stacked on the new one, and detached from there.
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Result::last("pivot_root", ".");
  if (umount2(".", MNT_DETACH) != 0) return Result::last("umount2", "old root");
  if (chdir("/") != 0) return Result::last("chdir", "/");
  // What follows finds it at "/".
  close(context.root);
  context.root = -1;
  return Result::success();
}

}  // namespace berth
