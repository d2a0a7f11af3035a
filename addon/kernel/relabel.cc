#include "relabel.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fd.h"
#include "tree_walk.h"

namespace berth {

namespace {

constexpr const char* kAttribute = "security.selinux";

/// Through the descriptor's name in /proc, which leads to any kind of file, links included.
Result LabelOpen(int fd, const std::string& label, const char* shown) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  char now[512];
  ssize_t length = getxattr(path, kAttribute, now, sizeof now);
  // The kernel's text ends with a NUL.
  if (length > 0 && label == std::string(now, strnlen(now, static_cast<size_t>(length))))
    return Result::success();
  if (setxattr(path, kAttribute, label.c_str(), label.size() + 1, 0) == 0) return Result::success();
  if (errno == ENOTSUP || errno == ENOENT) return Result::success();
  return Result::last("set label", shown);
}

class Labeller : public TreeVisitor {
 public:
  explicit Labeller(const std::string& label) : label_(label) {}
  Result Visit(int directory, const char* name, unsigned char, bool* descend) override {
    Fd fd(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) return errno == ENOENT ? Result::success() : Result::last("open", name);
    struct stat status;
    if (fstat(fd.get(), &status) != 0) return Result::last("fstat", name);
    *descend = S_ISDIR(status.st_mode);
    // The walk stays on the volume's file system, and its labels too.
    if (root_device_ != status.st_dev) {
      *descend = false;
      return Result::success();
    }
    return LabelOpen(fd.get(), label_, name);
  }
  Result Leave(int, const char*) override { return Result::success(); }
  Result Blocked(const char* name, int error) override {
    bool fine = error == ENOENT || error == EXDEV || error == ENOTDIR || error == ELOOP;
    return fine ? Result::success() : Result::failure("open directory", error, name);
  }
  void set_root_device(dev_t device) { root_device_ = device; }

 private:
  const std::string& label_;
  dev_t root_device_ = 0;
};

}  // namespace

Result Relabel(const std::string& path, const std::string& label) {
  Fd root(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!root.valid()) return Result::last("open", path.c_str());
  struct stat status;
  if (fstat(root.get(), &status) != 0) return Result::last("fstat", path.c_str());
  Result result = LabelOpen(root.get(), label, path.c_str());
  if (!result.ok() || !S_ISDIR(status.st_mode)) return result;
  Fd directory(openat(root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return Result::last("open", path.c_str());
  Labeller labeller(label);
  labeller.set_root_device(status.st_dev);
  return TreeWalk(&labeller).Run(std::move(directory));
}

}  // namespace berth
