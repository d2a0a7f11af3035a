// Data and metadata of entries. The order matters: a write clears setuid bits and capabilities, chown clears
// both as well, and anything at all changes the time.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "untar_names.h"
#include "untar_writer.h"

namespace berth {

namespace {

int WriteAll(int fd, Bytes bytes, int64_t offset) {
  while (bytes.size > 0) {
    ssize_t written =
        offset < 0 ? write(fd, bytes.data, bytes.size) : pwrite(fd, bytes.data, bytes.size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    bytes.data += written;
    bytes.size -= static_cast<size_t>(written);
    if (offset >= 0) offset += written;
  }
  return 0;
}

/// What is the layer's fault is told apart from what is the disk's. `fd` is on the layer's file system.
Result XattrFailure(int fd, const char* path) {
  int error = errno;
  struct statvfs room;
  // ext4 says so of attributes that do not fit into one block, too.
  bool full = error == ENOSPC && (fstatvfs(fd, &room) != 0 || room.f_bfree == 0);
  if (error == E2BIG || error == ERANGE || (error == ENOSPC && !full))
    return Result::failure("tar: extended attributes are too large for the file system", E2BIG, path);
  if (error == EPERM || error == EINVAL || error == EOPNOTSUPP)
    return Result::failure("tar: extended attribute cannot be set", error, path);
  return Result::failure("setxattr", error, path);
}

}  // namespace

Result UntarWriter::WriteData(const TarEntry& entry, int fd) {
  for (;;) {
    Bytes piece;
    Result result = reader_->Data(&piece);
    if (!result.ok()) return Result::failure(result.step, result.error, entry.path.c_str());
    if (piece.size == 0) return result;
    int error = WriteAll(fd, piece, -1);
    if (error != 0) return Result::failure("write file", error, entry.path.c_str());
  }
}

Result UntarWriter::WriteRuns(const TarEntry& entry, int fd) {
  if (ftruncate(fd, static_cast<off_t>(entry.file_size)) != 0) {
    bool large = errno == EFBIG || errno == EINVAL;
    return Result::last(large ? "tar: sparse file is too large for the file system" : "ftruncate",
                        entry.path.c_str());
  }
  Bytes piece;
  for (const SparseRun& run : entry.runs) {
    uint64_t offset = run.offset;
    uint64_t left = run.size;
    while (left > 0) {
      Result result;
      if (piece.size == 0) result = reader_->Data(&piece);
      if (result.ok() && piece.size == 0) result = Result::failure("tar: archive is truncated", EBADMSG);
      if (!result.ok()) return Result::failure(result.step, result.error, entry.path.c_str());
      Bytes part{piece.data, piece.size < left ? piece.size : static_cast<size_t>(left)};
      int error = WriteAll(fd, part, static_cast<int64_t>(offset));
      if (error != 0) return Result::failure("write file", error, entry.path.c_str());
      piece.data += part.size;
      piece.size -= part.size;
      offset += part.size;
      left -= part.size;
    }
  }
  return Result::success();
}

Result UntarWriter::SetFileMetadata(const TarEntry& entry, const Place& place, int fd) {
  const char* path = place.path.c_str();
  bool owned = entry.uid == 0 && entry.gid == 0 && !parent_.changes_group;
  if (!owned && fchown(fd, entry.uid, entry.gid) != 0) return Result::last("fchown", path);
  if ((entry.mode & 07000) != 0 && fchmod(fd, entry.mode) != 0) return Result::last("fchmod", path);
  for (const auto& [name, value] : entry.xattrs) {
    if (!XattrAllowed(name)) continue;
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) return XattrFailure(fd, path);
  }
  timespec times[2] = {{0, UTIME_OMIT}, entry.mtime};
  return futimens(fd, times) == 0 ? Result::success() : Result::last("futimens", path);
}

/// Of everything but regular files, by name: the entry was made by this thread, in a directory nobody else
/// has.
Result UntarWriter::SetMetadata(const TarEntry& entry, const Place& place, Made made) {
  int parent = parent_.fd;
  const char* name = place.name.c_str();
  const char* path = place.path.c_str();
  bool directory = entry.type == TarType::kDirectory;
  bool fresh = made == Made::kNew;
  bool owned = entry.uid == 0 && entry.gid == 0 && !parent_.changes_group && fresh;
  if (!owned && fchownat(parent, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return Result::last("fchownat", path);
  bool special = entry.type != TarType::kSymlink && (entry.mode & 07000) != 0;
  bool chmod = special || !fresh || (directory && parent_.gives_setgid);
  if (chmod && fchmodat(parent, name, entry.mode, 0) != 0) return Result::last("fchmodat", path);
  for (const auto& [key, value] : entry.xattrs) {
    if (!XattrAllowed(key)) continue;
    if (SetXattrAt(parent, place.name, key.c_str(), value.data(), value.size()) != 0)
      return XattrFailure(parent, path);
  }
  if (directory) return Result::success();  // its time is set at the end
  timespec times[2] = {{0, UTIME_OMIT}, entry.mtime};
  return utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) == 0 ? Result::success()
                                                                  : Result::last("utimensat", path);
}

}  // namespace berth
