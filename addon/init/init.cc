#include "init.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/handshake.h"
#include "../kernel/userns.h"

namespace berth {

Result RunStep(InitContext& context, const PlanStep& step) {
  switch (static_cast<Op>(step.op)) {
    case Op::kMountPropagation: return MountPropagation(context, step);
    case Op::kOpenTree: return OpenTree(context, step);
    case Op::kOpenShm: return OpenShm(context, step);
    case Op::kMountLabel: return MountLabel(context, step);
    case Op::kOverlayRoot: return OverlayRoot(context, step);
    case Op::kMount: return Mount(context, step);
    case Op::kAttachTree: return AttachTree(context, step);
    case Op::kMakeNode: return MakeNode(context, step);
    case Op::kSymlink: return Symlink(context, step);
    case Op::kMakeDir: return MakeDir(context, step);
    case Op::kMask: return Mask(context, step);
    case Op::kReadonlyPath: return ReadonlyPath(context, step);
    case Op::kRootReadonly: return RootReadonly(context, step);
    case Op::kConsole: return Console(context, step);
    case Op::kPivotRoot: return PivotRoot(context, step);
    case Op::kJoin: return Join(context, step);
    case Op::kOomScore: return OomScore(context, step);
    case Op::kRlimit: return Rlimit(context, step);
    case Op::kSessionKeyring: return SessionKeyring(context, step);
    case Op::kCapBounding: return CapBounding(context, step);
    case Op::kSetGroups: return SetGroups(context, step);
    case Op::kSetUser: return SetUser(context, step);
    case Op::kCapSet: return CapSet(context, step);
    case Op::kCapAmbient: return CapAmbient(context, step);
    case Op::kNoNewPrivs: return NoNewPrivs(context, step);
    case Op::kSeccomp: return Seccomp(context, step);
    case Op::kUmask: return Umask(context, step);
    case Op::kChdir: return Chdir(context, step);
    case Op::kExecAttribute: return ExecAttribute(context, step);
    case Op::kReady: return Ready(context, step);
    case Op::kExec: return Exec(context, step);
    case Op::kPause: return Pause(context, step);
    case Op::kJoinPath: return JoinPath(context, step);
    case Op::kHostRoot: return HostRoot(context, step);
    case Op::kHostDirectory: return HostDirectory(context, step);
    case Op::kLockMounts: return LockMounts(context, step);
    case Op::kOpenUserNamespace: return OpenUserNamespace(context, step);
    case Op::kBecomeRoot: return BecomeRoot();
    case Op::kOwnStdio: return OwnStdio(context, step);
    case Op::kMapSnapshots: return MapSnapshots(context, step);
    case Op::kFileIds: return FileIds(context, step);
    case Op::kImageTree: return ImageTree(context, step);
    case Op::kDelegateCgroup: return DelegateCgroup(context, step);
    case Op::kShareGroup: return ShareGroup(context, step);
    default: return Result::failure("plan", EINVAL);
  }
}

namespace {

[[noreturn]] void Fail(const InitContext& context, uint32_t index, const Result& result) {
  InitMessage message;
  memset(&message, 0, sizeof message);
  message.kind = InitMessageKind::kFailed;
  message.step_index = index;
  message.error = result.error;
  strncpy(message.step, result.step, sizeof message.step - 1);
  memcpy(message.path, result.path, sizeof message.path);
  // Nobody is left to tell when this fails: the monitor then sees the exit itself.
  (void)!send(context.sync, &message, sizeof message, MSG_NOSIGNAL);
  _exit(127);
}

/// The first thing in every cloned process. Until execve it holds more than the container may have: the
/// socket to the monitor, namespaces of the pod. Processes of a PID namespace that it joined must not trace
/// it, also not once its capabilities are theirs.
void Begin() {
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setsid();
  umask(0);
}

void RunSteps(InitContext& context, uint16_t from, uint16_t to) {
  for (uint16_t index = from; index < to; index++) {
    Result result = RunStep(context, context.plan->step(index));
    if (!result.ok()) Fail(context, index, result);
  }
}

/// clone3 would root the cgroup namespace at the monitor's cgroup: the child is in its own only afterwards.
void UnshareCgroups(const InitContext& context) {
  if ((context.plan->header().clone_flags & CLONE_NEWCGROUP) == 0) return;
  if (unshare(CLONE_NEWCGROUP) != 0) Fail(context, kNoStep, Result::last("unshare cgroup namespace"));
}

/// Hooks run before the root of a container in a user namespace is entered.
bool RootStaysOpen(const InitContext& context) {
  uint16_t index = context.plan->Find(Op::kTakeMounts);
  return index < context.plan->header().step_count && (context.plan->step(index).options & 1) != 0;
}

Result SendRoot(const InitContext& context) {
  Fd root(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return Result::last("open", "/");
  return SendDescriptor(context.partner, InitMessageKind::kMounts, root.get());
}

}  // namespace

void RunInit(InitContext& context) {
  Begin();
  UnshareCgroups(context);
  RunSteps(context, 0, context.plan->header().step_count);
  Fail(context, kNoStep, Result::failure("plan without exec", EINVAL));
}

Result RunInherited(InitContext& context, uint16_t* index) {
  uint16_t end = context.plan->Find(Op::kEnterUserNamespace);
  for (*index = 0; *index < end; (*index)++) {
    Result result = RunStep(context, context.plan->step(*index));
    if (!result.ok()) return result;
  }
  return Result::success();
}

void RunInside(InitContext& context) {
  Begin();
  UnshareCgroups(context);
  Result result = BecomeRoot();
  if (!result.ok()) Fail(context, kNoStep, result);
  // The mounter needs the cgroup namespace.
  char byte = 0;
  if (send(context.partner, &byte, 1, MSG_NOSIGNAL) != 1) _exit(127);
  Fd mounts;
  // What went wrong there, if anything, the mounter has told.
  if (!ReceiveDescriptor(context.partner, &mounts).ok()) _exit(127);
  uint16_t taking = context.plan->Find(Op::kTakeMounts);
  if (setns(mounts.get(), CLONE_NEWNS) != 0) Fail(context, taking, Result::last("setns", "mount namespace"));
  context.root_is_ours = true;
  if (RootStaysOpen(context)) {
    Fd root;
    if (!ReceiveDescriptor(context.partner, &root).ok()) _exit(127);
    context.root = root.release();
    context.root_is_locked = true;
  }
  close(context.partner);
  RunSteps(context, static_cast<uint16_t>(taking + 1), context.plan->header().step_count);
  Fail(context, kNoStep, Result::failure("plan without exec", EINVAL));
}

void RunMounter(InitContext& context) {
  Begin();
  char byte;
  if (recv(context.partner, &byte, 1, 0) != 1) _exit(127);
  if ((context.plan->header().clone_flags & CLONE_NEWCGROUP) != 0 &&
      setns(context.target_pidfd, CLONE_NEWCGROUP) != 0) {
    Fail(context, kNoStep, Result::last("setns cgroup namespace"));
  }
  // By descriptor: later the root is the container's, and who knows what is at /proc there.
  Fd own(open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!own.valid()) Fail(context, kNoStep, Result::last("open", "/proc/self/ns"));
  uint16_t end = context.plan->Find(Op::kTakeMounts);
  RunSteps(context, static_cast<uint16_t>(context.plan->Find(Op::kEnterUserNamespace) + 1), end);
  // The copy of the mounts that the user namespace owns: what they forbid is locked in it, so that no
  // capability in the user namespace undoes a read-only, nodev or masked mount.
  Result result = Result::success();
  bool with_root = RootStaysOpen(context);
  // The working directory is taken along into the copy.
  if (with_root && fchdir(context.root) != 0) result = Result::last("fchdir", "/");
  if (result.ok() && setns(context.userns, CLONE_NEWUSER) != 0) result = Result::last("setns user namespace");
  if (result.ok() && unshare(CLONE_NEWNS) != 0) result = Result::last("unshare mount namespace");
  Fd mounts(result.ok() ? openat(own.get(), "mnt", O_RDONLY | O_CLOEXEC) : -1);
  if (result.ok() && !mounts.valid()) result = Result::last("open", "ns/mnt");
  if (result.ok()) result = SendDescriptor(context.partner, InitMessageKind::kMounts, mounts.get());
  if (result.ok() && with_root) result = SendRoot(context);
  if (!result.ok()) Fail(context, end, result);
  _exit(0);
}

}  // namespace berth
