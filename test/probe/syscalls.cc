// System calls that a container should or should not be allowed, each tried in a child of its own, with
// arguments that do no harm where they are allowed.
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "actions.h"

namespace probe {

struct Attempt {
  const char* name;
  long (*run)();
};

static long MakeNode() {
  const char* const path = "/dev/shm/probe-node";
  const long result = mknod(path, S_IFCHR | 0600, makedev(1, 3));
  if (result == 0) unlink(path);
  return result;
}

static long Clone3User() {
  struct clone_args arguments = {};
  arguments.flags = CLONE_NEWUSER;
  arguments.exit_signal = SIGCHLD;
  const long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid == 0) _exit(0);
  return pid;
}

// An invalid argument (null, -1, wrong magic) tells EPERM of a filter or a capability from the kernel's own
// EINVAL, EFAULT or EBADF without doing anything.
static const Attempt kAttempts[] = {
    {"getpid", [] { return syscall(SYS_getpid); }},
    {"mount", [] { return syscall(SYS_mount, "probe", "/proc/probe-missing", "tmpfs", 0, nullptr); }},
    {"umount", [] { return syscall(SYS_umount2, "/proc/probe-missing", 0); }},
    {"fsopen", [] { return syscall(SYS_fsopen, "tmpfs", 0); }},
    {"open_tree", [] { return syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE); }},
    {"pivot_root", [] { return syscall(SYS_pivot_root, "/proc/probe-missing", "/proc/probe-missing"); }},
    {"chroot", [] { return syscall(SYS_chroot, "/"); }},
    {"unshare-user", [] { return syscall(SYS_unshare, CLONE_NEWUSER); }},
    {"unshare-mount", [] { return syscall(SYS_unshare, CLONE_NEWNS); }},
    {"unshare-net", [] { return syscall(SYS_unshare, CLONE_NEWNET); }},
    {"clone3-user", Clone3User},
    {"setns", [] { return syscall(SYS_setns, -1, 0); }},
    {"bpf", [] { return syscall(SYS_bpf, -1, nullptr, 0); }},
    {"perf_event_open", [] { return syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0); }},
    {"keyctl", [] { return syscall(SYS_keyctl, 0, -3, 0, 0, 0); }},
    {"add_key", [] { return syscall(SYS_add_key, nullptr, nullptr, nullptr, 0, 0); }},
    {"ptrace", [] { return syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0); }},
    {"process_vm_readv", [] { return syscall(SYS_process_vm_readv, -1, nullptr, 0, nullptr, 0, 0); }},
    {"kexec_load", [] { return syscall(SYS_kexec_load, 0, 0, nullptr, -1); }},
    {"reboot", [] { return syscall(SYS_reboot, 0, 0, 0, nullptr); }},
    {"init_module", [] { return syscall(SYS_init_module, nullptr, 0, nullptr); }},
    {"delete_module", [] { return syscall(SYS_delete_module, nullptr, 0); }},
    {"swapon", [] { return syscall(SYS_swapon, nullptr, 0); }},
    {"acct", [] { return syscall(SYS_acct, "/proc/probe-missing"); }},
    {"quotactl", [] { return syscall(SYS_quotactl, -1, nullptr, 0, nullptr); }},
    {"settimeofday", [] { return syscall(SYS_settimeofday, reinterpret_cast<void*>(-1), nullptr); }},
    {"sethostname", [] { return syscall(SYS_sethostname, nullptr, -1); }},
    {"open_by_handle_at", [] { return syscall(SYS_open_by_handle_at, -1, nullptr, 0); }},
    {"userfaultfd", [] { return syscall(SYS_userfaultfd, -1); }},
    {"io_uring_setup", [] { return syscall(SYS_io_uring_setup, 0, nullptr); }},
    {"personality", [] { return syscall(SYS_personality, 0x0040000); }},
    {"mknod", MakeNode},
    {"socket-raw", [] { return syscall(SYS_socket, AF_INET, SOCK_RAW, 1); }},
    {"socket-packet", [] { return syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0); }},
    {"socket-vsock", [] { return syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0); }},
    {"socket-netlink", [] { return syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0); }},
    {"chown", [] { return syscall(SYS_fchownat, AT_FDCWD, "/dev/shm/probe-missing", 0, 0, 0); }},
    {"setuid", [] { return syscall(SYS_setuid, 4321); }},
    {"syslog", [] { return syscall(SYS_syslog, 10, nullptr, 0); }},
};

/** In a child: a filter may kill the caller, and what succeeds must not change the probe itself. */
static void Try(const Attempt& attempt) {
  fflush(stdout);
  const pid_t child = fork();
  if (child < 0) {
    printf("%s: fork %s\n", attempt.name, strerrorname_np(errno));
    return;
  }
  if (child == 0) {
    const long result = attempt.run();
    _exit(result >= 0 ? 0 : errno);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    printf("%s: killed %d\n", attempt.name, WTERMSIG(status));
  } else {
    const int code = WEXITSTATUS(status);
    printf("%s: %s\n", attempt.name, code == 0 ? "ok" : strerrorname_np(code));
  }
}

int TrySyscalls(int count, char** words) {
  int code = 0;
  for (int index = 0; index < count; ++index) {
    bool found = false;
    for (const Attempt& attempt : kAttempts) {
      if (strcmp(words[index], "all") != 0 && strcmp(words[index], attempt.name) != 0) continue;
      found = true;
      Try(attempt);
    }
    if (!found) {
      fprintf(stderr, "try-syscall: \"%s\" is not known\n", words[index]);
      code = 64;
    }
  }
  return code;
}

}  // namespace probe
