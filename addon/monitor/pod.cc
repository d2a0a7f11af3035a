// The pod's plan, executed by the monitor itself: it enters and makes the pod's namespaces and so holds them.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utility>

#include "../kernel/clone.h"
#include "../kernel/userns.h"
#include "monitor.h"

namespace berth {

namespace {

Result JoinNetns(const char* path) {
  Fd netns(open(path, O_RDONLY | O_CLOEXEC));
  if (!netns.valid()) return Result::last("open", path);
  return setns(netns.get(), CLONE_NEWNET) == 0 ? Result::success() : Result::last("setns", path);
}

struct SysctlWrite {
  const char* key;
  const char* value;
};

Result Sysctl(const char* key, const char* value) {
  char path[256];
  snprintf(path, sizeof path, "/proc/sys/%s", key);
  Fd file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Result::last("open", path);
  ssize_t length = static_cast<ssize_t>(strlen(value));
  return write(file.get(), value, static_cast<size_t>(length)) == length ? Result::success()
                                                                         : Result::last("write", path);
}

/// Those of a namespace belong to the root of its user namespace, and the host's is refused.
Result SysctlAsRoot(void* argument) {
  const SysctlWrite& write = *static_cast<SysctlWrite*>(argument);
  Result result = BecomeRoot();
  return result.ok() ? Sysctl(write.key, write.value) : result;
}

struct Unsharing {
  int flags;
  int ipc = -1, uts = -1;
};

Result UnshareInside(void* argument) {
  Unsharing& made = *static_cast<Unsharing*>(argument);
  // What comes with the namespaces, such as /dev/mqueue, belongs to who makes them.
  Result result = BecomeRoot();
  if (!result.ok()) return result;
  if (unshare(made.flags) != 0) return Result::last("unshare");
  made.ipc = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
  made.uts = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
  return made.ipc >= 0 && made.uts >= 0 ? Result::success() : Result::last("open", "/proc/self/ns");
}

/// The monitor enters what a child of it has made in the pod's user namespace, which thereby owns it.
Result Unshare(const PodResources& pod, int flags) {
  if (!pod.userns.valid()) return unshare(flags) == 0 ? Result::success() : Result::last("unshare");
  Unsharing made{flags};
  Result result = RunInUserNamespace(pod.userns.get(), UnshareInside, &made);
  Fd ipc(made.ipc), uts(made.uts);
  if (!result.ok()) return result;
  if (setns(ipc.get(), CLONE_NEWIPC) != 0) return Result::last("setns", "ipc");
  return setns(uts.get(), CLONE_NEWUTS) == 0 ? Result::success() : Result::last("setns", "uts");
}

Result TakeUserNamespace(const Plan& plan, const PlanStep& step, PodResources* pod) {
  const char* netns = plan.text(step, 0);
  if (*netns != '\0') return OwningUserNamespace(netns, &pod->userns);
  return MakeUserNamespace(plan.text(step, 1), plan.text(step, 2), &pod->userns);
}

struct Shm {
  uint64_t bytes;
  uid_t uid;
  gid_t gid;
  const char* label;  // SELinux context, or nullptr
};

/// In a fresh mount namespace: a root of its own with nothing of the host below it, and /shm when asked for.
Result FillMountNamespace(const Shm& shm) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return Result::last("mount propagation", "/");
  // Any directory does: it is only where the new root stands before the pivot.
  if (mount("berth", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") != 0) {
    return Result::last("mount", "pod root");
  }
  if (chdir("/proc") != 0 || mkdir("shm", 0755) != 0) return Result::last("mkdir", "pod root");
  char options[512];
  int used = snprintf(options, sizeof options, "mode=1777,size=%llu,uid=%u,gid=%u",
                      static_cast<unsigned long long>(shm.bytes), shm.uid, shm.gid);
  if (shm.label != nullptr) {
    size_t room = sizeof options - static_cast<size_t>(used);
    if (snprintf(options + used, room, ",context=\"%s\"", shm.label) >= static_cast<int>(room))
      return Result::failure("mount /dev/shm: label", E2BIG, shm.label);
  }
  if (shm.bytes != 0 && mount("shm", "shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) {
    return Result::last("mount", "/dev/shm");
  }
  // Containers that may trace the pod's PID 1 can reach this root.
  constexpr unsigned long kReadonly = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(nullptr, "/proc", nullptr, kReadonly, nullptr) != 0) return Result::last("remount", "pod root");
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Result::last("pivot_root", "pod root");
  if (umount2(".", MNT_DETACH) != 0) return Result::last("umount2", "pod root");
  return Result::success();
}

Result MakePodMountNamespace(const Shm& shm, PodResources* pod) {
  Fd own(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!own.valid()) return Result::last("open", "/proc/self/ns/mnt");
  // By descriptor, because the new root has no /proc.
  Fd self(open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (unshare(CLONE_NEWNS) != 0) return Result::last("unshare mount namespace");
  pod->pod_mount_ns.reset(openat(self.get(), "mnt", O_RDONLY | O_CLOEXEC));
  Result result = pod->pod_mount_ns.valid() ? FillMountNamespace(shm) : Result::last("open", "ns/mnt");
  if (setns(own.get(), CLONE_NEWNS) != 0) return Result::last("setns", "host mount namespace");
  return result;
}

/// PID 1 of the pod's namespace. Containers share it, so it can see and hold nothing: an empty root, no
/// descriptors, no privileges. It reaps by ignoring SIGCHLD, so it never even wakes up. A byte through
/// `ready` tells that this is so: before, a container that may trace it would find what the monitor holds,
/// and orphans that end would stay zombies.
[[noreturn]] void RunPodInit(char** argv, uid_t nobody, int ready) {
  prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
  // Containers can read its command line: paths of the host are none of their business.
  for (char** word = argv; word != nullptr && *word != nullptr; word++) memset(*word, 0, strlen(*word));
  // Shorter than what stood there: "berth-monitor".
  if (argv != nullptr) memcpy(argv[0], "berth-init", sizeof "berth-init");
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (setsid() < 0 || chdir("/") != 0) _exit(127);
  if (ready > 0 && syscall(SYS_close_range, 0u, ready - 1u, 0) != 0) _exit(127);
  if (syscall(SYS_close_range, ready + 1u, ~0u, 0) != 0) _exit(127);
  for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
  }
  if (setgroups(0, nullptr) != 0 || setresgid(nobody, nobody, nobody) != 0) _exit(127);
  if (setresuid(nobody, nobody, nobody) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(127);
  // Again: the change of user cleared it.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  signal(SIGCHLD, SIG_IGN);
  if (write(ready, "", 1) != 1 || close(ready) != 0) _exit(127);
  while (true) pause();
}

struct InitStart {
  PodResources* pod;
  uid_t nobody;
  int ready;
  uint64_t more_flags;
  CloneOutcome outcome;
};

Result CloneInit(InitStart& start) {
  CloneRequest request;
  request.flags = CLONE_NEWPID | start.more_flags;
  Result result = Clone(request, &start.outcome);
  if (result.ok() && start.outcome.pid == 0) RunPodInit(start.pod->argv, start.nobody, start.ready);
  return result;
}

/// In a child that shares the memory. The mount namespace is entered while that is still allowed.
int StartInitInside(void* argument) {
  auto& [start, result] = *static_cast<std::pair<InitStart, Result>*>(argument);
  start.more_flags = CLONE_PARENT;
  if (setns(start.pod->pod_mount_ns.get(), CLONE_NEWNS) != 0) {
    result = Result::last("setns", "pod's mount namespace");
  } else if (start.pod->userns.valid() && setns(start.pod->userns.get(), CLONE_NEWUSER) != 0) {
    result = Result::last("setns", "user namespace");
  } else {
    result = CloneInit(start);
  }
  return 0;
}

/// Until it has nothing and may nothing any more, and its end of the pipe is closed as well.
Result AwaitPodInit(int ready) {
  ssize_t told = 0;
  for (;;) {
    char byte;
    ssize_t size = read(ready, &byte, 1);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Result::last("read", "pod init");
    if (size == 0) break;
    told += size;
  }
  return told == 1 ? Result::success() : Result::failure("pod init ended before it was ready", ECHILD);
}

Result StartPodInit(uid_t nobody, PodResources* pod) {
  if (!pod->pod_mount_ns.valid()) {
    Result result = MakePodMountNamespace({0, 0, 0, nullptr}, pod);
    if (!result.ok()) return result;
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return Result::last("pipe2", "pod init");
  Fd ready(ends[0]), ready_inside(ends[1]);
  std::pair<InitStart, Result> call{{pod, nobody, ends[1], 0, {}}, {}};
  CloneRequest request;
  request.flags = CLONE_FILES;
  CloneOutcome between;
  Result result = CloneVfork(request, StartInitInside, &call, &between);
  if (!result.ok()) return result;
  Fd between_pidfd(between.pidfd);
  while (waitpid(between.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  pod->init_pid = call.first.outcome.pid;
  pod->init_pidfd.reset(call.first.outcome.pidfd);
  ready_inside.reset();
  return call.second.ok() ? AwaitPodInit(ready.get()) : call.second;
}

Result RunPodStep(const Plan& plan, const PlanStep& step, PodResources* pod) {
  switch (static_cast<Op>(step.op)) {
    case Op::kJoinNetns: return JoinNetns(plan.text(step, 0));
    case Op::kUserNamespace: return TakeUserNamespace(plan, step, pod);
    case Op::kUnshare: return Unshare(*pod, static_cast<int>(step.a));
    case Op::kSetHostname:
      return sethostname(plan.text(step, 0), plan.length(step, 0)) == 0
                 ? Result::success()
                 : Result::last("sethostname", plan.text(step, 0));
    case Op::kSysctl: {
      SysctlWrite write{plan.text(step, 0), plan.text(step, 1)};
      if (!pod->userns.valid()) return Sysctl(write.key, write.value);
      return RunInUserNamespace(pod->userns.get(), SysctlAsRoot, &write);
    }
    case Op::kCreateShm:
      return MakePodMountNamespace(
          {step.a, static_cast<uid_t>(step.b), static_cast<gid_t>(step.c), pod->mount_label}, pod);
    case Op::kMountLabel:
      pod->mount_label = plan.text(step, 0);
      return Result::success();
    case Op::kPodInit: return StartPodInit(static_cast<uid_t>(step.a), pod);
    default: return Result::failure("pod plan", EINVAL);
  }
}

}  // namespace

Result RunPodPlan(const Plan& plan, PodResources* pod, uint32_t* index) {
  *index = kNoStep;
  pod->own_pid_ns.reset(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC));
  if (!pod->own_pid_ns.valid()) return Result::last("open", "/proc/self/ns/pid");
  for (uint16_t i = 0; i < plan.header().step_count; i++) {
    *index = i;
    Result result = RunPodStep(plan, plan.step(i), pod);
    if (!result.ok()) return result;
  }
  return Result::success();
}

Result Monitor::PidNamespaceOf(const Plan& plan, int target_pidfd, int* pidfd) const {
  *pidfd = -1;
  auto wanted = static_cast<PidNamespace>(plan.header().pid_namespace);
  if (wanted == PidNamespace::kOwn) return Result::success();
  *pidfd = wanted == PidNamespace::kPod ? pod_.init_pidfd.get() : target_pidfd;
  return *pidfd >= 0 ? Result::success() : Result::failure("setns: the pod shares no PID namespace", EINVAL);
}

Result Monitor::EnterPidNamespace(const Plan& plan, int target_pidfd) {
  int pidfd;
  Result result = PidNamespaceOf(plan, target_pidfd, &pidfd);
  if (!result.ok() || pidfd < 0) return result;
  // For children only: the monitor itself stays where it is.
  return setns(pidfd, CLONE_NEWPID) == 0 ? Result::success() : Result::last("setns PID namespace");
}

Result Monitor::LeavePidNamespace() {
  return setns(pod_.own_pid_ns.get(), CLONE_NEWPID) == 0 ? Result::success()
                                                         : Result::last("setns own PID namespace");
}

}  // namespace berth
