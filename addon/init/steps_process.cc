// Steps that make a process what it shall be: limits, identity, capabilities, seccomp, and execve.

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../kernel/fd.h"
#include "init.h"

namespace berth {

Result Join(InitContext& context, const PlanStep& step) {
  if (setns(context.target_pidfd, static_cast<int>(step.a)) != 0) return Result::last("setns");
  return Result::success();
}

Result JoinPath(InitContext& context, const PlanStep& step) {
  const char* path = context.plan->text(step, 0);
  Fd space(open(path, O_RDONLY | O_CLOEXEC));
  if (!space.valid()) return Result::last("open", path);
  return setns(space.get(), static_cast<int>(step.a)) == 0 ? Result::success() : Result::last("setns", path);
}

Result OwnStdio(InitContext& context, const PlanStep& step) {
  for (int fd : context.stdio) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode)) continue;
    if (fchown(fd, static_cast<uid_t>(step.a), static_cast<gid_t>(step.b)) != 0) {
      return Result::last("fchown stdio");
    }
  }
  return Result::success();
}

Result OomScore(InitContext&, const PlanStep& step) {
  constexpr const char* kPath = "/proc/self/oom_score_adj";
  Fd file(open(kPath, O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Result::last("open", kPath);
  char text[16];
  int length = snprintf(text, sizeof text, "%d", static_cast<int>(static_cast<int64_t>(step.a)));
  if (write(file.get(), text, static_cast<size_t>(length)) == length) return Result::success();
  // Without CAP_SYS_RESOURCE the score can only be raised; the inherited one is then the nearest.
  if (errno == EACCES && (step.options & 1) != 0) return Result::success();
  return Result::last("write", kPath);
}

Result Rlimit(InitContext&, const PlanStep& step) {
  auto resource = static_cast<__rlimit_resource>(step.a);
  rlimit limit{step.b, step.c};
  if (setrlimit(resource, &limit) == 0) return Result::success();
  if (errno != EPERM || (step.options & 1) == 0) return Result::last("setrlimit");
  rlimit current;
  if (getrlimit(resource, &current) != 0) return Result::last("getrlimit");
  if (limit.rlim_max > current.rlim_max) limit.rlim_max = current.rlim_max;
  if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
  return setrlimit(resource, &limit) == 0 ? Result::success() : Result::last("setrlimit");
}

Result SessionKeyring(InitContext&, const PlanStep&) {
  constexpr int kJoinSessionKeyring = 1;
  if (syscall(SYS_keyctl, kJoinSessionKeyring, "_berth") >= 0) return Result::success();
  // No keyrings in this kernel, or the user's key quota is full: the process then has the monitor's empty
  // one.
  if (errno == ENOSYS || errno == EDQUOT) return Result::success();
  return Result::last("keyctl");
}

Result CapBounding(InitContext&, const PlanStep& step) {
  for (unsigned long capability = 0; capability < 64; capability++) {
    if ((step.a & (uint64_t{1} << capability)) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
      if (errno == EINVAL) break;  // past the kernel's last capability
      return Result::last("prctl capbset_drop");
    }
  }
  return Result::success();
}

Result SetGroups(InitContext& context, const PlanStep& step) {
  auto* groups = reinterpret_cast<const gid_t*>(context.plan->text(step, 0));
  if (setgroups(step.a, step.a == 0 ? nullptr : groups) != 0) return Result::last("setgroups");
  return Result::success();
}

Result SetUser(InitContext& context, const PlanStep& step) {
  uid_t uid = static_cast<uid_t>(step.a);
  gid_t gid = static_cast<gid_t>(step.b);
  // /dev/stdout and friends are opened again by path: a pipe or pty of root would refuse the user.
  for (int fd = 0; fd <= 2 && uid != 0; fd++) {
    struct stat status;
    if (fstat(fd, &status) != 0) continue;
    bool pipe = S_ISFIFO(status.st_mode);
    if ((pipe || context.terminal >= 0) && fchown(fd, uid, static_cast<gid_t>(-1)) != 0) {
      return Result::last("fchown stdio");
    }
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return Result::last("prctl keepcaps");
  if (setresgid(gid, gid, gid) != 0) return Result::last("setresgid");
  if (setresuid(uid, uid, uid) != 0) return Result::last("setresuid");
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return Result::last("prctl keepcaps");
  return Result::success();
}

Result CapSet(InitContext&, const PlanStep& step) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = static_cast<uint32_t>(step.a >> (32 * half));
    data[half].permitted = static_cast<uint32_t>(step.b >> (32 * half));
    data[half].inheritable = static_cast<uint32_t>(step.c >> (32 * half));
  }
  return syscall(SYS_capset, &header, data) == 0 ? Result::success() : Result::last("capset");
}

Result CapAmbient(InitContext&, const PlanStep& step) {
  for (unsigned long capability = 0; capability < 64; capability++) {
    if ((step.a & (uint64_t{1} << capability)) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0)
      return Result::last("prctl cap_ambient");
  }
  return Result::success();
}

Result NoNewPrivs(InitContext&, const PlanStep&) {
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? Result::success() : Result::last("prctl no_new_privs");
}

Result Seccomp(InitContext& context, const PlanStep& step) {
  sock_fprog program;
  program.len = static_cast<unsigned short>(context.plan->length(step, 0) / sizeof(sock_filter));
  program.filter =
      const_cast<sock_filter*>(reinterpret_cast<const sock_filter*>(context.plan->text(step, 0)));
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, static_cast<unsigned>(step.a), &program);
  return result == 0 ? Result::success() : Result::last("seccomp");
}

