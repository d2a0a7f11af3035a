// Interface files of a cgroup, by path.
#pragma once

#include <string>

namespace berth {

/// False when the file cannot be written: a cgroup that is gone has nothing left to kill.
bool WriteCgroupFile(const std::string& cgroup, const char* file, const char* value);
/// Empty when there is no such file: its controller is not there.
std::string ReadCgroupFile(const std::string& cgroup, const char* file);
/// True while live processes are in the cgroup or below.
bool CgroupPopulated(const std::string& cgroup);

}  // namespace berth
