// How readily the kernel ends the processes of a cgroup when the host runs out of memory.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// Sets oom_score_adj of every process in the cgroup and in those beneath it. With `clamp` a value that this
/// process may not set (EACCES) is left out. Processes that end meanwhile do not count; ENOENT when the
/// cgroup is missing.
Result SetOomScore(const std::string& cgroup, int value, bool clamp);

}  // namespace berth
