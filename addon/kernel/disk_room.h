// Room that images leave to others on a disk: whoever has to fail for want of it shall be the image that does
// not fit.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// ENOSPC, with `path`, when less than one part in a hundred (at most a gibibyte) of the file system of `fd`
/// is free. What cannot be measured has room.
Result RequireDiskRoom(int fd, const char* path);

/// The same of the file system that holds `path`, which must be there.
Result RequireDiskRoom(const std::string& path);

}  // namespace berth
