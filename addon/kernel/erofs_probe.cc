#include "erofs_probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "erofs_mount.h"
#include "fd.h"
#include "overlay_context.h"
#include "userns.h"

namespace berth {

namespace {

constexpr uid_t kMappedRoot = 65536;
constexpr const char* kMap = "0 65536 1";

Result AddLower(int context, const std::string& path, const char* step) {
  if (fsconfig(context, FSCONFIG_SET_STRING, "lowerdir+", path.c_str(), 0) == 0) return Result::success();
  return Result::last(step, path.c_str());
}

/// An overlay of `layer`, a detached mount, over `directory`, as roots have it.
Result MountOverlay(int layer, const std::string& directory, Fd* root) {
  Fd context;
  bool too_old = false;
  Result result = OpenOverlayContext(&context, &too_old);
  if (result.ok() && too_old) return Result::failure("overlay: lowerdir+", EINVAL, "Linux 6.7 has it");
  if (!result.ok()) return result;
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "xino", "on", 0) != 0)
    return Result::last("overlay: xino", "on");
  result = AddLower(context.get(), "/proc/self/fd/" + std::to_string(layer), "overlay: layer is a mount");
  if (result.ok()) result = AddLower(context.get(), directory, "overlay: layer is a directory");
  if (!result.ok()) return result;
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("overlay on a detached mount");
  root->reset(fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV));
  return root->valid() ? Result::success() : Result::last("overlay: fsmount");
}

Result LookAt(int root, uid_t owner) {
  Fd file(openat(root, kErofsProbeName, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file.valid()) return Result::last("overlay: open", kErofsProbeName);
  struct stat status;
  if (fstat(file.get(), &status) != 0) return Result::last("overlay: fstat", kErofsProbeName);
  if (status.st_uid != owner) return Result::failure("overlay: owner", ERANGE, kErofsProbeName);
  char content[sizeof kErofsProbeContent];
  ssize_t size = read(file.get(), content, sizeof content);
  if (size < 0) return Result::last("overlay: read", kErofsProbeName);
  constexpr size_t kSize = sizeof kErofsProbeContent - 1;
  bool right = size == kSize && memcmp(content, kErofsProbeContent, kSize) == 0;
  return right ? Result::success() : Result::failure("overlay: content", EILSEQ, kErofsProbeName);
}

Result TryOverlay(int layer, const std::string& directory, uid_t owner) {
  Fd root;
  Result result = MountOverlay(layer, directory, &root);
  return result.ok() ? LookAt(root.get(), owner) : result;
}

}  // namespace

Result ProbeErofs(const std::string& image, const std::string& directory) {
  Fd mount, userns;
  Result result = MountErofs(image, &mount);
  if (result.ok()) result = TryOverlay(mount.get(), directory, 0);
  if (!result.ok()) return result;
  Fd copy(open_tree(mount.get(), "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  if (!copy.valid()) return Result::last("open_tree of a detached mount", image.c_str());
  result = MakeUserNamespace(kMap, kMap, &userns);
  if (result.ok()) result = MapTreeIds(copy.get(), userns.get());
  return result.ok() ? TryOverlay(copy.get(), directory, kMappedRoot) : result;
}

}  // namespace berth
