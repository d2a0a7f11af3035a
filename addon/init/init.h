// Runs a plan, step by step. Between clone3 and execve nothing is allocated and nothing is parsed.
#pragma once

#include <sys/types.h>

#include "../kernel/fd.h"
#include "../kernel/handshake.h"
#include "plan.h"

namespace berth {

/// What the steps of one plan share. Descriptors are plain numbers: the process ends or execs soon.
struct InitContext {
  const Plan* plan = nullptr;
  int sync = -1;              // SOCK_SEQPACKET to the monitor
  int target_pidfd = -1;      // whose namespaces `join` enters
  int pod_mount_ns = -1;      // mount namespace that holds the pod's /dev/shm at /shm
  int userns = -1;            // the pod's user namespace
  bool maps_layers = false;   // layers are seen with its ids
  int partner = -1;           // of a container with a user namespace: its mounter, and the other way round
  int stdio[3] = {0, 1, 2};   // of the process to be
  int root = -1;              // root mount, O_PATH
  bool root_is_ours = false;  // set up by this plan, so that /dev/console may be mounted
  bool root_is_locked = false;  // in mounts of another user namespace's making
  int terminal = -1;          // pty slave
  bool tty = false;           // stdio comes from `console`
  const char* mount_label = nullptr;  // SELinux context of the file systems that are mounted
  int slots[kPlanSlots];
  const char** argv = nullptr;  // room for argc + 1, made by the monitor
  const char** envp = nullptr;

  InitContext() {
    for (int& slot : slots) slot = -1;
  }
};

/// Executes one step of a container or an exec.
Result RunStep(InitContext& context, const PlanStep& step);

/// In the cloned process: runs every step; the last one execs. Reports a failure to the monitor and exits.
[[noreturn]] void RunInit(InitContext& context);

// A container in a user namespace is made by two processes (docs/monitor-protocol.md, "User namespaces"):
//
//   the steps before enter-user-namespace   with the host's privileges, what a process inherits
//   up to take-mounts                       the mounter, with the host's privileges: the container's mounts
//   the rest                                the container's process, which never had such privileges

/// The steps before enter-user-namespace. `index` is that of a step that failed.
Result RunInherited(InitContext& context, uint16_t* index);
/// In the container's process, born in the pod's user namespace: waits for its mounts, does the rest.
[[noreturn]] void RunInside(InitContext& context);
/// In the mounter: makes the mounts and hands them over. Ends.
[[noreturn]] void RunMounter(InitContext& context);

/// One descriptor in a message over a SOCK_SEQPACKET pair.
Result SendDescriptor(int socket, InitMessageKind kind, int fd);
Result ReceiveDescriptor(int socket, Fd* fd);

// -- steps, by topic (steps_*.cc) ----------------------------------------------------------------

Result MountPropagation(InitContext& context, const PlanStep& step);
Result OpenTree(InitContext& context, const PlanStep& step);
Result OpenShm(InitContext& context, const PlanStep& step);
Result OpenUserNamespace(InitContext& context, const PlanStep& step);
Result OverlayRoot(InitContext& context, const PlanStep& step);
Result Mount(InitContext& context, const PlanStep& step);
Result AttachTree(InitContext& context, const PlanStep& step);
Result MakeNode(InitContext& context, const PlanStep& step);
Result Symlink(InitContext& context, const PlanStep& step);
Result MakeDir(InitContext& context, const PlanStep& step);
Result Mask(InitContext& context, const PlanStep& step);
Result ReadonlyPath(InitContext& context, const PlanStep& step);
Result RootReadonly(InitContext& context, const PlanStep& step);
Result ImageTree(InitContext& context, const PlanStep& step);
Result MapSnapshots(InitContext& context, const PlanStep& step);
Result FileIds(InitContext& context, const PlanStep& step);
Result ShareGroup(InitContext& context, const PlanStep& step);
Result DelegateCgroup(InitContext& context, const PlanStep& step);
Result PivotRoot(InitContext& context, const PlanStep& step);
Result Console(InitContext& context, const PlanStep& step);
Result HostRoot(InitContext& context, const PlanStep& step);
Result LockMounts(InitContext& context, const PlanStep& step);
Result HostDirectory(InitContext& context, const PlanStep& step);
Result MountLabel(InitContext& context, const PlanStep& step);

Result OwnStdio(InitContext& context, const PlanStep& step);
Result Join(InitContext& context, const PlanStep& step);
Result JoinPath(InitContext& context, const PlanStep& step);
Result OomScore(InitContext& context, const PlanStep& step);
Result Rlimit(InitContext& context, const PlanStep& step);
Result SessionKeyring(InitContext& context, const PlanStep& step);
Result CapBounding(InitContext& context, const PlanStep& step);
Result SetGroups(InitContext& context, const PlanStep& step);
Result SetUser(InitContext& context, const PlanStep& step);
Result CapSet(InitContext& context, const PlanStep& step);
Result CapAmbient(InitContext& context, const PlanStep& step);
Result NoNewPrivs(InitContext& context, const PlanStep& step);
Result Seccomp(InitContext& context, const PlanStep& step);
Result Umask(InitContext& context, const PlanStep& step);
Result Chdir(InitContext& context, const PlanStep& step);
Result ExecAttribute(InitContext& context, const PlanStep& step);
Result Pause(InitContext& context, const PlanStep& step);
Result Ready(InitContext& context, const PlanStep& step);
Result Exec(InitContext& context, const PlanStep& step);

}  // namespace berth
