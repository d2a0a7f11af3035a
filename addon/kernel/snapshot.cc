#include "snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "fd.h"

namespace berth {

namespace {

/// `name` in `parent`, opened. The mode of one that was there is set again.
Result MakeAt(int parent, const char* name, mode_t mode, const std::string& shown, Fd* directory) {
  if (mkdirat(parent, name, mode) != 0 && errno != EEXIST) return Result::last("mkdirat", shown.c_str());
  directory->reset(openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory->valid()) return Result::last("openat", shown.c_str());
  return fchmod(directory->get(), mode) == 0 ? Result::success() : Result::last("fchmod", shown.c_str());
}

}  // namespace

Result MakeSnapshot(const std::string& path) {
  Fd snapshot, upper, work;
  Result result = MakeAt(AT_FDCWD, path.c_str(), 0700, path, &snapshot);
  if (result.ok()) result = MakeAt(snapshot.get(), "u", 0755, path + "/u", &upper);
  return result.ok() ? MakeAt(snapshot.get(), "w", 0700, path + "/w", &work) : result;
}

}  // namespace berth
