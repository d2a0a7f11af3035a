#include "init.h"

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../kernel/handshake.h"

namespace berth {

Result RunStep(InitContext& context, const PlanStep& step) {
  switch (static_cast<Op>(step.op)) {
    case Op::kMountPropagation: return MountPropagation(context, step);
    case Op::kOpenTree: return OpenTree(context, step);
    case Op::kOpenShm: return OpenShm(context, step);
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

}  // namespace

void RunInit(InitContext& context) {
  // Until execve it holds more than the container may have: the socket to the monitor, namespaces of the pod.
  // Processes of a PID namespace that it joined must not trace it, also not once its capabilities are theirs.
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  setsid();
  umask(0);
  const PlanHeader& header = context.plan->header();
  // clone3 would root the cgroup namespace at the monitor's cgroup: the child is in its own only afterwards.
  if ((header.clone_flags & CLONE_NEWCGROUP) != 0 && unshare(CLONE_NEWCGROUP) != 0) {
    Fail(context, kNoStep, Result::last("unshare cgroup namespace"));
  }
  for (uint16_t index = 0; index < header.step_count; index++) {
    Result result = RunStep(context, context.plan->step(index));
    if (!result.ok()) Fail(context, index, result);
  }
  Fail(context, kNoStep, Result::failure("plan without exec", EINVAL));
}

}  // namespace berth
