#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "fd.h"
#include "rootfd.h"
#include "tree_walk.h"

namespace berth {

namespace {

class Remover : public TreeVisitor {
 public:
  Result Visit(int directory, const char* name, unsigned char type, bool* descend) override {
    *descend = type == DT_DIR;
    if (*descend || unlinkat(directory, name, 0) == 0 || errno == ENOENT) return Result::success();
    *descend = errno == EISDIR;
    return *descend ? Result::success() : Result::last("remove file", name);
  }
  Result Leave(int directory, const char* name) override {
    if (unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return Result::success();
    return Result::last("remove directory", name);
  }
  Result Blocked(const char* name, int error) override {
    if (error == ENOENT) return Result::success();
    const char* step = error == EXDEV ? "remove tree: mount point inside" : "open directory";
    return Result::failure(step, error, name);
  }
};

class Meter : public TreeVisitor {
 public:
  explicit Meter(TreeUsage* usage) : usage_(usage) {}
  void Count(const struct stat& status) {
    if (status.st_nlink > 1 && !S_ISDIR(status.st_mode) &&
        !counted_.insert({status.st_dev, status.st_ino}).second)
      return;
    usage_->bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    usage_->inodes++;
  }
  Result Visit(int directory, const char* name, unsigned char, bool* descend) override {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      return errno == ENOENT ? Result::success() : Result::last("fstatat", name);
    *descend = S_ISDIR(status.st_mode);
    Count(status);
    return Result::success();
  }
  Result Leave(int, const char*) override { return Result::success(); }
  Result Blocked(const char* name, int error) override {
    bool fine = error == ENOENT || error == EXDEV || error == ENOTDIR || error == ELOOP;
    return fine ? Result::success() : Result::failure("open directory", error, name);
  }

 private:
  TreeUsage* const usage_;
  std::set<std::pair<dev_t, ino_t>> counted_;
};

Result RemoveOnce(int directory, const std::string& name, const std::string& shown) {
  if (unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return Result::success();
  if (errno != EISDIR) return Result::last("remove file", shown.c_str());
  constexpr uint64_t kResolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  Fd root(OpenAt2(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kResolve));
  Remover remover;
  if (!root.valid()) return remover.Blocked(shown.c_str(), errno);
  Result result = TreeWalk(&remover).Run(std::move(root));
  if (!result.ok()) return result;
  if (unlinkat(directory, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return Result::success();
  return Result::last("remove directory", shown.c_str());
}

}  // namespace

Result RemoveTreeAt(int directory, const std::string& name, const std::string& shown) {
  Result result;
  // Reading a directory while emptying it may skip entries on some file systems: look again.
  for (int attempt = 0; attempt < 4; attempt++) {
    result = RemoveOnce(directory, name, shown);
    if (result.error != ENOTEMPTY) return result;
  }
  return result;
}

Result RemoveTree(const std::string& path) {
  std::string clean = path;
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  std::string parent, name;
  SplitPath(clean, &parent, &name);
  if (clean.empty() || clean[0] != '/' || name.empty() || name == "." || name == "..")
    return Result::failure("remove tree: not an absolute path of a tree", EINVAL, path.c_str());
  Fd directory(open(parent.empty() ? "/" : parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid())
    return errno == ENOENT ? Result::success() : Result::last("open parent directory", path.c_str());
  return RemoveTreeAt(directory.get(), name, clean);
}

Result MeasureTree(const std::string& path, TreeUsage* usage) {
  *usage = TreeUsage{};
  Meter meter(usage);
  struct stat status;
  if (lstat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
    meter.Count(status);
    return Result::success();
  }
  Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid() || fstat(root.get(), &status) != 0) return Result::last("open directory", path.c_str());
  meter.Count(status);
  return TreeWalk(&meter).Run(std::move(root));
}

Result SyncFilesystem(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return Result::last("open", path.c_str());
  return syncfs(fd.get()) == 0 ? Result::success() : Result::last("syncfs", path.c_str());
}

}  // namespace berth
