#include "rooted.h"

#include <fcntl.h>
#include <linux/limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace berth {

namespace {

int Openat2(int root, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve = 0) {
  open_how how;
  memset(&how, 0, sizeof how);
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  for (;;) {
    long fd = syscall(SYS_openat2, root, path, &how, sizeof how);
    // EAGAIN: a rename raced with the resolution of ".."; the kernel asks to try again.
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR)) return static_cast<int>(fd);
  }
}

/// How many links that point to nothing are followed one after another, as the kernel does with others.
constexpr int kDanglingLinksMax = 8;

/// The path beneath the root that a symbolic link `name` in the directory `directory` stands for. `prefix` is
/// the link's own path, of which the first `parent` bytes name that directory.
bool LinkTarget(int directory, const char* name, const char* prefix, size_t parent, char (&path)[PATH_MAX]) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(directory, name, target, sizeof target - 1);
  if (size < 0) return false;
  target[size] = '\0';
  int kept = target[0] == '/' ? 0 : static_cast<int>(parent);
  int written = snprintf(path, sizeof path, "%.*s%s", kept, prefix, target);
  if (written >= 0 && static_cast<size_t>(written) < sizeof path) return true;
  errno = ENAMETOOLONG;
  return false;
}

Result MakeDirs(int root, const char* path, mode_t mode, int links_left, bool* made);

/// Steps `current` one component down, making the directory when it is missing. A link that points to nothing
/// (/var/run -> /run in an image without /run) has its target made.
int DescendMaking(int root, int current, const char* prefix, const char* name, mode_t mode, int links_left,
                  bool* made) {
  *made = mkdirat(current, name, mode) == 0;
  if (!*made && errno != EEXIST) return -1;
  // From the root again, by the whole prefix: a component may be a symbolic link.
  int next = Openat2(root, prefix, O_PATH | O_DIRECTORY, 0);
  if (next >= 0 || errno != ENOENT) return next;
  char target[PATH_MAX];
  if (!LinkTarget(current, name, prefix, static_cast<size_t>(name - prefix), target)) return -1;
  Result result = links_left > 0 ? MakeDirs(root, target, mode, links_left - 1, made)
                                 : Result::failure("mkdirat", ELOOP, prefix);
  errno = result.error;
  return result.ok() ? Openat2(root, prefix, O_PATH | O_DIRECTORY, 0) : -1;
}

Result MakeDirs(int root, const char* path, mode_t mode, int links_left, bool* made) {
  *made = false;
  char prefix[PATH_MAX];
  size_t length = strlen(path);
  if (length >= sizeof prefix) return Result::failure("mkdirat", ENAMETOOLONG, path);
  memcpy(prefix, path, length + 1);
  Fd current(Openat2(root, ".", O_PATH | O_DIRECTORY, 0));
  if (!current.valid()) return Result::last("openat2", path);
  size_t at = 0;
  while (true) {
    while (prefix[at] == '/') at++;
    if (prefix[at] == '\0') return Result::success();
    size_t end = at;
    while (prefix[end] != '/' && prefix[end] != '\0') end++;
    bool last = prefix[end + strspn(prefix + end, "/")] == '\0';
    char saved = prefix[end];
    prefix[end] = '\0';
    int next = Openat2(root, prefix, O_PATH | O_DIRECTORY, 0);
    if (next < 0 && errno == ENOENT) {
      next = DescendMaking(root, current.get(), prefix, prefix + at, last ? mode : 0755, links_left, made);
    } else {
      *made = false;
    }
    if (next < 0) return Result::last("mkdirat", path);
    current.reset(next);
    prefix[end] = saved;
    at = end;
  }
}

Result MakeFile(int root, const char* path, int links_left) {
  Fd parent;
  const char* name;
  Result result = OpenParentInRoot(root, path, &parent, &name);
  if (!result.ok()) return result;
  Fd file(openat(parent.get(), name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644));
  if (file.valid()) return Result::success();
  if (errno != EEXIST) return Result::last("openat", path);
  Fd there(Openat2(root, path, O_PATH, 0));
  if (there.valid() || errno != ENOENT) return Result::success();
  char target[PATH_MAX];
  if (!LinkTarget(parent.get(), name, path, static_cast<size_t>(name - path), target)) {
    return Result::last("readlinkat", path);
  }
  return links_left > 0 ? MakeFile(root, target, links_left - 1) : Result::failure("openat", ELOOP, path);
}

}  // namespace

Result OpenInRoot(int root, const char* path, int flags, mode_t mode, Fd* out) {
  out->reset(Openat2(root, path, static_cast<uint64_t>(static_cast<unsigned>(flags)), mode));
  return out->valid() ? Result::success() : Result::last("openat2", path);
}

Result OpenPlainInRoot(int root, const char* path, int flags, Fd* out) {
  uint64_t wanted = static_cast<uint64_t>(static_cast<unsigned>(flags));
  out->reset(Openat2(root, path, wanted, 0, RESOLVE_NO_SYMLINKS));
  return out->valid() ? Result::success() : Result::last("openat2", path);
}

Result MakeDirsInRoot(int root, const char* path, mode_t mode, bool* made) {
  return MakeDirs(root, path, mode, kDanglingLinksMax, made);
}

Result OpenParentInRoot(int root, const char* path, Fd* parent, const char** name) {
  const char* slash = strrchr(path, '/');
  *name = slash == nullptr ? path : slash + 1;
  if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
    return Result::failure("open parent", EINVAL, path);
  }
  char directory[PATH_MAX] = ".";
  if (slash != nullptr && slash != path) {
    size_t length = static_cast<size_t>(slash - path);
    if (length >= sizeof directory) return Result::failure("open parent", ENAMETOOLONG, path);
    memcpy(directory, path, length);
    directory[length] = '\0';
    bool made;
    Result result = MakeDirsInRoot(root, directory, 0755, &made);
    if (!result.ok()) return result;
  }
  return OpenInRoot(root, directory, O_PATH | O_DIRECTORY, 0, parent);
}

Result MakeFileInRoot(int root, const char* path) { return MakeFile(root, path, kDanglingLinksMax); }

}  // namespace berth
