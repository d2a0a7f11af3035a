#include "rootfd.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

namespace berth {

namespace {

constexpr uint64_t kInRoot = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
constexpr uint64_t kDirectory = O_PATH | O_DIRECTORY;
constexpr int kMaxLinks = 40;  // as the kernel allows in one resolution

}  // namespace

int OpenAt2(int directory, const char* path, uint64_t flags, uint64_t resolve, uint64_t mode) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = resolve;
  for (int attempt = 0;; attempt++) {
    int fd = static_cast<int>(syscall(SYS_openat2, directory, path, &how, sizeof how));
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == 1000) return fd;
  }
}

int OpenInRoot(int root, const std::string& path, uint64_t flags) {
  return OpenAt2(root, path.empty() ? "." : path.c_str(), flags, kInRoot);
}

bool CleanPath(const std::string& path, std::string* clean) {
  clean->clear();
  for (size_t at = 0; at < path.size();) {
    size_t slash = std::min(path.find('/', at), path.size());
    size_t size = slash - at;
    bool dot = size == 1 && path[at] == '.';
    bool up = size == 2 && path[at] == '.' && path[at + 1] == '.';
    if (up) {
      if (clean->empty()) return false;
      size_t last = clean->rfind('/');
      clean->resize(last == std::string::npos ? 0 : last);
    } else if (size > 0 && !dot) {
      if (!clean->empty()) clean->push_back('/');
      clean->append(path, at, size);
    }
    at = slash + 1;
  }
  return true;
}

void SplitPath(const std::string& path, std::string* parent, std::string* name) {
  size_t slash = path.rfind('/');
  *parent = slash == std::string::npos ? "" : path.substr(0, slash);
  *name = slash == std::string::npos ? path : path.substr(slash + 1);
}

size_t FirstMissing(const std::string& path, const std::function<bool(const std::string& prefix)>& exists) {
  std::vector<size_t> slashes;
  for (size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
    slashes.push_back(slash);
  // What leads to a directory leads through directories. Most entries lack one or two at the end.
  auto found = slashes.begin(), missing = slashes.end();
  auto leads = [&](size_t slash) { return exists(path.substr(0, slash)); };
  for (std::ptrdiff_t step = 1; found == slashes.begin() && found != missing; step *= 2) {
    auto at = missing - std::min(step, missing - found);
    if (leads(*at))
      found = at + 1;
    else
      missing = at;
  }
  missing = std::partition_point(found, missing, leads);
  return missing == slashes.end() ? std::string::npos : *missing;
}

bool IsWhiteout(const struct stat& status) { return S_ISCHR(status.st_mode) && status.st_rdev == 0; }

int SetXattrAt(int parent, const std::string& name, const char* key, const void* value, size_t size) {
  std::string path = "/proc/self/fd/" + std::to_string(parent) + "/" + name;
  return lsetxattr(path.c_str(), key, value, size, 0);
}

Result SetOpaque(int parent, const std::string& name, const std::string& path) {
  if (SetXattrAt(parent, name, "trusted.overlay.opaque", "y", 1) == 0) return Result::success();
  return Result::last("set trusted.overlay.opaque", path.c_str());
}

Result ParentCache::Open(const std::string& path, ParentDirectory* parent) {
  clock_++;
  stale_.clear();
  for (Kept& kept : kept_) {
    if (kept.path != path) continue;
    kept.used = clock_;
    *parent = kept.directory;
    return Result::success();
  }
  Fd fd;
  Result result = OpenOrMake(path, 0, &fd);
  if (!result.ok()) return result;
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return Result::last("fstat", path.c_str());
  if (kept_.size() == kKeep) {
    auto oldest =
        std::min_element(kept_.begin(), kept_.end(), [](auto& a, auto& b) { return a.used < b.used; });
    kept_.erase(oldest);
  }
  *parent = {fd.get(), status.st_gid != 0, (status.st_mode & S_ISGID) != 0, status.st_ino};
  kept_.push_back({path, std::move(fd), *parent, clock_});
  return Result::success();
}

Result ParentCache::OpenOrMake(const std::string& path, int depth, Fd* fd) {
  if (path.size() >= PATH_MAX) return Result::failure("tar: name is too long", ENAMETOOLONG, path.c_str());
  fd->reset(OpenInRoot(root_, path, kDirectory));
  if (fd->valid()) return Result::success();
  if (missing_ == Missing::kFail || (errno != ENOENT && errno != ENOTDIR))
    return Result::last("open parent directory", path.c_str());
  auto exists = [&](const std::string& prefix) { return Fd(OpenInRoot(root_, prefix, kDirectory)).valid(); };
  for (size_t slash = FirstMissing(path, exists);; slash = path.find('/', slash + 1)) {
    Result result = MakeOne(path.substr(0, slash), depth, fd);
    if (!result.ok() || slash == std::string::npos) return result;
  }
}

/// Makes the last component of `prefix`; those before it exist.
Result ParentCache::MakeOne(const std::string& prefix, int depth, Fd* fd) {
  fd->reset(OpenInRoot(root_, prefix, kDirectory));
  if (fd->valid()) return Result::success();
  if (errno != ENOENT && errno != ENOTDIR) return Result::last("open parent directory", prefix.c_str());
  std::string parent_path, name;
  SplitPath(prefix, &parent_path, &name);
  Fd parent(OpenInRoot(root_, parent_path, kDirectory));
  if (!parent.valid()) return Result::last("open parent directory", prefix.c_str());
  struct stat status;
  bool exists = fstatat(parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && S_ISLNK(status.st_mode)) {
    // A link of this layer to a directory that only a lower layer has.
    char target[PATH_MAX];
    ssize_t size = readlinkat(parent.get(), name.c_str(), target, sizeof target);
    if (size < 0) return Result::last("readlinkat", prefix.c_str());
    if (depth == kMaxLinks) return Result::failure("tar: too many links in a path", ELOOP, prefix.c_str());
    std::string next(target, static_cast<size_t>(size));
    return OpenOrMake(next.starts_with('/') ? next.substr(1) : parent_path + "/" + next, depth + 1, fd);
  }
  bool whiteout = exists && IsWhiteout(status);
  if (exists && !whiteout) return Result::failure("tar: parent is not a directory", ENOTDIR, prefix.c_str());
  if (whiteout && unlinkat(parent.get(), name.c_str(), 0) != 0)
    return Result::last("unlinkat", prefix.c_str());
  if (mkdirat(parent.get(), name.c_str(), 0755) != 0) return Result::last("mkdirat", prefix.c_str());
  // The parent may be setgid, or the file system's group semantics BSD's.
  if (fchownat(parent.get(), name.c_str(), 0, 0, AT_SYMLINK_NOFOLLOW) != 0)
    return Result::last("fchownat", prefix.c_str());
  if (fchmodat(parent.get(), name.c_str(), 0755, 0) != 0) return Result::last("fchmodat", prefix.c_str());
  if (whiteout) {
    Result result = SetOpaque(parent.get(), name, prefix);
    if (!result.ok()) return result;
  }
  fd->reset(OpenInRoot(root_, prefix, kDirectory));
  return fd->valid() ? Result::success() : Result::last("open parent directory", prefix.c_str());
}

}  // namespace berth
