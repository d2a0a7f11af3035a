#include "exec.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cgroup_file.h"
#include "container.h"
#include "monitor.h"

namespace berth {

ExecProcess::~ExecProcess() = default;

Result ExecProcess::MakeCgroup(Container& container) {
  std::vector<std::string>& used = container.exec_cgroups();
  auto is_free = [](const std::string& path) { return !CgroupPopulated(path); };
  auto free = std::find_if(used.begin(), used.end(), is_free);
  if (free != used.end()) {
    cgroup_path_ = *free;
    used.erase(free);
    return Result::success();
  }
  return MakeCgroupAt(container.cgroup_path() + "/x-" + std::to_string(monitor_.NextExecNumber()));
}

Result ExecProcess::MakeCgroupAt(const std::string& path) {
  cgroup_path_ = path;
  if (mkdir(cgroup_path_.c_str(), 0755) != 0) return Result::last("mkdir cgroup", cgroup_path_.c_str());
  return Result::success();
}

Result ExecProcess::Begin(Container& container, const Plan& plan, uint8_t flags, const LaunchRequest* launch,
                          const std::string& launch_cgroup) {
  by_runtime_ = launch != nullptr;
  Result result = by_runtime_ ? MakeCgroupAt(launch_cgroup) : MakeCgroup(container);
  if (!result.ok()) return result;
  detached_ = (flags & kFlagDetached) != 0;
  bool tty = (flags & kFlagTty) != 0, with_stdin = (flags & kFlagStdin) != 0;
  Fd cgroup(open(cgroup_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) {
    result = Result::last("open cgroup", cgroup_path_.c_str());
  } else {
    result = Spawn({&plan, cgroup.get(), by_runtime_ ? -1 : container.pidfd(), tty, with_stdin, launch});
  }
  if (result.ok()) {
    connection_->BecomeStream(this, with_stdin);
  } else {
    FreeCgroup(&container);
  }
  return result;
}

void ExecProcess::OnRunning() {
  if (connection_ == nullptr) return;
  FrameWriter started(FrameType::kStreamStarted, 0);
  started.U32(static_cast<uint32_t>(pid())).U64(start_time());
  connection_->Send(started);
}

void ExecProcess::OnLaunched() {
  OnRunning();
  // Its client left while the runtime was at work.
  if (!abandoned_) return;
  WriteCgroupFile(cgroup_path_, "cgroup.kill", "1");
  Kill();
}

void ExecProcess::OnFailed(uint32_t step_index, const Result& result) {
  failed_ = true;
  if (connection_ != nullptr) connection_->SendFailed(0, step_index, result);
}

void ExecProcess::OnOutput(bool is_stderr, std::string_view data) {
  if (connection_ != nullptr && !abandoned_) {
    connection_->SendOutput(is_stderr ? FrameType::kStderr : FrameType::kStdout, data);
  }
}

void ExecProcess::Abandon() {
  if (abandoned_) return;
  abandoned_ = true;
  KillRuntime();
  WriteCgroupFile(cgroup_path_, "cgroup.kill", "1");
  Kill();
}

bool ExecProcess::PeerClosed(Connection*) {
  if (detached_) return false;
  Abandon();
  return true;
}

void ExecProcess::ConnectionLost(Connection* connection) {
  ForgetSource(connection);
  connection_ = nullptr;
  if (!detached_) return Abandon();
  // What it writes from now on is read and dropped, so that it never waits for a reader.
  ReaderCaughtUp();
}

void ExecProcess::OnReaped() {
  // What the process wrote is in the pipes by now; what its left-over children write later is not of this
  // exec.
  DrainOutputs();
  CloseOutputs();
  if (abandoned_ && CgroupPopulated(cgroup_path_)) {
    waiting_for_end_ = true;
    return;
  }
  Finish();
}

void ExecProcess::Tick() {
  constexpr int kLongestMs = 250;
  // The loop turns for other reasons as well.
  if (MonotonicMs() < next_look_ms_) return;
  WriteCgroupFile(cgroup_path_, "cgroup.kill", "1");
  if (CgroupPopulated(cgroup_path_)) {
    next_look_ms_ = MonotonicMs() + static_cast<uint64_t>(patience_ms_);
    patience_ms_ = std::min(patience_ms_ * 2, kLongestMs);
    return;
  }
  waiting_for_end_ = false;
  Finish();
}

void ExecProcess::FreeCgroup(Container* container) {
  // One is kept for the next exec, and those in which something was left behind until it has ended. Where
  // rmdir fails, the removal of the container's cgroup takes it along.
  // One that was killed is never used again: the kernel would kill what is cloned into it (see KillAll).
  bool keep = !abandoned_ && !by_runtime_ && container != nullptr;
  if (keep && (container->exec_cgroups().empty() || CgroupPopulated(cgroup_path_))) {
    container->exec_cgroups().push_back(cgroup_path_);
  } else {
    (void)!rmdir(cgroup_path_.c_str());
  }
}

void ExecProcess::Finish() {
  FreeCgroup(monitor_.Find(container_id_));
  if (connection_ != nullptr) {
    Connection* connection = connection_;
    connection_ = nullptr;
    connection->ForgetProcess();
    if (!failed_) {
      FrameWriter ended(FrameType::kStreamExited, 0);
      ended.U8(exit().code).U8(exit().signal);
      connection->Send(ended);
    }
    connection->FinishSoon();
  }
  monitor_.Erase(this);
}

}  // namespace berth
