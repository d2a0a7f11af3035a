// clone3(2): processes born in their cgroup, with a pidfd, and the cheap vfork-like kind for a large parent.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "result.h"

namespace berth {

struct CloneRequest {
  uint64_t flags = 0;  // CLONE_NEW* and friends, without CLONE_PIDFD and CLONE_INTO_CGROUP
  int cgroup_fd = -1;  // O_DIRECTORY descriptor of the cgroup to be born in, -1: the parent's
};

struct CloneOutcome {
  pid_t pid = -1;  // 0 in the child
  int pidfd = -1;  // close-on-exec; -1 in the child
};

/// Forks by clone3 with CLONE_PIDFD | CLONE_CLEAR_SIGHAND; SIGCHLD at the end. Both processes return.
Result Clone(const CloneRequest& request, CloneOutcome* outcome);

/// Runs `body(argument)` in a child that shares the memory while the parent's thread waits for its
/// execve or exit (CLONE_VM | CLONE_VFORK), on a stack of its own. `body` must only make system calls.
Result CloneVfork(const CloneRequest& request, int (*body)(void*), void* argument, CloneOutcome* outcome);

}  // namespace berth
