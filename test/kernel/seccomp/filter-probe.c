// Loads the filter in the file argv[1] and prints what system calls then answer: "name errno" per line.
// Built and run by filter.test.ts. The descriptors and flags are wrong on purpose: a call that passes the
// filter fails in the kernel with an errno that the filter does not use.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sock_filter program[8192];

static void Report(const char* name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }

/// A child that a call makes by cloning ends at once.
static long Clone(unsigned long flags) {
  long pid = syscall(SYS_clone, flags | 17, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid((pid_t)pid, 0, 0);
  return pid;
}

#ifdef __x86_64__
/// A call through the 32-bit door of a 64-bit process: the filter sees AUDIT_ARCH_I386.
static long Call32(int number) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(-1), "c"(-1), "d"(-1) : "memory", "r8", "r9", "r10", "r11");
  if (result < 0) {
    errno = (int)-(int)result;
    return -1;
  }
  return result;
}
#endif

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  int file = open(argv[1], O_RDONLY);
  ssize_t size = read(file, program, sizeof program);
  struct sock_fprog loaded = {(unsigned short)(size / 8), program};
  if (size <= 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 2;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) != 0) {
    perror("seccomp");
    return 3;
  }
  Report("getpid", syscall(SYS_getpid));
  Report("setgroups", syscall(SYS_setgroups, -1, 0));
  Report("capset", syscall(SYS_capset, 0, 0));
  Report("mount", syscall(SYS_mount, 0, 0, 0, 0, 0));
  Report("unshare", syscall(SYS_unshare, 1));
  Report("sethostname", syscall(SYS_sethostname, 0, -1));
  Report("bpf", syscall(SYS_bpf, -1, 0, 0));
  Report("keyctl", syscall(SYS_keyctl, -1));
  Report("io_uring_setup", syscall(425, 0, 0));
  Report("clone3", syscall(435, 0, 0));
  Report("newer-call", syscall(5000));
  Report("clone", Clone(0));
  Report("clone-user", Clone(CLONE_NEWUSER));
  Report("clone-net-pid", Clone(CLONE_NEWNET | CLONE_NEWPID));
  Report("socket-unix", socket(AF_UNIX, SOCK_STREAM, 0));
  Report("socket-packet", socket(AF_PACKET, -1, 0));
  Report("socket-39", socket(39, SOCK_STREAM, 0));
  Report("socket-alg", socket(38, SOCK_SEQPACKET, 0));
  Report("socket-vsock", socket(40, SOCK_STREAM, 0));
  Report("socket-vsock-high-bits", syscall(SYS_socket, 0x100000028UL, SOCK_STREAM, 0));
  Report("socket-xdp", socket(44, -1, 0));
  Report("personality-query", syscall(SYS_personality, 0xffffffffUL));
  Report("personality-odd", syscall(SYS_personality, 0x10000));
#ifdef __x86_64__
  Report("x32-getpid", syscall(0x40000000 | SYS_getpid));
  Report("i386-getpid", Call32(20));
  Report("i386-mount", Call32(21));
#endif
  return 0;
}
