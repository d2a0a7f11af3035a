#include "cgroup_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/fd.h"

namespace berth {

bool WriteCgroupFile(const std::string& cgroup, const char* file, const char* value) {
  Fd fd(open((cgroup + "/" + file).c_str(), O_WRONLY | O_CLOEXEC));
  return fd.valid() && write(fd.get(), value, strlen(value)) == static_cast<ssize_t>(strlen(value));
}

std::string ReadCgroupFile(const std::string& cgroup, const char* file) {
  Fd fd(open((cgroup + "/" + file).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return "";
  char text[4096];
  ssize_t size = read(fd.get(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : "";
}

bool CgroupPopulated(const std::string& cgroup) {
  return ReadCgroupFile(cgroup, "cgroup.events").find("populated 1") != std::string::npos;
}

}  // namespace berth
