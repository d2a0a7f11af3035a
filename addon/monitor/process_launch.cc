// Processes that a foreign runtime starts: how the monitor makes them its own (launch.h).

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kernel/process.h"
#include "monitor.h"
#include "process.h"

namespace berth {

Result RuntimeFailure(const ExitStatus& exit, std::string_view last_words) {
  std::string text = exit.signal != 0 ? "signal " + std::to_string(exit.signal)
                                      : "exit " + std::to_string(exit.code);
  constexpr size_t kMost = 200;
  while (!last_words.empty() && (last_words.back() == '\n' || last_words.back() == ' ')) {
    last_words.remove_suffix(1);
  }
  if (last_words.size() > kMost) last_words.remove_prefix(last_words.size() - kMost);
  if (!last_words.empty()) text.append(": ").append(last_words);
  return Result::failure("runtime failed", ECHILD, text.c_str());
}

Result RuntimeTooSlow() { return Result::failure("runtime did not end in time", ETIMEDOUT); }

Result Process::BeginLaunch(const SpawnRequest& request) {
  launch_ = std::make_unique<Launch>(monitor_.loop(), *this, *request.launch);
  Result result = launch_->Begin(monitor_.NextExecNumber(), request.tty);
  if (result.ok()) SetDeadline(launch_->limit_ms());
  return result;
}

void Process::KillRuntime() {
  if (launch_ != nullptr) launch_->Kill();
}

void Process::EndLaunch() {
  SetDeadline(0);
  if (launch_ == nullptr) return;
  // It may be the watch that is being called just now.
  monitor_.loop().Bury(std::move(launch_));
}

void Process::TakeLaunchedTerminal() {
  if (launch_ == nullptr) return;
  Fd terminal = launch_->TakeTerminal();
  if (terminal.valid() && awaiting_terminal_ && !reaped_) TakeTerminal(std::move(terminal));
}

std::string Process::ReadWhatIsThere() {
  std::string text;
  for (int index = 0; index < 2; index++) {
    char buffer[4096];
    ssize_t size;
    // What a pipe holds: whoever still writes must not keep the monitor here.
    for (int round = 0; round < 16 && output_fds_[index].valid(); round++) {
      size = read(output_fds_[index].get(), buffer, sizeof buffer);
      if (size <= 0) break;
      text.append(buffer, static_cast<size_t>(size));
    }
  }
  return text;
}

Result Process::Adopt(pid_t pid, int* early_status, bool* ended) {
  *ended = monitor_.TakeStray(pid, early_status);
  if (!*ended && ParentOf(pid) != getpid()) {
    return Result::failure("adopt: the pid is not of a process that the runtime started", ESRCH,
                           std::to_string(pid).c_str());
  }
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!*ended && !pidfd.valid()) return Result::last("pidfd_open");
  pid_ = pid;
  pidfd_ = std::move(pidfd);
  start_time_ = ProcessStartTime(pid);
  return Result::success();
}

bool Process::RuntimeEnded() {
  TakeLaunchedTerminal();
  const bool failed_before = launch_failed_;
  pid_t pid = -1;
  int early_status = 0;
  bool ended = false;
  bool is_good = exit_.code == 0 && !timed_out_;
  Result result = launch_->ReadPid(&pid);
  if (is_good && !failed_before) {
    if (result.ok()) result = Adopt(pid, &early_status, &ended);
    if (result.ok() && awaiting_terminal_) result = Result::failure("runtime sent no terminal", EBADMSG);
    if (result.ok()) launch_->MoveToCgroup(pid);
  } else {
    // What it may have started is of no use; it is a child of the monitor, which reaps it.
    if (result.ok() && ParentOf(pid) == getpid()) kill(pid, SIGKILL);
    result = timed_out_ ? RuntimeTooSlow() : RuntimeFailure(exit_, ReadWhatIsThere());
  }
  if (!result.ok()) {
    launch_->Kill();
    if (pid_ == pid && pidfd_.valid()) Kill();
    EndLaunch();
    if (!failed_before) OnFailed(kNoStep, result);
    return true;
  }
  EndLaunch();
  exit_ = ExitStatus{};
  OnLaunched();
  ReaderCaughtUp();
  if (ended) Reaped(early_status);
  return false;
}

}  // namespace berth
