#include "untar_writer.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "tar_record.h"
#include "tree.h"

namespace berth {

namespace {

// Memory for the directories' names; a real layer needs about one megabyte.
constexpr size_t kMaxDirectoryBytes = 64 << 20;

}  // namespace

Result UntarWriter::OpenParent(const TarEntry&, const Place& place) {
  return parents_.Open(place.parent, &parent_);
}

Result UntarWriter::MakeRoot(const TarEntry& entry) {
  parents_.Clear();  // see MakeDirectory
  parent_ = {root_};
  Result result = SetMetadata(entry, Place{"", "", "."}, Made::kFound);
  return result.ok() ? RememberTime("", entry.mtime) : result;
}

Result UntarWriter::MakeOpaque(const Place& place) { return SetOpaque(parent_.fd, ".", place.path); }

Result UntarWriter::MakeWhiteout(const Place& place, const std::string& name) {
  struct stat status;
  if (fstatat(parent_.fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0)
    return S_ISDIR(status.st_mode) ? SetOpaque(parent_.fd, name, place.path) : Result::success();
  if (errno != ENOENT) return Result::last("fstatat", place.path.c_str());
  if (mknodat(parent_.fd, name.c_str(), S_IFCHR, 0) != 0)
    return Result::last("make whiteout", place.path.c_str());
  return Result::success();
}

Result UntarWriter::MakeFile(const TarEntry& entry, const Place& place) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  Fd fd(openat(parent_.fd, place.name.c_str(), kFlags, entry.mode & 0777));
  if (!fd.valid() && errno == EEXIST) {
    Result result = RemoveExisting(place, entry);
    if (!result.ok()) return result;
    fd.reset(openat(parent_.fd, place.name.c_str(), kFlags, entry.mode & 0777));
  }
  if (!fd.valid()) return Result::last("create file", place.path.c_str());
  Result result = entry.sparse ? WriteRuns(entry, fd.get()) : WriteData(entry, fd.get());
  return result.ok() ? SetFileMetadata(entry, place, fd.get()) : result;
}

Result UntarWriter::MakeDirectory(const TarEntry& entry, const Place& place) {
  int parent = parent_.fd;
  const char* name = place.name.c_str();
  bool opaque = false;
  Made made = Made::kNew;
  if (mkdirat(parent, name, entry.mode & 0777) != 0) {
    if (errno != EEXIST) return Result::last("mkdirat", place.path.c_str());
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
      return Result::last("fstatat", place.path.c_str());
    if (!S_ISDIR(status.st_mode)) {
      opaque = IsWhiteout(status);
      Result result = RemoveExisting(place, entry);
      if (!result.ok()) return result;
      if (mkdirat(parent, name, entry.mode & 0777) != 0) return Result::last("mkdirat", place.path.c_str());
    } else {
      made = Made::kFound;
      parents_.Clear();  // its group may change, which kept parents remember
    }
  }
  Result result;
  if (opaque) result = SetOpaque(parent, place.name, place.path);
  if (result.ok()) result = SetMetadata(entry, place, made);
  return result.ok() ? RememberTime(place.path, entry.mtime) : result;
}

Result UntarWriter::MakeSymlink(const TarEntry& entry, const Place& place) {
  const char* target = entry.link.c_str();
  int failed = symlinkat(target, parent_.fd, place.name.c_str());
  if (failed != 0 && errno == EEXIST) {
    Result result = RemoveExisting(place, entry);
    if (!result.ok()) return result;
    failed = symlinkat(target, parent_.fd, place.name.c_str());
  }
  return failed == 0 ? SetMetadata(entry, place, Made::kNew) : Result::last("symlinkat", place.path.c_str());
}

Result UntarWriter::MakeNode(const TarEntry& entry, const Place& place) {
  mode_t kind = entry.type == TarType::kFifo          ? S_IFIFO
                : entry.type == TarType::kCharDevice ? S_IFCHR
                                                     : S_IFBLK;
  mode_t mode = kind | (entry.mode & 0777);
  dev_t device = entry.type == TarType::kFifo ? 0 : entry.device;
  int failed = mknodat(parent_.fd, place.name.c_str(), mode, device);
  if (failed != 0 && errno == EEXIST) {
    Result result = RemoveExisting(place, entry);
    if (!result.ok()) return result;
    failed = mknodat(parent_.fd, place.name.c_str(), mode, device);
  }
  return failed == 0 ? SetMetadata(entry, place, Made::kNew) : Result::last("mknodat", place.path.c_str());
}

Result UntarWriter::MakeHardLink(const TarEntry& entry, const Place& place, const Place& target) {
  const char* target_name = target.name.c_str();
  Fd parent(OpenInRoot(root_, target.parent, O_PATH | O_DIRECTORY));
  struct stat source, existing;
  if (!parent.valid() || fstatat(parent.get(), target_name, &source, AT_SYMLINK_NOFOLLOW) != 0)
    return MissingTarget(place, errno);
  if (IsWhiteout(source)) return MissingTarget(place, ENOENT);
  if (S_ISDIR(source.st_mode)) return DirectoryTarget(place);
  int to = parent_.fd;
  int failed = linkat(parent.get(), target_name, to, place.name.c_str(), 0);
  if (failed != 0 && errno == EEXIST) {
    bool found = fstatat(to, place.name.c_str(), &existing, AT_SYMLINK_NOFOLLOW) == 0;
    if (found && existing.st_dev == source.st_dev && existing.st_ino == source.st_ino)
      return Result::success();
    Result result = RemoveExisting(place, entry);
    if (!result.ok()) return result;
    failed = linkat(parent.get(), target_name, to, place.name.c_str(), 0);
  }
  if (failed == 0) return Result::success();
  return Result::last(errno == EMLINK ? "tar: more hard links than the file system allows" : "linkat",
                      place.path.c_str());
}

/// Whether the tar could still be made again without what is there: a symlink may have been the way to files.
bool UntarWriter::IsReplaceable(const Place& place, const TarEntry& entry) const {
  struct stat status;
  if (fstatat(parent_.fd, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return true;
  if (S_ISDIR(status.st_mode)) return false;
  if (S_ISREG(status.st_mode)) return status.st_size == 0;
  if (!S_ISLNK(status.st_mode)) return true;
  char target[PATH_MAX];
  ssize_t size = readlinkat(parent_.fd, place.name.c_str(), target, sizeof target);
  return size >= 0 && entry.type == TarType::kSymlink &&
         entry.link == std::string(target, static_cast<size_t>(size));
}

Result UntarWriter::RemoveExisting(const Place& place, const TarEntry& entry) {
  if (recorder_ != nullptr && !IsReplaceable(place, entry)) recorder_->Lost(place.path);
  Result result = RemoveTreeAt(parent_.fd, place.name, place.path);
  if (!result.ok()) return result;
  parents_.Clear();
  // Times kept for directories that are gone.
  directory_times_.erase(place.path);
  auto first = directory_times_.lower_bound(place.path + "/");
  auto last = directory_times_.lower_bound(place.path + "0");  // '0' follows '/'
  directory_times_.erase(first, last);
  return Result::success();
}

Result UntarWriter::RememberTime(const std::string& path, const timespec& mtime) {
  bool added = directory_times_.insert_or_assign(path, DirectoryTime{mtime, parent_.inode}).second;
  if (added) directory_bytes_ += path.size() + 100;
  if (directory_bytes_ > kMaxDirectoryBytes)
    return Result::failure("tar: names of directories are too large", E2BIG, path.c_str());
  return Result::success();
}

Result UntarWriter::Finish() {
  ParentCache parents(root_, ParentCache::Missing::kFail);
  for (const auto& [path, time] : directory_times_) {
    std::string parent_path, name;
    SplitPath(path, &parent_path, &name);
    ParentDirectory parent{root_};
    if (!path.empty()) {
      Result result = parents.Open(parent_path, &parent);
      // A link on the way was replaced since.
      bool gone = result.error == ENOENT || result.error == ENOTDIR || result.error == ELOOP;
      if (gone || (result.ok() && parent.inode != time.parent)) continue;
      if (!result.ok()) return result;
    }
    timespec times[2] = {{0, UTIME_OMIT}, time.mtime};
    int failed = utimensat(parent.fd, path.empty() ? "." : name.c_str(), times, AT_SYMLINK_NOFOLLOW);
    if (failed != 0 && errno != ENOENT) return Result::last("utimensat", path.c_str());
  }
  return Result::success();
}

}  // namespace berth
