// How a process of the pod comes to be: its stdio, its clone and, in a user namespace, its mounter.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "../init/init.h"
#include "../kernel/clone.h"
#include "launch.h"
#include "monitor.h"
#include "process.h"

namespace berth {

namespace {

/// Closes everything but stdio and `kept` (below 3: none). A prepared process may wait for long, and would
/// hold the inputs of other containers and the connections of clients open.
void CloseOthers(std::array<int, 5> kept) {
  std::sort(kept.begin(), kept.end());
  unsigned first = 3;
  for (int fd : kept) {
    if (fd < static_cast<int>(first)) continue;
    unsigned at = static_cast<unsigned>(fd);
    if (at > first) syscall(SYS_close_range, first, at - 1, 0);
    first = at + 1;
  }
  syscall(SYS_close_range, first, ~0U, 0);
}

}  // namespace

struct Process::ChildEnds {
  Fd sync;
  Fd stdio[3];
};

namespace {

void TakeStdio(const Fd (&stdio)[3]) {
  for (int fd = 0; fd <= 2; fd++) {
    // The source is never 0..2: the monitor keeps those open on /dev/null.
    if (dup2(stdio[fd].get(), fd) < 0) _exit(127);
  }
}

/// What the child that clones a container's process into its user namespace works on.
struct Birth {
  InitContext* context;
  const Fd (&stdio)[3];
  CloneRequest request;
  int pid_namespace;  // a process of it, -1: as the monitor's
  CloneOutcome outcome;
  uint16_t index;
  Result result;
};

/// In a child that shares memory and descriptors with the monitor, so that the pidfd becomes the monitor's.
/// Limits and the like are taken while the host's privileges are there; the process is born without them.
int GiveBirth(void* argument) {
  Birth& birth = *static_cast<Birth*>(argument);
  birth.result = RunInherited(*birth.context, &birth.index);
  if (!birth.result.ok()) return 0;
  birth.index = kNoStep;
  if (birth.pid_namespace >= 0 && setns(birth.pid_namespace, CLONE_NEWPID) != 0) {
    birth.result = Result::last("setns PID namespace");
  } else if (setns(birth.context->userns, CLONE_NEWUSER) != 0) {
    birth.result = Result::last("setns user namespace");
  } else {
    birth.result = Clone(birth.request, &birth.outcome);
  }
  if (!birth.result.ok() || birth.outcome.pid != 0) return 0;
  TakeStdio(birth.stdio);
  CloseOthers({birth.context->sync, birth.context->partner});
  RunInside(*birth.context);
}

}  // namespace

Result Process::MakeStdio(const SpawnRequest& request, ChildEnds* child) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return Result::last("socketpair");
  sync_.reset(pair[0]);
  child->sync.reset(pair[1]);
  if (fcntl(sync_.get(), F_SETFL, O_NONBLOCK) != 0) return Result::last("fcntl");
  for (int fd = 0; fd <= 2; fd++) {
    if (fd == 0 && request.stdin_fd >= 0) {
      child->stdio[fd].reset(fcntl(request.stdin_fd, F_DUPFD_CLOEXEC, 3));
      if (!child->stdio[fd].valid()) return Result::last("dup stdin");
      continue;
    }
    bool piped = !request.tty && (fd != 0 || request.with_stdin);
    // The last words of a runtime, whose process has a terminal instead.
    bool complains = request.launch != nullptr && fd == 2;
    if (!piped && !complains && request.launch != nullptr) {
      // Some runtimes give the standard streams to the container's user: not the host's /dev/null.
      child->stdio[fd].reset(memfd_create("null", MFD_CLOEXEC));
      if (!child->stdio[fd].valid()) return Result::last("memfd_create");
      continue;
    }
    if (!piped && !complains) {
      child->stdio[fd].reset(open("/dev/null", O_RDWR | O_CLOEXEC));
      if (!child->stdio[fd].valid()) return Result::last("open", "/dev/null");
      continue;
    }
    if (pipe2(pair, O_CLOEXEC) != 0) return Result::last("pipe2");
    Fd& ours = fd == 0 ? stdin_ : output_fds_[fd - 1];
    ours.reset(pair[fd == 0 ? 1 : 0]);
    child->stdio[fd].reset(pair[fd == 0 ? 0 : 1]);
    if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return Result::last("fcntl");
  }
  return Result::success();
}

