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
#include <unistd.h>

#include "../kernel/clone.h"
#include "monitor.h"

namespace berth {

namespace {

Result JoinNetns(const char* path) {
  Fd netns(open(path, O_RDONLY | O_CLOEXEC));
  if (!netns.valid()) return Result::last("open", path);
  return setns(netns.get(), CLONE_NEWNET) == 0 ? Result::success() : Result::last("setns", path);
}

Result Sysctl(const char* key, const char* value) {
  char path[256];
  snprintf(path, sizeof path, "/proc/sys/%s", key);
  Fd file(open(path, O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Result::last("open", path);
  ssize_t length = static_cast<ssize_t>(strlen(value));
  return write(file.get(), value, static_cast<size_t>(length)) == length ? Result::success()
                                                                         : Result::last("write", path);
}

/// In a fresh mount namespace: a root of its own with nothing of the host below it, and /shm when asked for.
Result FillMountNamespace(uint64_t shm_bytes) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return Result::last("mount propagation", "/");
  // Any directory does: it is only where the new root stands before the pivot.
  if (mount("berth", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=755") != 0) {
    return Result::last("mount", "pod root");
  }
  if (chdir("/proc") != 0 || mkdir("shm", 0755) != 0) return Result::last("mkdir", "pod root");
  char options[64];
  snprintf(options, sizeof options, "mode=1777,size=%llu", static_cast<unsigned long long>(shm_bytes));
  if (shm_bytes != 0 && mount("shm", "shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) {
    return Result::last("mount", "/dev/shm");
  }
  // Containers that may trace the pod's PID 1 can reach this root.
  constexpr unsigned long kReadonly = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(nullptr, "/proc", nullptr, kReadonly, nullptr) != 0) return Result::last("remount", "pod root");
  if (syscall(SYS_pivot_root, ".", ".") != 0) return Result::last("pivot_root", "pod root");
  if (umount2(".", MNT_DETACH) != 0) return Result::last("umount2", "pod root");
  return Result::success();
}

Result MakePodMountNamespace(uint64_t shm_bytes, PodResources* pod) {
  Fd own(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!own.valid()) return Result::last("open", "/proc/self/ns/mnt");
  // By descriptor, because the new root has no /proc.
  Fd self(open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (unshare(CLONE_NEWNS) != 0) return Result::last("unshare mount namespace");
  pod->pod_mount_ns.reset(openat(self.get(), "mnt", O_RDONLY | O_CLOEXEC));
  Result result = pod->pod_mount_ns.valid() ? FillMountNamespace(shm_bytes) : Result::last("open", "ns/mnt");
  if (setns(own.get(), CLONE_NEWNS) != 0) return Result::last("setns", "host mount namespace");
  return result;
}

/// PID 1 of the pod's namespace. Containers share it, so it can see and hold nothing: an empty root, no
/// descriptors, no privileges. It reaps by ignoring SIGCHLD, so it never even wakes up.
[[noreturn]] void RunPodInit(int pod_mount_ns, char** argv) {
  prctl(PR_SET_NAME, "berth-init", 0, 0, 0);
  // Containers can read its command line: paths of the host are none of their business.
  for (char** word = argv; word != nullptr && *word != nullptr; word++) memset(*word, 0, strlen(*word));
  // Shorter than what stood there: "berth-monitor".
  if (argv != nullptr) memcpy(argv[0], "berth-init", sizeof "berth-init");
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (setsid() < 0 || setns(pod_mount_ns, CLONE_NEWNS) != 0 || chdir("/") != 0) _exit(127);
  if (syscall(SYS_close_range, 0u, ~0u, 0) != 0) _exit(127);
  for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++) {
  }
  constexpr uid_t kNobody = 65534;
  if (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0) _exit(127);
  if (setresuid(kNobody, kNobody, kNobody) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) _exit(127);
  // Again: the change of user cleared it.
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  signal(SIGCHLD, SIG_IGN);
  while (true) pause();
}

Result StartPodInit(PodResources* pod) {
  if (!pod->pod_mount_ns.valid()) {
    Result result = MakePodMountNamespace(0, pod);
    if (!result.ok()) return result;
  }
  CloneRequest request;
  request.flags = CLONE_NEWPID;
  CloneOutcome outcome;
  Result result = Clone(request, &outcome);
  if (!result.ok()) return result;
  if (outcome.pid == 0) RunPodInit(pod->pod_mount_ns.get(), pod->argv);
  pod->init_pid = outcome.pid;
  pod->init_pidfd.reset(outcome.pidfd);
  return Result::success();
}

Result RunPodStep(const Plan& plan, const PlanStep& step, PodResources* pod) {
  switch (static_cast<Op>(step.op)) {
    case Op::kJoinNetns: return JoinNetns(plan.text(step, 0));
    case Op::kUnshare:
      return unshare(static_cast<int>(step.a)) == 0 ? Result::success() : Result::last("unshare");
    case Op::kSetHostname:
      return sethostname(plan.text(step, 0), plan.length(step, 0)) == 0
                 ? Result::success()
                 : Result::last("sethostname", plan.text(step, 0));
    case Op::kSysctl: return Sysctl(plan.text(step, 0), plan.text(step, 1));
    case Op::kCreateShm: return MakePodMountNamespace(step.a, pod);
    case Op::kPodInit: return StartPodInit(pod);
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

Result Monitor::EnterPidNamespace(const Plan& plan, int target_pidfd) {
  auto wanted = static_cast<PidNamespace>(plan.header().pid_namespace);
  if (wanted == PidNamespace::kOwn) return Result::success();
  int pidfd = wanted == PidNamespace::kPod ? pod_.init_pidfd.get() : target_pidfd;
  if (pidfd < 0) return Result::failure("setns: the pod shares no PID namespace", EINVAL);
  // For children only: the monitor itself stays where it is.
  return setns(pidfd, CLONE_NEWPID) == 0 ? Result::success() : Result::last("setns PID namespace");
}

Result Monitor::LeavePidNamespace() {
  return setns(pod_.own_pid_ns.get(), CLONE_NEWPID) == 0 ? Result::success()
                                                         : Result::last("setns own PID namespace");
}

}  // namespace berth
