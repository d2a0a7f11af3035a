// Walking, measuring and removing directory trees that somebody hostile may have made: by descriptor, never
// following a link, never crossing a mount, at any depth.
#pragma once

#include <cstdint>
#include <string>

#include "result.h"

namespace berth {

/// Removes `path` and what is beneath it. Missing is success. A mount point inside is an error (EXDEV) that
/// leaves it and the directories above it in place.
Result RemoveTree(const std::string& path);

/// The same of `name` in an open directory; `shown` is what errors call it.
Result RemoveTreeAt(int directory, const std::string& name, const std::string& shown);

struct TreeUsage {
  uint64_t bytes = 0;   // of allocated 512-byte blocks
  uint64_t inodes = 0;  // the directory itself included; hard links once
};

/// What the tree at the directory `path` takes, or the regular file there. Entries that vanish meanwhile do
/// not count; mounts inside are left out.
Result MeasureTree(const std::string& path, TreeUsage* usage);

/// syncfs of the file system that holds `path`.
Result SyncFilesystem(const std::string& path);

}  // namespace berth
