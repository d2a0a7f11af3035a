// Paths beneath a root directory that somebody hostile may have filled: every resolution is done by the
// kernel with the root as its ceiling (openat2, RESOLVE_IN_ROOT), never by looking first and using later.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace berth {

/// openat2 with O_CLOEXEC; repeats EINTR and the EAGAIN of a resolution that a rename elsewhere disturbed.
/// Returns the descriptor or -1 with errno.
int OpenAt2(int directory, const char* path, uint64_t flags, uint64_t resolve, uint64_t mode = 0);

/// Opens with symlinks, ".." and absolute paths resolved as if `root` were "/".
int OpenInRoot(int root, const std::string& path, uint64_t flags);

/// A path of an archive cut into its components: "", "." dropped, ".." applied. False when it leads above its
/// start. A leading "/" is dropped.
bool CleanPath(const std::string& path, std::string* clean);

/// "a/b/c" into "a/b" and "c".
void SplitPath(const std::string& path, std::string* parent, std::string* name);

/// Where the first prefix of `path` ends that is no directory, as `exists` tells of one: npos when it is the
/// whole path, which is known to be none. Asks seldom: hostile paths have thousands of components.
size_t FirstMissing(const std::string& path, const std::function<bool(const std::string& prefix)>& exists);

struct ParentDirectory {
  int fd = -1;
  /// A file made here may get another group than 0 by itself (setgid directory, or the grpid mount option).
  bool changes_group = false;
  /// A directory made here is setgid by itself.
  bool gives_setgid = false;
  ino_t inode = 0;
};

/// Opens the directories in which entries are made or looked at, keeping the last few open.
class ParentCache {
 public:
  enum class Missing { kMake, kFail };

  explicit ParentCache(int root, Missing missing = Missing::kMake) : root_(root), missing_(missing) {}

  /// The directory `path` (clean) in the root. Missing ones are, unless they are to fail, made, 0755 and
  /// root's, as are those to which a dangling symlink points. A whiteout in the way becomes an opaque
  /// directory.
  Result Open(const std::string& path, ParentDirectory* parent);
  /// To be called when an entry was replaced: any kept path may mean something else now. The descriptors stay
  /// open until the next Open.
  void Clear() {
    for (Kept& kept : kept_) stale_.push_back(std::move(kept.fd));
    kept_.clear();
  }

 private:
  struct Kept {
    std::string path;
    Fd fd;
    ParentDirectory directory;  // of fd
    uint64_t used = 0;
  };

  Result OpenOrMake(const std::string& path, int depth, Fd* fd);
  Result MakeOne(const std::string& prefix, int depth, Fd* fd);

  static constexpr size_t kKeep = 16;
  const int root_;
  const Missing missing_;
  uint64_t clock_ = 0;
  std::vector<Kept> kept_;
  std::vector<Fd> stale_;
};

/// Whether `status` is of an overlay whiteout: character device 0/0.
bool IsWhiteout(const struct stat& status);

/// Marks the directory `name` in `parent` opaque for overlayfs.
Result SetOpaque(int parent, const std::string& name, const std::string& path);

/// setxattr that follows no link: name beneath a directory descriptor.
int SetXattrAt(int parent, const std::string& name, const char* key, const void* value, size_t size);

}  // namespace berth
