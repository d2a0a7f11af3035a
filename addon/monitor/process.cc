#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../kernel/descriptor_message.h"
#include "../kernel/process.h"
#include "monitor.h"

namespace berth {

class Process::SyncWatch : public Watch {
 public:
  explicit SyncWatch(Process& process) : process_(process) {}
  void OnReady(uint32_t) override { process_.TakeSync(); }

 private:
  Process& process_;
};

class Process::OutputWatch : public Watch {
 public:
  OutputWatch(Process& process, int index) : process_(process), index_(index) {}
  void OnReady(uint32_t) override { process_.ReadOutput(index_); }

 private:
  Process& process_;
  int index_;
};

Process::~Process() {
  CloseOutputs();
  CloseStdin();
  if (sync_watch_ != nullptr) {
    monitor_.loop().Remove(sync_.get());
    monitor_.loop().Bury(std::move(sync_watch_));
  }
}

void Process::Adopt(const SpawnRequest& request) {
  start_time_ = ProcessStartTime(pid_);
  with_stdin_ = request.with_stdin;
  awaiting_terminal_ = request.tty;
  sync_watch_ = std::make_unique<SyncWatch>(*this);
  monitor_.loop().Add(sync_.get(), EPOLLIN, sync_watch_.get());
  for (int index = 0; index < 2; index++) {
    if (!output_fds_[index].valid()) continue;
    outputs_[index] = std::make_unique<OutputWatch>(*this, index);
    if (launch_ == nullptr) monitor_.loop().Add(output_fds_[index].get(), EPOLLIN, outputs_[index].get());
  }
  // What the runtime says is not yet output of the process.
  paused_ = launch_ != nullptr;
}

void Process::TakeSync() {
  while (sync_.valid()) {
    InitMessage message;
    Fd master;
    ssize_t size = ReceiveWithDescriptor(sync_.get(), &message, sizeof message, MSG_DONTWAIT, &master);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    if (size != sizeof message) {
      monitor_.loop().Remove(sync_.get());
      monitor_.loop().Bury(std::move(sync_watch_));
      sync_.reset();
      if (!reaped_ && launch_ == nullptr) OnRunning();
      return;
    }
    if (message.kind == InitMessageKind::kConsole && master.valid()) {
      // Once: the watch of an earlier one would still be in the loop.
      if (awaiting_terminal_ && !reaped_) TakeTerminal(std::move(master));
    } else if (message.kind == InitMessageKind::kReady) {
      mounter_.reset();
      OnReady();
    } else if (message.kind == InitMessageKind::kPaused) {
      OnPaused();
    } else if (message.kind == InitMessageKind::kFailed) {
      message.step[sizeof message.step - 1] = message.path[sizeof message.path - 1] = '\0';
      launch_failed_ = launch_ != nullptr;
      // Copied: the message's step is not a literal, and the failure is sent on at once.
      OnFailed(message.step_index, Result::failure(message.step, message.error, message.path));
      monitor_.loop().Remove(sync_.get());
      monitor_.loop().Bury(std::move(sync_watch_));
      sync_.reset();
      return;
    }
  }
}

void Process::FinishHandshake() {
  if (sync_.valid()) TakeSync();
}

void Process::SendGo() {
  InitMessage message{};
  message.kind = InitMessageKind::kGo;
  (void)!send(sync_.get(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Process::TakeTerminal(Fd master) {
  terminal_ = std::move(master);
  fcntl(terminal_.get(), F_SETFL, O_NONBLOCK);
  output_fds_[0].reset(fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
  if (with_stdin_) stdin_.reset(fcntl(terminal_.get(), F_DUPFD_CLOEXEC, 3));
  outputs_[0] = std::make_unique<OutputWatch>(*this, 0);
  if (!paused_) monitor_.loop().Add(output_fds_[0].get(), EPOLLIN, outputs_[0].get());
  awaiting_terminal_ = false;
  if (early_rows_ != 0 || early_columns_ != 0) Resize(early_rows_, early_columns_);
  if (stdin_.valid()) FlushStdin();
}

void Process::Reaped(int wait_status) {
  FinishHandshake();
  exit_.finished_at = NowMicros();
  if (WIFSIGNALED(wait_status)) {
    exit_.signal = static_cast<uint8_t>(WTERMSIG(wait_status));
    exit_.code = static_cast<uint8_t>(128 + exit_.signal);
  } else {
    exit_.code = static_cast<uint8_t>(WEXITSTATUS(wait_status));
  }
  // The runtime has ended, and what it started goes on.
  if (launch_ != nullptr && !RuntimeEnded()) return;
  reaped_ = true;
  CloseStdin();
  OnReaped();
}

void Process::SetDeadline(uint32_t limit_ms) {
  deadline_ms_ = limit_ms == 0 ? 0 : MonotonicMs() + limit_ms;
}

void Process::CheckDeadline(uint64_t now_ms) {
  if (deadline_ms_ == 0 || now_ms < deadline_ms_) return;
  deadline_ms_ = 0;
  timed_out_ = true;
  OnDeadline();
}

void Process::OnDeadline() {
  KillRuntime();
  Kill();
}

void Process::Kill() {
  if (mounter_.valid()) syscall(SYS_pidfd_send_signal, mounter_.get(), SIGKILL, nullptr, 0);
  if (pidfd_.valid() && !reaped_) syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
}

}  // namespace berth
