#include "clone.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fd.h"

namespace berth {

namespace {

void Fill(const CloneRequest& request, uint64_t more_flags, int* pidfd, clone_args* arguments) {
  memset(arguments, 0, sizeof *arguments);
  arguments->flags = request.flags | more_flags | CLONE_PIDFD;
  arguments->pidfd = reinterpret_cast<uint64_t>(pidfd);
  // A sibling ends with the signal of its elder.
  bool sibling = (request.flags & CLONE_PARENT) != 0;
  arguments->exit_signal = sibling ? 0 : static_cast<uint64_t>(request.exit_signal);
  if (request.cgroup_fd >= 0) {
    arguments->flags |= CLONE_INTO_CGROUP;
    arguments->cgroup = static_cast<uint64_t>(request.cgroup_fd);
  }
}

// clone3 whose child starts on another stack cannot return through this frame: the child calls `body` and
// exits.
long Clone3OnStack(clone_args* arguments, int (*body)(void*), void* argument) {
  long result;
#if defined(__x86_64__)
  register int (*function)(void*) asm("r12") = body;
  register void* parameter asm("r13") = argument;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(function),
        "r"(parameter), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long x8 asm("x8") = SYS_clone3;
  register long x0 asm("x0") = reinterpret_cast<long>(arguments);
  register long x1 asm("x1") = sizeof *arguments;
  register int (*function)(void*) asm("x19") = body;
  register void* parameter asm("x20") = argument;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x20\n\t"
      "blr x19\n\t"
      "mov x8, %[exit]\n\t"
      "svc #0\n"
      "1:"
      : "+r"(x0)
      : "r"(x8), "r"(x1), "r"(function), "r"(parameter), [exit] "i"(SYS_exit)
      : "memory", "x30");
  result = x0;
#else
#error "berth knows x86_64 and aarch64"
#endif
  return result;
}

/// Shares its memory, errno included, with a parent that runs: its calls must not fail.
int IdleBody(void* argument) {
  const IdleProcess& idle = *static_cast<const IdleProcess*>(argument);
  syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (syscall(SYS_getppid) != idle.parent) return 0;
  // Every signal is blocked, so it lasts until SIGKILL.
  for (;;) syscall(SYS_ppoll, nullptr, 0, nullptr, nullptr, 0);
}

}  // namespace

Result Clone(const CloneRequest& request, CloneOutcome* outcome) {
  clone_args arguments;
  Fill(request, CLONE_CLEAR_SIGHAND, &outcome->pidfd, &arguments);
  long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (pid < 0) return Result::last("clone3");
  outcome->pid = static_cast<pid_t>(pid);
  if (pid == 0) outcome->pidfd = -1;
  return Result::success();
}

namespace {

/// A child that shares the memory, on `stack`. The calling thread's signals are blocked around it.
Result CloneSharing(const CloneRequest& request, uint64_t more_flags, void* stack, size_t stack_bytes,
                    int (*body)(void*), void* argument, CloneOutcome* outcome) {
  clone_args arguments;
  Fill(request, CLONE_VM | CLONE_CLEAR_SIGHAND | more_flags, &outcome->pidfd, &arguments);
  arguments.stack = reinterpret_cast<uint64_t>(stack);
  arguments.stack_size = stack_bytes;
  // A signal handler of the parent must not run in a child that shares its memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  long pid = Clone3OnStack(&arguments, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Result::failure("clone3", static_cast<int>(-pid));
  outcome->pid = static_cast<pid_t>(pid);
  return Result::success();
}

}  // namespace

Result CloneVfork(const CloneRequest& request, int (*body)(void*), void* argument, CloneOutcome* outcome) {
  // A child that it forks goes on on a copy of this stack. Pages cost nothing before they are touched.
  constexpr size_t kStackBytes = 256 * 1024;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return Result::last("mmap");
  Result result = CloneSharing(request, CLONE_VFORK, stack, kStackBytes, body, argument, outcome);
  munmap(stack, kStackBytes);
  return result;
}

Result CloneIdle(const CloneRequest& request, IdleProcess* idle) {
  constexpr size_t kStackBytes = 16 * 1024;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return Result::last("mmap");
  idle->stack = stack;
  idle->stack_bytes = kStackBytes;
  idle->parent = getpid();
  CloneOutcome outcome;
  Result result = CloneSharing(request, 0, stack, kStackBytes, IdleBody, idle, &outcome);
  if (!result.ok()) {
    munmap(stack, kStackBytes);
    idle->stack = nullptr;
    return result;
  }
  idle->pid = outcome.pid;
  idle->pidfd.reset(outcome.pidfd);
  return result;
}

IdleProcess::~IdleProcess() {
  if (stack == nullptr) return;
  syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0);
  constexpr int kByPidfd = 3;  // P_PIDFD
  siginfo_t info;
  long waited;
  do {
    waited = syscall(SYS_waitid, kByPidfd, pidfd.get(), &info, WEXITED | __WALL, nullptr);
  } while (waited < 0 && errno == EINTR);
  munmap(stack, stack_bytes);
}

}  // namespace berth
