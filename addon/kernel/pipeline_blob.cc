#include "pipeline_blob.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "rootfd.h"

namespace berth {

Result BlobFile::Open(const std::string& path) {
  path_ = path;
  Fd fd(open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
  struct stat status;
  if (!fd.valid() || fstat(fd.get(), &status) != 0) return Result::last("open blob file", path.c_str());
  if (!S_ISREG(status.st_mode)) return Result::failure("open blob file", EINVAL, path.c_str());
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return Result::last("lock blob file", path.c_str());
  replay_size_ = static_cast<uint64_t>(status.st_size);
  fd_ = std::move(fd);
  return Result::success();
}

Result BlobFile::Replay(ByteRing* ring) {
  posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  for (uint64_t at = 0; at < replay_size_;) {
    size_t room = 0;
    uint8_t* free = ring->Acquire(&room);
    if (free == nullptr) return Result::success();
    size_t wanted = static_cast<size_t>(std::min<uint64_t>(room, replay_size_ - at));
    ssize_t size = pread(fd_.get(), free, wanted, static_cast<off_t>(at));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Result::last("read blob file", path_.c_str());
    if (size == 0) return Result::failure("read blob file: it became shorter", EIO, path_.c_str());
    ring->Publish(static_cast<size_t>(size));
    at += static_cast<uint64_t>(size);
  }
  return Result::success();
}

Result BlobFile::Append(Bytes bytes) {
  if (position_ < replay_size_) {
    size_t old = static_cast<size_t>(std::min<uint64_t>(bytes.size, replay_size_ - position_));
    bytes.data += old;
    bytes.size -= old;
    position_ += old;
  }
  while (bytes.size > 0) {
    ssize_t size = pwrite(fd_.get(), bytes.data, bytes.size, static_cast<off_t>(position_));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Result::last("write blob file", path_.c_str());
    bytes.data += size;
    bytes.size -= static_cast<size_t>(size);
    position_ += static_cast<uint64_t>(size);
  }
  return Result::success();
}

namespace {

Result CopyWhole(int from, int directory, const char* name, const char* path, Fd* copy) {
  copy->reset(openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!copy->valid()) return Result::last("create file", path);
  off_t at = 0;
  for (;;) {
    ssize_t size = sendfile(copy->get(), from, &at, 1 << 30);
    if (size == 0) return Result::success();
    if (size < 0 && errno != EINTR) return Result::last("copy blob file", path);
  }
}

}  // namespace

Result BlobFile::PlaceIn(int root, const FramedFile& file) {
  std::string directory, name;
  SplitPath(file.name, &directory, &name);
  const char* path = file.name.c_str();
  Fd parent(OpenInRoot(root, directory, O_RDONLY | O_DIRECTORY));
  if (!parent.valid()) return Result::last("open directory", path);
  struct stat status;
  if (fstat(fd_.get(), &status) != 0) return Result::last("fstat", path_.c_str());
  std::string self = "/proc/self/fd/" + std::to_string(fd_.get());
  Fd copy;
  // With a second name it is a layer's file already, of a daemon that was killed before it let go of it.
  bool linked = status.st_nlink == 1;
  if (linked && linkat(AT_FDCWD, self.c_str(), parent.get(), name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (errno != EXDEV) return Result::last("link blob file", path);
    linked = false;
  }
  if (!linked) {
    Result result = CopyWhole(fd_.get(), parent.get(), name.c_str(), path, &copy);
    if (!result.ok()) return result;
  }
  int made = copy.valid() ? copy.get() : fd_.get();
  timespec times[2] = {{0, UTIME_OMIT}, {file.mtime, 0}};
  if (fchown(made, 0, 0) != 0) return Result::last("fchown", path);
  if (fchmod(made, 0644) != 0) return Result::last("fchmod", path);
  if (futimens(made, times) != 0) return Result::last("futimens", path);
  if (directory.empty()) return Result::success();
  // The new entry has changed its directory's, which TarFrameHead says is 0.
  times[1] = {0, 0};
  return futimens(parent.get(), times) == 0 ? Result::success() : Result::last("futimens", path);
}

}  // namespace berth
