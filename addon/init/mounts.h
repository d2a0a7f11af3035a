// What the steps that mount have in common.
#pragma once

#include <string.h>
#include <sys/mount.h>

#include "../kernel/fd.h"
#include "../kernel/result.h"

namespace berth {

/// Attaches the detached mount to the place `target` (O_PATH).
inline Result MoveInto(int mount, int target, const char* path) {
  if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
    return Result::last("move_mount", path);
  }
  return Result::success();
}

inline Result CloneTree(int fd, bool recursive, const char* path, Fd* tree) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  tree->reset(open_tree(fd, "", flags));
  return tree->valid() ? Result::success() : Result::last("open_tree", path);
}

/// Makes the mount of a configured file system context.
inline Result Finish(int context, unsigned attributes, const char* path, Fd* mount) {
  if (fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return Result::last("fsconfig create", path);
  mount->reset(fsmount(context, FSMOUNT_CLOEXEC, attributes));
  return mount->valid() ? Result::success() : Result::last("fsmount", path);
}

}  // namespace berth
