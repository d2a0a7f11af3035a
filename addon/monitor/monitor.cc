#include "monitor.h"

#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace berth {

namespace {

class ListenerWatch : public Watch {
 public:
  explicit ListenerWatch(Monitor& monitor) : monitor_(monitor) {}
  void OnReady(uint32_t) override { monitor_.Accept(); }

 private:
  Monitor& monitor_;
};

class SignalWatch : public Watch {
 public:
  SignalWatch(Monitor& monitor, int fd) : monitor_(monitor), fd_(fd) {}
  void OnReady(uint32_t) override {
    signalfd_siginfo info;
    while (read(fd_, &info, sizeof info) > 0) {
    }
    monitor_.ReapChildren();
  }

 private:
  Monitor& monitor_;
  int fd_;
};

}  // namespace

Result Monitor::Listen() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path_.size() >= sizeof address.sun_path)
    return Result::failure("bind", ENAMETOOLONG, socket_path_.c_str());
  memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  unlink(socket_path_.c_str());
  listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_.valid()) return Result::last("socket");
  socklen_t length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size() + 1);
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return Result::last("bind", socket_path_.c_str());
  }
  if (listen(listener_.get(), 128) != 0) return Result::last("listen", socket_path_.c_str());
  listener_watch_ = std::make_unique<ListenerWatch>(*this);
  loop_.Add(listener_.get(), EPOLLIN, listener_watch_.get());
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signals_.reset(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.valid()) return Result::last("signalfd");
  signal_watch_ = std::make_unique<SignalWatch>(*this, signals_.get());
  loop_.Add(signals_.get(), EPOLLIN, signal_watch_.get());
  return Result::success();
}

void Monitor::Run() {
  while (!shutting_down_) {
    loop_.Turn(NextTimeout());
    TickAll();
    erased_.clear();
  }
  unlink(socket_path_.c_str());
  if (pod_.init_pidfd.valid()) syscall(SYS_pidfd_send_signal, pod_.init_pidfd.get(), SIGKILL, nullptr, 0);
}

int Monitor::NextTimeout() const {
  constexpr int kNone = 1000 * 1000;
  int soonest = kNone;
  for (const auto& exec : execs_) {
    if (exec->waiting_for_end()) soonest = std::min(soonest, exec->patience());
  }
  for (const auto& container : containers_) {
    if (container->draining()) soonest = std::min(soonest, 10);
  }
  uint64_t now = MonotonicMs();
  for (const Process* process : Processes()) {
    uint64_t deadline = process->deadline_ms();
    if (deadline == 0) continue;
    int wait = deadline <= now ? 0 : static_cast<int>(std::min<uint64_t>(deadline - now, kNone - 1));
    soonest = std::min(soonest, wait);
  }
  return soonest == kNone ? -1 : soonest;
}

void Monitor::TickAll() {
  // All of them may leave their lists while they are ticked.
  uint64_t now = MonotonicMs();
  for (Process* process : Processes()) {
    if (process->deadline_ms() != 0) process->CheckDeadline(now);
  }
  for (size_t i = execs_.size(); i-- > 0;) {
    if (i < execs_.size() && execs_[i]->waiting_for_end()) execs_[i]->Tick();
  }
  for (size_t i = containers_.size(); i-- > 0;) {
    if (i < containers_.size() && containers_[i]->draining()) containers_[i]->Tick(MonotonicMs());
  }
}

std::vector<Process*> Monitor::Processes() const {
  std::vector<Process*> all;
  for (const auto& container : containers_) all.push_back(container.get());
  for (const auto& exec : execs_) all.push_back(exec.get());
  for (const auto& run : commands_) all.push_back(run.get());
  return all;
}

bool Monitor::RuntimeAtWork() const {
  for (const Process* process : Processes()) {
    if (process->launching()) return true;
  }
  return false;
}

Result Monitor::StartCommand(std::unique_ptr<Command> command, const CommandRequest& request) {
  Command* started = command.get();
  commands_.push_back(std::move(command));
  Result result = started->Begin(request);
  if (!result.ok()) Erase(started);
  return result;
}

bool Monitor::TakeStray(pid_t pid, int* wait_status) {
  auto is_it = [pid](const Stray& stray) { return stray.pid == pid; };
  auto at = std::find_if(strays_.begin(), strays_.end(), is_it);
  if (at == strays_.end()) return false;
  *wait_status = at->wait_status;
  strays_.erase(at);
  return true;
}

void Monitor::Accept() {
  while (true) {
    Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.valid()) {
      // Out of descriptors: the waiting client would wake the loop again and again until one is free.
      if (errno == EMFILE || errno == ENFILE) loop_.Change(listener_.get(), 0, listener_watch_.get());
      return;
    }
    // The directory of the socket is the daemon's alone; this holds even if that were changed.
    ucred peer{};
    socklen_t length = sizeof peer;
    if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.uid != geteuid())
      continue;
    connections_.push_back(std::make_unique<Connection>(*this, std::move(socket)));
  }
}

void Monitor::ReapChildren() {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    auto is_it = [pid](const auto& process) { return process->pid() == pid && !process->reaped(); };
    auto container = std::find_if(containers_.begin(), containers_.end(), is_it);
    if (container != containers_.end()) {
      (*container)->Reaped(status);
      continue;
    }
    auto exec = std::find_if(execs_.begin(), execs_.end(), is_it);
    if (exec != execs_.end()) {
      (*exec)->Reaped(status);
      continue;
    }
    auto run = std::find_if(commands_.begin(), commands_.end(), is_it);
    if (run != commands_.end()) {
      (*run)->Reaped(status);
      continue;
    }
    // Anything else is an orphan of a pod without a PID namespace of its own: reaped, and that is all. Unless
    // a runtime is about to tell that it is the process that was asked for.
    if (RuntimeAtWork()) strays_.push_back({pid, status});
  }
  if (!strays_.empty() && !RuntimeAtWork()) strays_.clear();
}

void Monitor::Drop(Connection* connection) {
  for (const auto& container : containers_) container->DropAsker(connection);
  for (const auto& run : commands_) run->DropAsker(connection);
  auto is_it = [connection](const auto& held) { return held.get() == connection; };
  auto at = std::find_if(connections_.begin(), connections_.end(), is_it);
  if (at == connections_.end()) return;
  loop_.Bury(std::move(*at));
  connections_.erase(at);
  loop_.Change(listener_.get(), EPOLLIN, listener_watch_.get());
}

void Monitor::Erase(Process* process) {
  auto move_out = [&](auto& list) {
    auto at =
        std::find_if(list.begin(), list.end(), [process](const auto& held) { return held.get() == process; });
    if (at == list.end()) return;
    erased_.push_back(std::move(*at));
    list.erase(at);
  };
  move_out(containers_);
  move_out(execs_);
  move_out(commands_);
}

Container* Monitor::Find(const std::string& id) {
  for (const auto& container : containers_) {
    if (container->id() == id) return container.get();
  }
  return nullptr;
}

void Monitor::AnnounceExit(const Container& container) {
  const ExitStatus& status = container.exit();
  std::vector<Connection*> listeners;
  for (const auto& connection : connections_) {
    if (!connection->is_stream()) listeners.push_back(connection.get());
  }
  for (Connection* listener : listeners) {
    if (listener->dead()) continue;
    FrameWriter exited(FrameType::kExited, 0);
    exited.Str(container.id())
        .U64(status.finished_at)
        .U8(status.code)
        .U8(status.signal)
        .U8(status.oom ? 1 : 0);
    listener->Send(exited);
  }
}

}  // namespace berth