Result Process::Spawn(const SpawnRequest& request) {
  ChildEnds child;
  Result result = MakeStdio(request, &child);
  if (result.ok() && request.launch != nullptr) result = BeginLaunch(request);
  if (!result.ok()) return result;
  // Made here, because nothing is allocated between clone3 and execve.
  std::vector<const char*> argv(request.plan->exec_arguments(false) + 1);
  std::vector<const char*> envp(request.plan->exec_arguments(true) + 1);
  if (request.plan->Find(Op::kEnterUserNamespace) < request.plan->header().step_count) {
    result = SpawnInside(request, child, argv.data(), envp.data());
    if (result.ok()) Adopt(request);
    return result;
  }
  CloneRequest clone;
  clone.flags = request.plan->header().clone_flags & ~static_cast<uint64_t>(CLONE_NEWCGROUP);
  clone.cgroup_fd = launch_ != nullptr ? launch_->cgroup_fd() : request.cgroup_fd;
  result = monitor_.EnterPidNamespace(*request.plan, request.target_pidfd);
  if (!result.ok()) return result;
  CloneOutcome outcome;
  result = Clone(clone, &outcome);
  if (result.ok() && outcome.pid == 0) RunChild(request, child, argv.data(), envp.data());
  Result back = monitor_.LeavePidNamespace();
  if (!result.ok()) return result;
  pid_ = outcome.pid;
  pidfd_.reset(outcome.pidfd);
  if (!back.ok()) {
    Kill();
    return back;
  }
  Adopt(request);
  return Result::success();
}

void Process::RunChild(const SpawnRequest& request, ChildEnds& child, const char** argv, const char** envp) {
  InitContext context;
  context.plan = request.plan;
  context.sync = child.sync.get();
  context.target_pidfd = request.target_pidfd;
  context.pod_mount_ns = monitor_.pod_mount_ns();
  context.userns = monitor_.userns();
  context.tty = request.tty;
  context.argv = argv;
  context.envp = envp;
  TakeStdio(child.stdio);
  CloseOthers({context.sync, context.target_pidfd, context.pod_mount_ns, context.userns});
  RunInit(context);
}

Result Process::SpawnInside(const SpawnRequest& request, const ChildEnds& child, const char** argv,
                            const char** envp) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return Result::last("socketpair");
  Fd ours(pair[0]), mounters(pair[1]);
  InitContext context;
  context.plan = request.plan;
  context.sync = child.sync.get();
  context.partner = ours.get();
  context.userns = monitor_.userns();
  context.tty = request.tty;
  context.argv = argv;
  context.envp = envp;
  for (int fd = 0; fd <= 2; fd++) context.stdio[fd] = child.stdio[fd].get();
  if (context.userns < 0) return Result::failure("the pod has no user namespace", EINVAL);
  uint16_t taking = request.plan->Find(Op::kTakeMounts);
  bool in_order = request.plan->Find(Op::kEnterUserNamespace) < taking;
  if (!in_order || taking == request.plan->header().step_count) return Result::failure("plan", EINVAL);
  Birth birth{&context, child.stdio, {}, -1, {}, 0, {}};
  constexpr uint64_t kMade = CLONE_NEWCGROUP | CLONE_NEWNS;  // by the process itself, and by the mounter
  birth.request.flags = (request.plan->header().clone_flags & ~kMade) | CLONE_PARENT;
  birth.request.cgroup_fd = request.cgroup_fd;
  Result result = monitor_.PidNamespaceOf(*request.plan, request.target_pidfd, &birth.pid_namespace);
  if (!result.ok()) return result;
  CloneRequest between_request;
  between_request.flags = CLONE_FILES;
  CloneOutcome between;
  result = CloneVfork(between_request, GiveBirth, &birth, &between);
  if (!result.ok()) return result;
  Fd between_pidfd(between.pidfd);
  while (waitpid(between.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  failed_step_ = birth.index;
  if (!birth.result.ok()) return birth.result;
  pid_ = birth.outcome.pid;
  pidfd_.reset(birth.outcome.pidfd);
  result = SpawnMounter(request, context, mounters.get());
  if (!result.ok()) Kill();
  return result;
}

/// Born in the PID namespace of the container, whose /proc it mounts, and in the monitor's cgroup: the
/// container's may have room for one process only.
Result Process::SpawnMounter(const SpawnRequest& request, const InitContext& of_process, int partner) {
  if (setns(pidfd_.get(), CLONE_NEWPID) != 0) return Result::last("setns PID namespace");
  CloneRequest clone;
  clone.flags = CLONE_NEWNS;
  CloneOutcome outcome;
  Result result = Clone(clone, &outcome);
  if (result.ok() && outcome.pid == 0) {
    InitContext context;
    context.plan = request.plan;
    context.sync = of_process.sync;
    context.partner = partner;
    context.userns = of_process.userns;
    context.target_pidfd = pidfd_.get();
    context.pod_mount_ns = monitor_.pod_mount_ns();
    CloseOthers({context.sync, context.partner, context.userns, context.target_pidfd, context.pod_mount_ns});
    RunMounter(context);
  }
  Result back = monitor_.LeavePidNamespace();
  if (!result.ok()) return result;
  mounter_.reset(outcome.pidfd);
  return back;
}

}  // namespace berth
