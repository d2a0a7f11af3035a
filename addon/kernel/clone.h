// clone3(2): processes born in their cgroup, with a pidfd, and the cheap vfork-like kind for a large parent.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstddef>
#include <cstdint>

#include "fd.h"
#include "result.h"

namespace berth {

struct CloneRequest {
  uint64_t flags = 0;  // CLONE_NEW* and friends, without CLONE_PIDFD and CLONE_INTO_CGROUP
  int exit_signal = SIGCHLD;  // the parent's own with CLONE_PARENT
  int cgroup_fd = -1;  // O_DIRECTORY descriptor of the cgroup to be born in, -1: the parent's
};

struct CloneOutcome {
  pid_t pid = -1;  // 0 in the child
  int pidfd = -1;  // close-on-exec; -1 in the child
};

/// Forks by clone3 with CLONE_PIDFD | CLONE_CLEAR_SIGHAND; SIGCHLD at the end. Both processes return.
Result Clone(const CloneRequest& request, CloneOutcome* outcome);

/// Runs `body(argument)` in a child that shares the memory while the parent's thread waits for its
/// execve or exit (CLONE_VM | CLONE_VFORK), on a stack of its own. `body` must only make system calls; a
/// process that it clones without CLONE_VM goes on on a copy of the memory and may do more.
Result CloneVfork(const CloneRequest& request, int (*body)(void*), void* argument, CloneOutcome* outcome);

/// A process that does nothing and ends with this object, or with the thread that made it.
struct IdleProcess {
  pid_t pid = -1;
  Fd pidfd;
  pid_t parent = -1;
  void* stack = nullptr;
  size_t stack_bytes = 0;

  IdleProcess() = default;
  IdleProcess(const IdleProcess&) = delete;
  ~IdleProcess();
};

/// Clones one that shares the memory. `request.exit_signal` should be 0: nobody's SIGCHLD then tells of it.
Result CloneIdle(const CloneRequest& request, IdleProcess* idle);

}  // namespace berth
