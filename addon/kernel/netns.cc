#include "netns.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "fd.h"
#include "userns.h"

namespace berth {

namespace {

constexpr char kThreadNetns[] = "/proc/thread-self/ns/net";

Result MakeParents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    std::string parent = path.substr(0, slash);
    if (mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return Result::last("mkdir", parent.c_str());
  }
  return Result::success();
}

Result RaiseLoopback() {
  Fd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket_fd.valid()) return Result::last("socket");
  struct ifreq request = {};
  strncpy(request.ifr_name, "lo", sizeof request.ifr_name - 1);
  if (ioctl(socket_fd.get(), SIOCGIFFLAGS, &request) != 0) return Result::last("get interface flags", "lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(socket_fd.get(), SIOCSIFFLAGS, &request) != 0) return Result::last("set interface flags", "lo");
  return Result::success();
}

/// In a child that shares the descriptors: a network namespace owned by the user namespace that it is in.
Result UnshareNetns(void* argument) {
  if (unshare(CLONE_NEWNET) != 0) return Result::last("unshare network namespace");
  int* made = static_cast<int*>(argument);
  *made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  return *made >= 0 ? Result::success() : Result::last("open", "/proc/self/ns/net");
}

Result EnterNewNetns(const IdMaps& maps) {
  if (maps.uids.empty()) {
    return unshare(CLONE_NEWNET) == 0 ? Result::success() : Result::last("unshare network namespace");
  }
  Fd userns;
  Result result = MakeUserNamespace(maps.uids.c_str(), maps.gids.c_str(), &userns);
  int made = -1;
  if (result.ok()) result = RunInUserNamespace(userns.get(), UnshareNetns, &made);
  Fd netns(made);
  if (!result.ok()) return result;
  return setns(netns.get(), CLONE_NEWNET) == 0 ? Result::success() : Result::last("setns network namespace");
}

/// Everything between the making of the file and the pin.
Result MakeAndPin(const std::string& path, const IdMaps& maps) {
  Result entered = EnterNewNetns(maps);
  if (!entered.ok()) return entered;
  Result raised = RaiseLoopback();
  if (!raised.ok()) return raised;
  if (mount(kThreadNetns, path.c_str(), nullptr, MS_BIND, nullptr) != 0) {
    return Result::last("bind mount", path.c_str());
  }
  return Result::success();
}

bool IsPinnedNetns(int directory, const char* name) {
  // O_NONBLOCK: a FIFO that somebody put here must not stop us.
  Fd entry(openat(directory, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (!entry.valid()) return false;
  struct statfs facts = {};
  if (fstatfs(entry.get(), &facts) != 0 || facts.f_type != NSFS_MAGIC) return false;
  return ioctl(entry.get(), NS_GET_NSTYPE) == CLONE_NEWNET;
}

}  // namespace

Result CreateNetns(const std::string& path, const IdMaps& maps) {
  Result parents = MakeParents(path);
  if (!parents.ok()) return parents;
  {
    Fd file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
    if (!file.valid()) return Result::last("create", path.c_str());
  }
  Result pinned = MakeAndPin(path, maps);
  if (!pinned.ok()) unlink(path.c_str());
  return pinned;
}

Result RemoveNetns(const std::string& path) {
  // EINVAL: a file, but no mount on it (a crash between the two).
  if (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != ENOENT && errno != EINVAL) {
    return Result::last("umount", path.c_str());
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return Result::last("unlink", path.c_str());
  return Result::success();
}

Result ListNetns(const std::string& directory, std::vector<std::string>* paths) {
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) {
    return errno == ENOENT ? Result::success() : Result::last("opendir", directory.c_str());
  }
  int error = 0;
  for (;;) {
    errno = 0;
    const struct dirent* entry = readdir(stream);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    if (entry->d_type == DT_DIR) continue;
    if (IsPinnedNetns(dirfd(stream), entry->d_name)) paths->push_back(directory + "/" + entry->d_name);
  }
  closedir(stream);
  return error == 0 ? Result::success() : Result::failure("readdir", error, directory.c_str());
}

}  // namespace berth
