#include "command.h"

#include <sys/mman.h>
#include <unistd.h>

#include "container.h"
#include "monitor.h"

namespace berth {

namespace {

/// How much of the output is kept: its end, where the error is.
constexpr size_t kOutputKept = 4096;

Result InputOf(std::string_view text, Fd* out) {
  // A file and not a pipe: who does not read it blocks nobody.
  out->reset(memfd_create("input", MFD_CLOEXEC));
  if (!out->valid()) return Result::last("memfd_create");
  while (!text.empty()) {
    ssize_t size = write(out->get(), text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Result::last("write input");
    text.remove_prefix(static_cast<size_t>(size));
  }
  return lseek(out->get(), 0, SEEK_SET) == 0 ? Result::success() : Result::last("lseek input");
}

}  // namespace

Result Command::Begin(const CommandRequest& request) {
  Fd input;
  Result result = InputOf(request.input, &input);
  if (result.ok()) result = cgroup_.Make(request.cgroup, monitor_.NextExecNumber());
  if (!result.ok()) return result;
  SetDeadline(request.limit_ms);
  return Spawn({.plan = request.plan,
                .cgroup_fd = cgroup_.fd(),
                .target_pidfd = request.target_pidfd,
                .tty = false,
                .with_stdin = false,
                .stdin_fd = input.get()});
}

void Command::DropAsker(const Connection* connection) {
  if (asker_ == connection) asker_ = nullptr;
}

void Command::OnFailed(uint32_t step_index, const Result& result) {
  failed_ = true;
  failed_step_ = step_index;
  step_ = result.step;
  failure_ = result;
  failure_.step = step_.c_str();
}

void Command::OnOutput(bool, std::string_view data) {
  output_.append(data);
  if (output_.size() > 2 * kOutputKept) output_.erase(0, output_.size() - kOutputKept);
}

void Command::OnDeadline() {
  cgroup_.Kill();
  Kill();
}

Result Command::Refusal() const {
  if (failed_) return failure_;
  if (timed_out()) return RuntimeTooSlow();
  return exit().code == 0 ? Result::success() : RuntimeFailure(exit(), output_);
}

void Command::OnReaped() {
  SetDeadline(0);
  DrainOutputs();
  CloseOutputs();
  if (output_.size() > kOutputKept) output_.erase(0, output_.size() - kOutputKept);
  // Before the answer: who gets it may remove the cgroup above.
  cgroup_.Remove();
  if (asker_ != nullptr && failed_) {
    asker_->SendFailed(request_id_, failed_step_, failure_);
  } else if (asker_ != nullptr) {
    FrameWriter done(FrameType::kDone, request_id_);
    done.U8(exit().code).U8(exit().signal).U8(timed_out() ? 1 : 0).Blob(output_);
    asker_->Send(done);
  }
  Container* starting = starting_;
  Result refusal = Refusal();
  uint32_t step = failed_ ? failed_step_ : kNoStep;
  // `refusal.step` may point into this, which lives until the end of the turn.
  monitor_.Erase(this);
  if (starting != nullptr) starting->StartEnded(step, refusal);
}

}  // namespace berth
