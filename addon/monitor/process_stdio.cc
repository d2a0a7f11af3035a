// The streams of a process: output to the log and to readers, input from a client, the terminal's size.

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include <algorithm>

#include "monitor.h"
#include "process.h"

namespace berth {

namespace {
/// Input that waits for a process which does not read; the client is held beyond it.
constexpr size_t kInputHigh = 64 * 1024;
/// More than a terminal holds.
constexpr size_t kTerminalDrain = 256 * 1024;
}  // namespace

class Process::InputWatch : public Watch {
 public:
  explicit InputWatch(Process& process) : process_(process) {}
  void OnReady(uint32_t) override { process_.FlushStdin(); }

 private:
  Process& process_;
};

void Process::ReadOutput(int index, size_t drain) {
  static char buffer[64 * 1024];
  const bool draining = drain > 0;
  while (outputs_[index] != nullptr) {
    if (!draining && !reaped_ && Congested()) return PauseOutputs();
    size_t room = draining ? std::min(drain, sizeof buffer) : sizeof buffer;
    ssize_t size = read(output_fds_[index].get(), buffer, room);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return;
    // EIO: the last slave of a pty was closed.
    if (size <= 0) return EndOutput(index);
    OnOutput(index == 1, std::string_view(buffer, static_cast<size_t>(size)));
    // One piece a turn: who writes as fast as it is read must not keep the others waiting.
    if (!draining) return;
    drain -= static_cast<size_t>(size);
    if (drain == 0) return;
  }
}

void Process::PauseOutputs() {
  if (paused_) return;
  paused_ = true;
  // Not only without interest: a pipe whose writers are gone would be reported for ever.
  for (int i = 0; i < 2; i++) {
    if (outputs_[i] != nullptr) monitor_.loop().Remove(output_fds_[i].get());
  }
}

void Process::EndOutput(int index) {
  monitor_.loop().Remove(output_fds_[index].get());
  monitor_.loop().Bury(std::move(outputs_[index]));
  output_fds_[index].reset();
  if (!outputs_open()) OnOutputEnd();
}

void Process::DrainOutputs() {
  ReaderCaughtUp();
  for (int index = 0; index < 2; index++) {
    if (outputs_[index] == nullptr) continue;
    // What a pipe can hold, and its end: processes that live on may fill it as fast as it is read.
    int capacity = fcntl(output_fds_[index].get(), F_GETPIPE_SZ);
    ReadOutput(index, capacity > 0 ? static_cast<size_t>(capacity) + 1 : kTerminalDrain);
  }
}

void Process::CloseOutputs() {
  for (int index = 0; index < 2; index++) {
    if (outputs_[index] == nullptr) continue;
    monitor_.loop().Remove(output_fds_[index].get());
    monitor_.loop().Bury(std::move(outputs_[index]));
    output_fds_[index].reset();
  }
}

void Process::ReaderCaughtUp() {
  if (!paused_ || launch_ != nullptr || (Congested() && !reaped_)) return;
  paused_ = false;
  for (int i = 0; i < 2; i++) {
    if (outputs_[i] != nullptr) monitor_.loop().Add(output_fds_[i].get(), EPOLLIN, outputs_[i].get());
  }
}

void Process::WriteStdin(std::string_view data, Connection* from) {
  bool expected = with_stdin_ && awaiting_terminal_;
  if (stdin_ending_ || !(stdin_.valid() || expected)) return;
  stdin_pending_.append(data);
  if (stdin_.valid()) FlushStdin();
  if (stdin_pending_.size() > kInputHigh) {
    from->HoldInput(true);
    stdin_sources_.push_back(from);
  }
}

void Process::FlushStdin() {
  size_t at = 0;
  bool broken = false;
  while (at < stdin_pending_.size()) {
    ssize_t size = write(stdin_.get(), stdin_pending_.data() + at, stdin_pending_.size() - at);
    if (size < 0 && errno == EINTR) continue;
    broken = size < 0 && errno != EAGAIN;
    if (size < 0) break;
    at += static_cast<size_t>(size);
  }
  stdin_pending_.erase(0, at);
  if (broken || (stdin_pending_.empty() && stdin_ending_)) return CloseStdin();
  bool watch = !stdin_pending_.empty();
  if (watch && !stdin_watched_) {
    stdin_watch_ = std::make_unique<InputWatch>(*this);
    monitor_.loop().Add(stdin_.get(), EPOLLOUT, stdin_watch_.get());
  } else if (!watch && stdin_watched_) {
    monitor_.loop().Remove(stdin_.get());
    monitor_.loop().Bury(std::move(stdin_watch_));
  }
  stdin_watched_ = watch;
  if (stdin_pending_.size() > kInputHigh) return;
  for (Connection* source : stdin_sources_) source->HoldInput(false);
  stdin_sources_.clear();
}

void Process::EndStdin() {
  // What the client sent before it ended its input still goes to the process.
  stdin_ending_ = true;
  if (stdin_pending_.empty()) CloseStdin();
}

void Process::ForgetSource(const Connection* connection) { std::erase(stdin_sources_, connection); }

void Process::CloseStdin() {
  if (!stdin_.valid()) return;
  if (stdin_watched_) {
    monitor_.loop().Remove(stdin_.get());
    monitor_.loop().Bury(std::move(stdin_watch_));
    stdin_watched_ = false;
  }
  if (terminal_.valid()) {
    // A terminal has no end of file of its own: the line discipline makes one of ^D.
    if (!reaped_) (void)!write(terminal_.get(), "\x04", 1);
  }
  stdin_.reset();
  std::string().swap(stdin_pending_);
  for (Connection* source : stdin_sources_) source->HoldInput(false);
  stdin_sources_.clear();
}

void Process::Resize(uint16_t rows, uint16_t columns) {
  if (awaiting_terminal_) {
    early_rows_ = rows;
    early_columns_ = columns;
  }
  if (!terminal_.valid()) return;
  winsize size{};
  size.ws_row = rows;
  size.ws_col = columns;
  ioctl(terminal_.get(), TIOCSWINSZ, &size);
}

}  // namespace berth
