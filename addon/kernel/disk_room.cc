#include "disk_room.h"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstdint>

#include "fd.h"

namespace berth {

namespace {

constexpr uint64_t kShare = 100, kMost = 1 << 30;

}  // namespace

Result RequireDiskRoom(int fd, const char* path) {
  struct statvfs room;
  if (fstatvfs(fd, &room) != 0 || room.f_blocks == 0) return Result::success();
  uint64_t kept = std::min<uint64_t>(room.f_blocks / kShare, kMost / room.f_frsize);
  if (room.f_bavail >= kept) return Result::success();
  return Result::failure("the disk is nearly full", ENOSPC, path);
}

Result RequireDiskRoom(const std::string& path) {
  Fd place(open(path.c_str(), O_PATH | O_CLOEXEC));
  if (!place.valid()) return Result::last("open", path.c_str());
  return RequireDiskRoom(place.get(), path.c_str());
}

}  // namespace berth
