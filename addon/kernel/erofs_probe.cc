#include "erofs_probe.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "erofs_mount.h"
#include "fd.h"
#include "overlay_context.h"
#include "userns.h"

namespace berth {

namespace {

constexpr uid_t kMappedRoot = 65536;
constexpr const char* kMap = "0 65536 1";

struct Lower {
  std::string path;
  const char* step;
};

Lower Mounted(int mount) { return {"/proc/self/fd/" + std::to_string(mount), "overlay: layer is a mount"}; }
Lower Unpacked(const std::string& directory) { return {directory, "overlay: layer is a directory"}; }

/// An overlay of two layers, as roots have it.
Result MountOverlay(const Lower& top, const Lower& bottom, Fd* root) {
  Fd context;
  bool too_old = false;
  Result result = OpenOverlayContext(&context, &too_old);
  if (result.ok() && too_old) return Result::failure("overlay: lowerdir+", EINVAL, "Linux 6.7 has it");
  if (result.ok()) result = NumberAcrossLayers(context.get(), top.path.c_str());
  if (!result.ok()) return result;
  for (const Lower* lower : {&top, &bottom}) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", lower->path.c_str(), 0) != 0)
      return Result::last(lower->step, lower->path.c_str());
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("overlay on a detached mount");
  root->reset(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
  return root->valid() ? Result::success() : Result::last("overlay: fsmount");
}

Result CheckContent(int file, uid_t owner) {
  struct stat status;
  if (fstat(file, &status) != 0) return Result::last("overlay: fstat", kErofsProbeName);
  if (status.st_uid != owner) return Result::failure("overlay: owner", ERANGE, kErofsProbeName);
  char content[sizeof kErofsProbeContent];
  ssize_t size = read(file, content, sizeof content);
  if (size < 0) return Result::last("overlay: read", kErofsProbeName);
  constexpr size_t kSize = sizeof kErofsProbeContent - 1;
  bool right = size == kSize && memcmp(content, kErofsProbeContent, kSize) == 0;
  return right ? Result::success() : Result::failure("overlay: content", EILSEQ, kErofsProbeName);
}

/// EROFS without its options for them shows no attributes, and says nothing.
Result CheckAttributes(int file) {
  char value[8];
  ssize_t size = fgetxattr(file, kErofsProbeAttribute, value, sizeof value);
  if (size < 0) return Result::last("overlay: attribute (CONFIG_EROFS_FS_XATTR)", kErofsProbeAttribute);
  if (size != 1 || value[0] != 'y')
    return Result::failure("overlay: attribute's value", EILSEQ, kErofsProbeAttribute);
  // With a user namespace's ids it gets a third revision, with its root.
  vfs_ns_cap_data capability{};
  size = fgetxattr(file, XATTR_NAME_CAPS, &capability, sizeof capability);
  if (size < 0) return Result::last("overlay: attribute (CONFIG_EROFS_FS_SECURITY)", XATTR_NAME_CAPS);
  bool right = size >= static_cast<ssize_t>(XATTR_CAPS_SZ_2) &&
               le32toh(capability.data[0].permitted) == 1u << kErofsProbeCapability;
  return right ? Result::success() : Result::failure("overlay: attribute's value", EILSEQ, XATTR_NAME_CAPS);
}

/// What a layer below has in a directory that the image replaces must not come back.
Result CheckOpaque(int root) {
  struct stat status;
  if (fstatat(root, kErofsProbeHidden, &status, AT_SYMLINK_NOFOLLOW) == 0)
    return Result::failure("overlay: trusted.overlay.opaque (CONFIG_EROFS_FS_XATTR)", EEXIST,
                           kErofsProbeHidden);
  return errno == ENOENT ? Result::success() : Result::last("overlay: fstatat", kErofsProbeHidden);
}

Result TryOverlay(int layer, const std::string& directory, uid_t owner, Fd* root) {
  Result result = MountOverlay(Mounted(layer), Unpacked(directory + "/lower"), root);
  if (!result.ok()) return result;
  Fd file(openat(root->get(), kErofsProbeName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return Result::last("overlay: open", kErofsProbeName);
  result = CheckContent(file.get(), owner);
  if (result.ok()) result = CheckAttributes(file.get());
  return result.ok() ? CheckOpaque(root->get()) : result;
}

/// Whether containers in a container still can have overlays on its root: there is a limit to how many file
/// systems may stand on each other, and some kernels before 2026 count an image in a file as one. Where the
/// limit is reached without images too, because the directory is on an overlay itself, images take nothing
/// away.
Result TryNested(int root, const std::string& directory) {
  Lower top = Unpacked(directory + "/bare/top"), bottom = Unpacked(directory + "/bare/bottom");
  Fd bare, nested;
  Result result = MountOverlay(Mounted(root), bottom, &nested);
  if (result.ok()) return result;
  Result without = MountOverlay(top, bottom, &bare);
  if (!without.ok()) return without;
  if (!MountOverlay(Mounted(bare.get()), bottom, &nested).ok()) return Result::success();
  return Result::failure("overlay in a container, on its root", result.error,
                         "this kernel counts images as stacked file systems");
}

}  // namespace

Result ProbeErofs(const std::string& directory) {
  const std::string image = directory + "/image";
  Fd mount, root, userns;
  Result result = MountErofs(image, &mount);
  if (result.ok()) result = TryOverlay(mount.get(), directory, 0, &root);
  if (result.ok()) result = TryNested(root.get(), directory);
  if (!result.ok()) return result;
  Fd copy(open_tree(mount.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!copy.valid()) return Result::last("open_tree of a detached mount", image.c_str());
  result = MakeUserNamespace(kMap, kMap, &userns);
  if (result.ok()) result = MapTreeIds(copy.get(), userns.get());
  return result.ok() ? TryOverlay(copy.get(), directory, kMappedRoot, &root) : result;
}

}  // namespace berth
