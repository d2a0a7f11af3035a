// What /proc/self/mountinfo says of one mount. No allocation: it is asked between clone3 and execve.
#pragma once

#include "result.h"

namespace berth {

/// Fails with EOPNOTSUPP unless the mount that `fd` (O_PATH) lies on passes mounts on to others (`shared`) or
/// gets mounts from others. `path` is for the message.
Result RequirePropagation(int fd, bool shared, const char* path);

}  // namespace berth
