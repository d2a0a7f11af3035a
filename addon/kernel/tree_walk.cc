#include "tree_walk.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "rootfd.h"

namespace berth {

namespace {

constexpr size_t kOpenLevels = 64;
constexpr size_t kEntryBytes = 16 << 10;

struct Dirent64 {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  unsigned char type;
  char name[];
};

}  // namespace

Result TreeWalk::Enter(const std::string& name, Fd fd) {
  struct stat status;
  if (fstat(fd.get(), &status) != 0) return Result::last("fstat", name.c_str());
  levels_.emplace_back();
  Level& level = levels_.back();
  level.fd = std::move(fd);
  level.device = status.st_dev;
  level.inode = status.st_ino;
  level.name = name;
  if (levels_.size() > kOpenLevels) {
    Level& far = levels_[levels_.size() - 1 - kOpenLevels];
    far.fd.reset();
    far.entries = {};
    far.at = far.end = 0;
  }
  return Result::success();
}

/// `level` was closed on the way down: back through ".." of its child, unless somebody moved it.
Result TreeWalk::Reopen(Level* level, int child) {
  Fd fd(openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!fd.valid() || fstat(fd.get(), &status) != 0)
    return Result::last("open directory", level->name.c_str());
  if (status.st_dev != level->device || status.st_ino != level->inode)
    return Result::failure("walk tree: directory was moved", ESTALE, level->name.c_str());
  if (lseek(fd.get(), level->resume, SEEK_SET) < 0) return Result::last("lseek", level->name.c_str());
  level->fd = std::move(fd);
  return Result::success();
}

Result TreeWalk::Leave() {
  Level done = std::move(levels_.back());
  levels_.pop_back();
  if (levels_.empty()) return Result::success();
  Level& level = levels_.back();
  if (!level.fd.valid()) {
    Result result = Reopen(&level, done.fd.get());
    if (!result.ok()) return result;
  }
  done.fd.reset();
  return visitor_->Leave(level.fd.get(), done.name.c_str());
}

Result TreeWalk::ReadMore(Level* level) {
  level->entries.resize(kEntryBytes);
  long size = syscall(SYS_getdents64, level->fd.get(), level->entries.data(), kEntryBytes);
  // ENOENT: the directory itself was removed meanwhile, and so has no entries.
  Result result;
  if (size < 0 && errno != ENOENT) result = visitor_->Unreadable(level->name.c_str(), errno);
  level->at = 0;
  level->end = size < 0 ? 0 : static_cast<size_t>(size);
  return result;
}

Result TreeWalk::Run(Fd root) {
  Result result = Enter(".", std::move(root));
  while (result.ok() && !levels_.empty()) {
    Level& level = levels_.back();
    if (level.at == level.end) {
      result = ReadMore(&level);
      if (result.ok() && level.end == 0) result = Leave();
      continue;
    }
    const auto* entry = reinterpret_cast<const Dirent64*>(level.entries.data() + level.at);
    level.at += entry->size;
    level.resume = entry->next;
    std::string name = entry->name;
    if (name == "." || name == "..") continue;
    bool descend = false;
    result = visitor_->Visit(level.fd.get(), name.c_str(), entry->type, &descend);
    if (!result.ok() || !descend) continue;
    constexpr uint64_t kResolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    Fd child(OpenAt2(level.fd.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, kResolve));
    result = child.valid() ? Enter(name, std::move(child)) : visitor_->Blocked(name.c_str(), errno);
  }
  return result;
}

}  // namespace berth
