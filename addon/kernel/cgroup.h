// Cgroups of the unified hierarchy. Paths are absolute and at or beneath the cgroup2 mount; ".." and symbolic
// links are refused (EINVAL, ELOOP), and so is the mount itself where a cgroup is killed or removed.
#pragma once

#include <string>

#include "fd.h"
#include "result.h"

namespace berth {

/// Where the first cgroup2 file system of this mount namespace is mounted. ENODEV when there is none.
Result FindCgroupMount(std::string* mount);

/// mkdir of the whole path (0755); what exists is fine. The controllers that a container may need are passed
/// on by every directory above it, as far as they and the kernel allow.
Result CreateCgroup(const std::string& path);

/// The directory of a cgroup, for reading. ENOENT when it is missing.
Result OpenCgroup(const std::string& path, Fd* directory);

/// Writes `value` to one interface file in one call.
Result WriteCgroup(const std::string& path, const std::string& file, const std::string& value);

/// Contents of one interface file. `found` is false when the file or the cgroup is missing.
Result ReadCgroup(const std::string& path, const std::string& file, bool* found, std::string* content);

/// Kills every process in the cgroup and beneath it, and waits at most `timeout_ms` until none is left.
/// `empty` tells whether that was reached; a missing cgroup is empty.
Result KillCgroup(const std::string& path, int timeout_ms, bool* empty);

/// KillCgroup, and when nothing is left, removes the cgroup and those beneath it. EBUSY is tried again for
/// half a second. Missing is success.
Result DestroyCgroup(const std::string& path, int timeout_ms, bool* empty);

}  // namespace berth
