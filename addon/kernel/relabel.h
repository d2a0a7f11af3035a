// SELinux labels of the files of a volume.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// Gives the file or the tree at `path` the label, without following links beneath it or crossing mounts.
/// What has it is left alone; a file system without labels (ENOTSUP) is fine.
Result Relabel(const std::string& path, const std::string& label);

}  // namespace berth
