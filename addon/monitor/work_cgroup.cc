#include "work_cgroup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup_file.h"

namespace berth {

Result WorkCgroup::Make(const std::string& base, uint64_t number) {
  path_ = base + "/n-" + std::to_string(number);
  if (mkdir(path_.c_str(), 0755) != 0) return Result::last("mkdir cgroup", path_.c_str());
  fd_.reset(open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd_.valid() ? Result::success() : Result::last("open cgroup", path_.c_str());
}

void WorkCgroup::Kill() {
  if (!path_.empty()) WriteCgroupFile(path_, "cgroup.kill", "1");
}

void WorkCgroup::Remove() {
  // Where something is left in it, the removal of the container takes it along.
  if (!path_.empty()) (void)!rmdir(path_.c_str());
  path_.clear();
  fd_.reset();
}

}  // namespace berth