Result Umask(InitContext&, const PlanStep& step) {
  umask(static_cast<mode_t>(step.a));
  return Result::success();
}

Result Chdir(InitContext& context, const PlanStep& step) {
  const char* directory = context.plan->text(step, 0);
  if (chdir(directory) != 0) return Result::last("chdir", directory);
  // A descriptor of the host inherited as working directory would lead out of the root (CVE-2024-21626).
  char resolved[4096];
  if (syscall(SYS_getcwd, resolved, sizeof resolved) < 0) return Result::last("getcwd", directory);
  if (resolved[0] != '/') return Result::failure("chdir: outside of the root", ENOENT, directory);
  return Result::success();
}

Result ExecAttribute(InitContext& context, const PlanStep& step) {
  char path[128];
  snprintf(path, sizeof path, "/proc/thread-self/attr/%s", context.plan->text(step, 0));
  Fd file(open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return Result::last("open", path);
  // A volume over /proc would take the label, and the process would run without it (CVE-2019-16884).
  struct statfs facts;
  if (fstatfs(file.get(), &facts) != 0) return Result::last("fstatfs", path);
  if (facts.f_type != PROC_SUPER_MAGIC)
    return Result::failure("open: not in a proc file system", EPERM, path);
  ssize_t length = static_cast<ssize_t>(context.plan->length(step, 1));
  if (write(file.get(), context.plan->text(step, 1), static_cast<size_t>(length)) != length) {
    return Result::last("write", path);
  }
  return Result::success();
}

namespace {

/// Tries every directory of a PATH value, as execvp does: EACCES is remembered, other refusals go on.
Result SearchAndExec(const InitContext& context, const char* name, const char* search) {
  int error = ENOENT;
  char path[4096];
  while (true) {
    const char* end = strchrnul(search, ':');
    int length = static_cast<int>(end - search);
    int written =
        snprintf(path, sizeof path, "%.*s/%s", length == 0 ? 1 : length, length == 0 ? "." : search, name);
    if (written > 0 && static_cast<size_t>(written) < sizeof path) {
      execve(path, const_cast<char**>(context.argv), const_cast<char**>(context.envp));
      if (errno == EACCES) error = EACCES;
      if (errno != ENOENT && errno != EACCES && errno != ENOTDIR) return Result::last("execve", path);
    }
    if (*end == '\0') return Result::failure("execve", error, name);
    search = end + 1;
  }
}

}  // namespace

Result Exec(InitContext& context, const PlanStep& step) {
  const Plan& plan = *context.plan;
  SplitStrings(plan.text(step, 0), step.a, context.argv);
  SplitStrings(plan.text(step, 1), step.b, context.envp);
  if (syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC) != 0) return Result::last("close_range");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // The monitor ignores it, and what is ignored stays so through clone3 and execve.
  signal(SIGPIPE, SIG_DFL);
  // A hook's first argument need not be its path.
  const char* name = plan.length(step, 3) > 0 ? plan.text(step, 3) : context.argv[0];
  if (*name == '\0') return Result::failure("execve", ENOENT, name);
  if (strchr(name, '/') == nullptr) return SearchAndExec(context, name, plan.text(step, 2));
  execve(name, const_cast<char**>(context.argv), const_cast<char**>(context.envp));
  return Result::last("execve", name);
}

}  // namespace berth
