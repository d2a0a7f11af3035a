// A connection into a pod's network namespace, without a process in it.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fd.h"
#include "netns.h"

namespace berth {

namespace {

int64_t MonotonicMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

/// 0, or the errno that tells why there is no connection.
int AwaitConnection(int fd, int timeout_ms) {
  int64_t deadline = MonotonicMs() + timeout_ms;
  while (true) {
    int64_t left = deadline - MonotonicMs();
    if (left <= 0) return ETIMEDOUT;
    pollfd wanted{fd, POLLOUT, 0};
    int ready = poll(&wanted, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return errno;
    if (ready == 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    return error;
  }
}

Result Connect(const sockaddr* address, socklen_t size, const char* shown, int timeout_ms, Fd* connected) {
  Fd fd(socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return Result::last("socket");
  int error = 0;
  if (connect(fd.get(), address, size) != 0) {
    error = errno == EINPROGRESS ? AwaitConnection(fd.get(), timeout_ms) : errno;
  }
  if (error != 0) return Result::failure("connect", error, shown);
  *connected = std::move(fd);
  return Result::success();
}

}  // namespace

Result DialLoopback(const std::string& path, uint16_t port, int timeout_ms, int* fd) {
  if (!path.empty()) {
    Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!netns.valid()) return Result::last("open", path.c_str());
    if (setns(netns.get(), CLONE_NEWNET) != 0) return Result::last("setns", path.c_str());
  }
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = in6addr_loopback;
  Fd connected;
  Result first = Connect(reinterpret_cast<sockaddr*>(&v4), sizeof v4, "127.0.0.1", timeout_ms, &connected);
  // Where there is no IPv6 the first failure tells more.
  if (!first.ok()) {
    Result second = Connect(reinterpret_cast<sockaddr*>(&v6), sizeof v6, "::1", timeout_ms, &connected);
    if (!second.ok()) return first;
  }
  *fd = connected.release();
  return Result::success();
}

}  // namespace berth
