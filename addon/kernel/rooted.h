// Paths beneath a root descriptor: openat2 with RESOLVE_IN_ROOT, so that no symbolic link, ".." or
// magic link inside a container's file system leads out of it.
#pragma once

#include <sys/types.h>

#include "fd.h"
#include "result.h"

namespace berth {

/// Opens `path` beneath `root` (leading slashes mean the root). `flags` without O_CLOEXEC, which is added.
Result OpenInRoot(int root, const char* path, int flags, mode_t mode, Fd* out);

/// The same without following any symbolic link: ELOOP where one is on the way.
Result OpenPlainInRoot(int root, const char* path, int flags, Fd* out);

/// Makes every missing directory of `path` beneath `root` (0755, root). `made` tells whether the last one was
/// made.
Result MakeDirsInRoot(int root, const char* path, mode_t mode, bool* made);

/// Opens the parent directory of `path` beneath `root`, making it when missing, and points `name` at the last
/// component.
Result OpenParentInRoot(int root, const char* path, Fd* parent, const char** name);

/// Makes an empty regular file at `path` beneath `root` when nothing is there.
Result MakeFileInRoot(int root, const char* path);

}  // namespace berth
