#include "launch.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../kernel/descriptor_message.h"
#include "cgroup_file.h"
#include "process.h"

namespace berth {

Launch::~Launch() { CloseSocket(); }

Result Launch::Begin(uint64_t number, bool tty) {
  unlink(request_.pid_file.c_str());
  Result result = cgroup_.Make(request_.cgroup, number);
  return result.ok() && tty ? Listen() : result;
}

Result Launch::Listen() {
  const std::string& path = request_.console_socket;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Result::failure("bind", ENAMETOOLONG, path.c_str());
  memcpy(address.sun_path, path.data(), path.size());
  unlink(path.c_str());
  Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket_fd.valid()) return Result::last("socket");
  socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  if (bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return Result::last("bind", path.c_str());
  }
  if (listen(socket_fd.get(), 1) != 0) return Result::last("listen", path.c_str());
  listener_ = std::move(socket_fd);
  loop_.Add(listener_.get(), EPOLLIN, this);
  return Result::success();
}

void Launch::CloseSocket() {
  if (peer_.valid()) loop_.Remove(peer_.get());
  if (listener_.valid()) loop_.Remove(listener_.get());
  peer_.reset();
  listener_.reset();
  if (!request_.console_socket.empty()) unlink(request_.console_socket.c_str());
}

void Launch::OnReady(uint32_t) { process_.TakeLaunchedTerminal(); }

Fd Launch::TakeTerminal() {
  if (!peer_.valid() && listener_.valid()) {
    peer_.reset(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer_.valid()) return Fd();
    // One connection is enough.
    loop_.Remove(listener_.get());
    listener_.reset();
    loop_.Add(peer_.get(), EPOLLIN, this);
  }
  if (!peer_.valid()) return Fd();
  char name[256];
  Fd terminal;
  ssize_t size = ReceiveWithDescriptor(peer_.get(), name, sizeof name, MSG_DONTWAIT, &terminal);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return Fd();
  if (terminal.valid() && isatty(terminal.get()) == 0) terminal.reset();
  // Without one, the end of the connection would be reported again and again.
  CloseSocket();
  return terminal;
}

Result Launch::ReadPid(pid_t* pid) const {
  const char* path = request_.pid_file.c_str();
  Fd file(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file.valid()) return Result::last("read pid file", path);
  char text[24];
  ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size < 0) return Result::last("read pid file", path);
  text[size] = '\0';
  char* end = nullptr;
  long number = strtol(text, &end, 10);
  if (end == text || number <= 1 || number > 1 << 30 || (*end != '\0' && *end != '\n')) {
    return Result::failure("read pid file", EBADMSG, path);
  }
  *pid = static_cast<pid_t>(number);
  return Result::success();
}

void Launch::MoveToCgroup(pid_t pid) const {
  if (!request_.move_to.empty()) {
    WriteCgroupFile(request_.move_to, "cgroup.procs", std::to_string(pid).c_str());
  }
}

}  // namespace berth
