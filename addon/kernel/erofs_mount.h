// Layers that are EROFS images: mounted from their file, without a block device (Linux 6.12), and attached
// nowhere.
#pragma once

#include <string>

#include "fd.h"
#include "result.h"

namespace berth {

/// Mounts the image at `path`, a regular file that no link leads to: read-only, nodev and noatime, detached,
/// gone with the last descriptor or overlay that has it. Every call makes a superblock of its own. Fails with
/// EBADMSG when the file is no complete image of berth's, and with what the kernel says: ENODEV where it has
/// no EROFS, ENOTBLK where it cannot mount files.
Result MountErofs(const std::string& path, Fd* mount);

/// The root of a layer in whichever form it has, O_PATH or of a detached mount: a directory is opened, a
/// regular file mounted. Links are not followed (ELOOP).
Result OpenLayerRoot(const std::string& path, Fd* root);

}  // namespace berth
