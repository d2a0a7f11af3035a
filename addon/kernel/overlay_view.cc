#include "overlay_view.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fd.h"
#include "overlay_context.h"
#include "rootfd.h"

namespace berth {

namespace {

/// A mount that is attached nowhere and goes with its descriptor. `too_old`: the kernel lacks "lowerdir+"
/// (6.7); then nothing is mounted, and the result means nothing.
Result MountDetached(const std::vector<std::string>& layers, Fd* root, bool* too_old) {
  Fd context;
  Result opened = OpenOverlayContext(&context, too_old);
  if (!opened.ok() || *too_old) return opened;
  Result numbered = NumberAcrossLayers(context.get(), layers[0].c_str());
  if (!numbered.ok()) return numbered;
  for (const std::string& layer : layers) {
    if (fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+", layer.c_str(), 0) == 0) continue;
    *too_old = errno == EINVAL && &layer == &layers[0];
    return Result::last("fsconfig lowerdir+", layer.c_str());
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("mount overlay", layers[0].c_str());
  constexpr unsigned kAttributes =
      MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOSUID;
  root->reset(fsmount(context.get(), FSMOUNT_CLOEXEC, kAttributes));
  return root->valid() ? Result::success() : Result::last("fsmount overlay", layers[0].c_str());
}

std::string CommonParent(const std::vector<std::string>& layers) {
  std::string common = layers[0];
  for (const std::string& layer : layers) {
    size_t same = 0;
    while (same < common.size() && same < layer.size() && common[same] == layer[same]) same++;
    common.resize(same);
  }
  size_t slash = common.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : common.substr(0, slash);
}

/// For kernels before 6.7: mount(2) takes one page of options, so the layers are named from their common
/// parent, on which the overlay is then mounted in a mount namespace of this thread's own.
Result MountString(const std::vector<std::string>& layers, Fd* root) {
  std::string parent = CommonParent(layers);
  std::string options = "lowerdir=";
  for (const std::string& layer : layers) {
    std::string name = layer.substr(parent == "/" ? 1 : parent.size() + 1);
    if (name.find_first_of(":,\\") != std::string::npos)
      return Result::failure("mount overlay: layer's name cannot be an option", EINVAL, layer.c_str());
    if (&layer != &layers[0]) options += ':';
    options += name;
  }
  if (options.size() >= 4096) return Result::failure("mount overlay: too many layers", E2BIG, parent.c_str());
  if (unshare(CLONE_FS | CLONE_NEWNS) != 0) return Result::last("unshare");
  if (mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return Result::last("make mounts private", "/");
  if (chdir(parent.c_str()) != 0) return Result::last("chdir", parent.c_str());
  unsigned long flags = MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_NOSUID;
  if (mount("overlay", parent.c_str(), "overlay", flags, options.c_str()) != 0)
    return Result::last("mount overlay", parent.c_str());
  root->reset(open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return root->valid() ? Result::success() : Result::last("open overlay", parent.c_str());
}

Result ReadAll(int fd, const std::string& path, uint64_t max_bytes, std::string* content) {
  char buffer[64 << 10];
  for (;;) {
    ssize_t size = read(fd, buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Result::last("read file", path.c_str());
    if (size == 0) return Result::success();
    content->append(buffer, static_cast<size_t>(size));
    if (content->size() > max_bytes)
      return Result::failure("read file: larger than the limit", EFBIG, path.c_str());
  }
}

}  // namespace

Result OpenOverlayView(const std::vector<std::string>& layers, Fd* root) {
  if (layers.empty()) return Result::failure("open layers: none given", EINVAL);
  for (const std::string& layer : layers) {
    if (!layer.starts_with('/'))
      return Result::failure("open layers: not an absolute path", EINVAL, layer.c_str());
  }
  if (layers.size() == 1) {
    root->reset(open(layers[0].c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return root->valid() ? Result::success() : Result::last("open layer directory", layers[0].c_str());
  }
  bool too_old = false;
  Result result = MountDetached(layers, root, &too_old);
  return too_old ? MountString(layers, root) : result;
}

Result ReadBeneath(const std::vector<std::string>& layers, const std::string& path, uint64_t max_bytes,
                   bool* found, std::string* content) {
  *found = false;
  content->clear();
  Fd root;
  Result result = OpenOverlayView(layers, &root);
  if (!result.ok()) return result;
  // O_PATH first: an image's device node or FIFO must not be opened.
  Fd file(OpenInRoot(root.get(), path, O_PATH));
  if (!file.valid()) {
    bool missing = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    return missing ? Result::success() : Result::last("open file", path.c_str());
  }
  struct stat status;
  if (fstat(file.get(), &status) != 0) return Result::last("fstat", path.c_str());
  if (IsWhiteout(status)) return Result::success();
  if (!S_ISREG(status.st_mode)) return Result::failure("read file: not a regular file", EINVAL, path.c_str());
  if (static_cast<uint64_t>(status.st_size) > max_bytes)
    return Result::failure("read file: larger than the limit", EFBIG, path.c_str());
  std::string self = "/proc/self/fd/" + std::to_string(file.get());
  Fd reader(open(self.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!reader.valid()) return Result::last("open file", path.c_str());
  result = ReadAll(reader.get(), path, max_bytes, content);
  *found = result.ok();
  return result;
}

}  // namespace berth
