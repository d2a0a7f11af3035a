// User namespaces without a process of their own, and what is done inside of them on behalf of a process that
// must stay outside.
#pragma once

#include "fd.h"
#include "result.h"

namespace berth {

/// Makes a user namespace whose maps are `uid_map` and `gid_map` (user_namespaces(7): "inside outside length"
/// lines). It lasts as long as the descriptor or what it owns.
Result MakeUserNamespace(const char* uid_map, const char* gid_map, Fd* userns);

/// The user namespace that owns another one, such as the network namespace at `path` (ioctl_ns(2)).
Result OwningUserNamespace(const char* path, Fd* userns);

/// Becomes root of the user namespace that the caller has entered. By raw system calls: libc would change
/// every thread of the process that the caller shares its memory with.
Result BecomeRoot();

/// Runs `body(argument)` in a child that shares memory and descriptors with the caller, which waits, in the
/// user namespace with every capability there, as the caller's user. It must only make system calls; its
/// Result is returned.
Result RunInUserNamespace(int userns, Result (*body)(void*), void* argument);

/// Maps the ids of the detached mount `tree` (its uppermost mount only) with `userns`. Where
/// the file system cannot, `path` of the result is "fs:0x<magic>".
Result MapTreeIds(int tree, int userns);

}  // namespace berth
