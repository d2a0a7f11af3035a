#include "monitor_launch.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/memfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clone.h"
#include "process.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace berth {

namespace {

constexpr const char* kStep = "start monitor";
constexpr int kSocketFd = 3;
/// Descriptors are moved here first, so that filling 0 to 3 overwrites none that is still needed.
constexpr int kFirstMovedFd = 10;
constexpr int kKillGraceMs = 1000;

/// Shared with both children, which have the parent's memory.
struct Launch {
  int program;
  int socket;
  int cgroup;
  const char* const* arguments;
  CloneOutcome monitor;
  Result result;
};

Result CopyAll(int from, int to, const char* path) {
  for (;;) {
    ssize_t copied = sendfile(to, from, nullptr, 1 << 20);
    if (copied == 0) return Result::success();
    if (copied < 0 && errno != EINTR) return Result::last("sendfile", path);
  }
}

Result Moved(int fd, int* out) {
  *out = fcntl(fd, F_DUPFD_CLOEXEC, kFirstMovedFd);
  return *out >= 0 ? Result::success() : Result::last("fcntl");
}

Result ArrangeDescriptors(const Launch& launch, int* program) {
  int socket, null, opened = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (opened < 0) return Result::last("open", "/dev/null");
  Result result = Moved(opened, &null);
  if (result.ok()) result = Moved(launch.socket, &socket);
  if (result.ok()) result = Moved(launch.program, program);
  if (!result.ok()) return result;
  for (int fd = 0; fd < kSocketFd; fd++) {
    if (dup2(null, fd) < 0) return Result::last("dup2", "/dev/null");
  }
  if (dup2(socket, kSocketFd) < 0) return Result::last("dup2", "socket");
  bool closing = syscall(SYS_close_range, kSocketFd + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
  return closing ? Result::success() : Result::last("close_range");
}

/// Shares the memory: system calls only. Returns only when it failed.
int MonitorBody(void* argument) {
  Launch& launch = *static_cast<Launch*>(argument);
  int program = -1;
  launch.result = ArrangeDescriptors(launch, &program);
  if (!launch.result.ok()) return 1;
  if (chdir("/") != 0 || setsid() < 0) {
    launch.result = Result::last("setsid");
    return 1;
  }
  // Ignored signals would stay ignored for the monitor and its containers: the daemon ignores SIGPIPE.
  struct sigaction standard;
  memset(&standard, 0, sizeof standard);
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  char* environment[] = {nullptr};
  syscall(SYS_execveat, program, "", launch.arguments, environment, AT_EMPTY_PATH);
  launch.result = Result::last("execveat", "monitor");
  return 1;
}

/// The parent in between: its end leaves the monitor to init. It shares the descriptor table too, so that the
/// monitor's pidfd is the daemon's.
int OrphanBody(void* argument) {
  Launch& launch = *static_cast<Launch*>(argument);
  CloneRequest request;
  request.cgroup_fd = launch.cgroup;
  Result result = CloneVfork(request, MonitorBody, &launch, &launch.monitor);
  if (!result.ok()) launch.result = result;
  return 0;
}

Result Spawn(Launch* launch) {
  CloneRequest request;
  request.flags = CLONE_FILES;
  CloneOutcome between;
  Result result = CloneVfork(request, OrphanBody, launch, &between);
  if (!result.ok()) return result;
  Fd between_pidfd(between.pidfd);
  // __WALL is not needed: the child in between ends with SIGCHLD.
  while (waitpid(between.pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  return launch->result;
}

Result SendPlan(int socket, const MonitorRequest& request) {
  int room = static_cast<int>(request.plan_bytes + 64 * 1024);
  // Without CAP_NET_ADMIN the limit of net.core.wmem_max applies; send tells when that is too little.
  if (setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) {
    setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  }
  ssize_t sent;
  do {
    sent = send(socket, request.plan, request.plan_bytes, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) return Result::last(kStep, "send the plan");
  return Result::success();
}

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

/// Waits until `fd` can be read or has hung up. False when `timeout_ms` passed.
bool WaitReadable(int fd, int timeout_ms) {
  int64_t deadline = NowMs() + timeout_ms;
  for (;;) {
    int64_t left = deadline - NowMs();
    pollfd entry = {fd, POLLIN, 0};
    int count = poll(&entry, 1, left > 0 ? static_cast<int>(left) : 0);
    if (count > 0) return true;
    if (count == 0 && left <= 0) return false;
  }
}

Result Answer(int socket, const MonitorRequest& request, MonitorStart* start) {
  if (!WaitReadable(socket, request.timeout_ms)) return Result::failure(kStep, ETIMEDOUT);
  InitMessage message;
  ssize_t size = recv(socket, &message, sizeof message, MSG_DONTWAIT);
  if (size == 0 || (size < 0 && errno == ECONNRESET)) {
    return Result::failure(kStep, EPIPE, "it ended before it answered");
  }
  if (size < 0) return Result::last(kStep, "receive the answer");
  bool whole = size == static_cast<ssize_t>(sizeof message);
  if (!whole) return Result::failure(kStep, EPROTO, "size of the answer");
  if (message.kind == InitMessageKind::kFailed) {
    message.step[sizeof message.step - 1] = '\0';
    message.path[sizeof message.path - 1] = '\0';
    start->refused = true;
    start->refusal = message;
    return Result::success();
  }
  if (message.kind != InitMessageKind::kReady) return Result::failure(kStep, EPROTO, "kind of the answer");
  start->start_time = LiveStartTime(start->pid);
  if (start->start_time == 0) return Result::failure(kStep, ESRCH, "it ended after its answer");
  return Result::success();
}

/// Returns when the process has ended, so that the caller may remove its cgroup; gives up after a while, for
/// one that hangs in the kernel is for killCgroup to report.
void Kill(int pidfd) {
  syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  WaitReadable(pidfd, kKillGraceMs);
}

}  // namespace

Result SealProgram(const std::string& path, Fd* out) {
  Fd source(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source.valid()) return Result::last("open", path.c_str());
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd copy(memfd_create("berth-monitor", flags | MFD_EXEC));
  // Before 6.3 every memfd could be executed and the flag was unknown.
  if (!copy.valid() && errno == EINVAL) copy.reset(memfd_create("berth-monitor", flags));
  if (!copy.valid()) return Result::last("memfd_create", path.c_str());
  Result result = CopyAll(source.get(), copy.get(), path.c_str());
  if (!result.ok()) return result;
  if (fchmod(copy.get(), 0500) != 0) return Result::last("fchmod", path.c_str());
  int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  if (fcntl(copy.get(), F_ADD_SEALS, seals) != 0) return Result::last("fcntl", path.c_str());
  // execveat of a file that is open for writing gives ETXTBSY: only a read-only descriptor stays.
  std::string self = "/proc/self/fd/" + std::to_string(copy.get());
  out->reset(open(self.c_str(), O_RDONLY | O_CLOEXEC));
  return out->valid() ? Result::success() : Result::last("open", self.c_str());
}

Result LaunchMonitor(int program, const MonitorRequest& request, MonitorStart* start) {
  if (request.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Result::failure(kStep, ENAMETOOLONG, request.socket_path.c_str());
  }
  // A packet of no bytes would look like the end of the stream.
  if (request.plan_bytes == 0) return Result::failure(kStep, EINVAL, "empty plan");
  Fd cgroup(open(request.cgroup_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return Result::last("open", request.cgroup_path.c_str());
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return Result::last("socketpair");
  Fd ours(pair[0]), theirs(pair[1]);
  const char* const arguments[] = {"berth-monitor", request.title.c_str(), request.state_dir.c_str(),
                                   request.socket_path.c_str(), nullptr};
  Launch launch = {program, theirs.get(), cgroup.get(), arguments, {}, {}};
  Result result = Spawn(&launch);
  // Also when it failed in the end: the monitor that could not execute has left a pidfd.
  Fd pidfd(launch.monitor.pidfd);
  theirs.reset();
  if (!result.ok()) return result;
  start->pid = launch.monitor.pid;
  result = SendPlan(ours.get(), request);
  // It may have ended before it read the plan: then what it said last tells more.
  if (result.ok() || result.error == EPIPE || result.error == ECONNRESET) {
    result = Answer(ours.get(), request, start);
  }
  if (!result.ok() || start->refused) Kill(pidfd.get());
  return result;
}

}  // namespace berth
