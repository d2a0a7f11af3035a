#include "erofs_mount.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdio>

#include "erofs_format.h"

namespace berth {

namespace {

Result MountImage(int image, const std::string& path, Fd* mount) {
  Fd context(fsopen("erofs", FSOPEN_CLOEXEC));
  if (!context.valid()) return Result::last("fsopen erofs", path.c_str());
  // The kernel opens the file once more by this name: no other can have taken its place meanwhile.
  char source[32];
  snprintf(source, sizeof source, "/proc/self/fd/%d", image);
  if (fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source, 0) != 0)
    return Result::last("fsconfig source", path.c_str());
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("mount layer", path.c_str());
  constexpr unsigned kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME;
  mount->reset(fsmount(context.get(), FSMOUNT_CLOEXEC, kAttributes));
  return mount->valid() ? Result::success() : Result::last("fsmount layer", path.c_str());
}

}  // namespace

Result MountErofs(const std::string& path, Fd* mount) {
  Fd image = OpenErofsFile(path);
  if (!image.valid()) return Result::last("open layer", path.c_str());
  ErofsHeader header;
  Result result = ReadErofsHeader(image.get(), &header);
  // What the kernel then reads is what berth wrote.
  if (!result.ok()) return Result::failure(result.step, result.error, path.c_str());
  return MountImage(image.get(), path, mount);
}

Result OpenLayerRoot(const std::string& path, Fd* root) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return Result::last("lstat layer", path.c_str());
  if (S_ISREG(status.st_mode)) return MountErofs(path, root);
  root->reset(open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  return root->valid() ? Result::success() : Result::last("open layer directory", path.c_str());
}

}  // namespace berth
