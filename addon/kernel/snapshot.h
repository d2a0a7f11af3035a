// The writable part of a container's root file system.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// Makes the directory `path` (0700), whose parent exists, and in it "u" (0755), the overlay's upper
/// directory, and "w" (0700), its work directory, whatever the umask. Existing directories are fine.
Result MakeSnapshot(const std::string& path);

}  // namespace berth
