#include "container.h"

#include <fcntl.h>
#include <stdlib.h>

#include <algorithm>

#include "cgroup_file.h"
#include "exit_record.h"
#include "monitor.h"

namespace berth {

namespace {
/// How long output may trickle after the exit before the pipes are given up (a process stuck in the kernel).
constexpr uint64_t kDrainMs = 2000;
}  // namespace

Result Container::Prepare(const std::string& log_path, const Plan& plan, int target_pidfd,
                          const LaunchRequest* launch, Connection* asker, uint32_t request_id) {
  Result result = log_.Open(log_path);
  if (!result.ok()) return result;
  Fd cgroup(open(cgroup_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!cgroup.valid()) return Result::last("open cgroup", cgroup_path_.c_str());
  preparing_ = {asker, request_id};
  bool tty = (flags_ & kFlagTty) != 0, with_stdin = (flags_ & kFlagStdin) != 0;
  by_runtime_ = launch != nullptr;
  return Spawn({&plan, cgroup.get(), target_pidfd, tty, with_stdin, launch});
}

void Container::OnPaused() { AnswerPrepare(); }

void Container::Proceed(Connection* asker, uint32_t request_id) {
  if (state_ != ContainerState::kPreparing || preparing_.connection != nullptr || forgotten_ || by_runtime_) {
    return asker->SendFailed(request_id, kNoStep, Result::failure("proceed", EINVAL, id_.c_str()));
  }
  preparing_ = {asker, request_id};
  SendGo();
}

void Container::OnLaunched() {
  // What the runtime said is no output of the container, which has not been started.
  (void)ReadWhatIsThere();
  if (forgotten_) return KillAll();
  OnReady();
}

void Container::OnDeadline() { KillAll(); }

void Container::OnReady() {
  if (state_ != ContainerState::kPreparing) return;
  state_ = ContainerState::kPrepared;
  AnswerPrepare();
}

void Container::AnswerPrepare() {
  if (preparing_.connection == nullptr) return;
  FrameWriter done(FrameType::kDone, preparing_.id);
  done.U32(static_cast<uint32_t>(pid())).U64(start_time());
  preparing_.connection->Send(done);
  preparing_ = {};
}

void Container::Start(const CommandRequest* command, Connection* asker, uint32_t request_id) {
  bool fitting = by_runtime_ == (command != nullptr);
  if (state_ != ContainerState::kPrepared || go_sent_ || forgotten_ || !fitting) {
    return asker->SendFailed(request_id, kNoStep, Result::failure("start", EINVAL, id_.c_str()));
  }
  go_sent_ = true;
  starting_ = {asker, request_id};
  if (command == nullptr) return SendGo();
  start_runs_ = true;
  Result result = monitor_.StartCommand(std::make_unique<Command>(monitor_, this), *command);
  if (!result.ok()) StartEnded(kNoStep, result);
}

void Container::StartEnded(uint32_t step_index, const Result& result) {
  start_runs_ = false;
  if (result.ok()) {
    OnRunning();
  } else {
    OnFailed(step_index, result);
    KillAll();
  }
  if (reaped() && !outputs_open()) Finish();
}

void Container::OnRunning() {
  if (!go_sent_) return;  // the process died before; waitpid tells
  state_ = ContainerState::kRunning;
  started_at_ = NowMicros();
  if (starting_.connection == nullptr) return;
  FrameWriter done(FrameType::kDone, starting_.id);
  done.U64(started_at_);
  starting_.connection->Send(done);
  starting_ = {};
}

void Container::OnFailed(uint32_t step_index, const Result& result) {
  failed_ = true;
  Pending& asked = go_sent_ ? starting_ : preparing_;
  if (asked.connection != nullptr) asked.connection->SendFailed(asked.id, step_index, result);
  asked = {};
}

void Container::Forget(Connection* asker, uint32_t request_id) {
  forgotten_ = true;
  forgetting_.push_back({asker, request_id});
  if (finished_) return AnswerForget();
  KillAll();
}

void Container::KillAll() {
  // Before "go" there is one process only, unless a runtime makes it. And a cgroup that was once killed kills
  // whatever is cloned into it from outside later (seen on kernel 6.18): a second prepare in it must stay
  // possible.
  bool may_hold_more = by_runtime_ ? CgroupPopulated(cgroup_path_) : go_sent_ && !failed_;
  if (may_hold_more) WriteCgroupFile(cgroup_path_, "cgroup.kill", "1");
  KillRuntime();
  Kill();
}

void Container::AnswerForget() {
  RemoveExitRecord(monitor_.state_dir(), id_);
  for (const Pending& asked : forgetting_) {
    if (asked.connection != nullptr) asked.connection->SendDone(asked.id);
  }
  forgetting_.clear();
  monitor_.Erase(this);
}

void Container::DropAsker(const Connection* connection) {
  if (preparing_.connection == connection) preparing_ = {};
  if (starting_.connection == connection) starting_ = {};
  for (Pending& asked : forgetting_) {
    if (asked.connection == connection) asked = {};
  }
}

void Container::Attach(Connection* connection, bool with_stdin) {
  connection->BecomeStream(this, with_stdin && (flags_ & kFlagStdin) != 0);
  attached_.push_back(connection);
  FrameWriter started(FrameType::kStreamStarted, 0);
  started.U32(static_cast<uint32_t>(pid())).U64(start_time());
  connection->Send(started);
}

void Container::OnOutput(bool is_stderr, std::string_view data) {
  log_.Write(is_stderr, data);
  // A copy: a connection that breaks while it is written to leaves the list.
  std::vector<Connection*> readers = attached_;
  for (Connection* reader : readers) {
    if (!reader->dead()) reader->SendOutput(is_stderr ? FrameType::kStderr : FrameType::kStdout, data);
  }
}

bool Container::Congested() const {
  return std::any_of(attached_.begin(), attached_.end(), [](const Connection* c) { return c->congested(); });
}

void Container::StdinEnded() {
  // Without stdin_once the input stays open for the next attach.
  if ((flags_ & kFlagStdinOnce) != 0) EndStdin();
}

bool Container::PeerClosed(Connection*) { return false; }

void Container::ConnectionLost(Connection* connection) {
  std::erase(attached_, connection);
  ForgetSource(connection);
  if (connection->with_stdin()) StdinEnded();
  ReaderCaughtUp();
}

void Container::OnReaped() {
  // Whatever the first process left behind ends with it, and with that its outputs end.
  bool may_have_children =
      by_runtime_ ? CgroupPopulated(cgroup_path_) : state_ == ContainerState::kRunning || go_sent_;
  if (may_have_children) WriteCgroupFile(cgroup_path_, "cgroup.kill", "1");
  drain_deadline_ms_ = MonotonicMs() + kDrainMs;
  DrainOutputs();
  if (!outputs_open()) Finish();
}

void Container::OnOutputEnd() {
  if (reaped()) Finish();
}

void Container::Tick(uint64_t now_ms) {
  if (now_ms < drain_deadline_ms_) return;
  DrainOutputs();
  CloseOutputs();
  Finish();
}

bool Container::WasOomKilled() const {
  std::string events = ReadCgroupFile(cgroup_path_, "memory.events");
  size_t at = events.find("\noom_kill ");
  return at != std::string::npos && strtoul(events.c_str() + at + 10, nullptr, 10) > 0;
}

void Container::Finish() {
  // An end that overtook the answer of the runtime's "start" waits for it.
  if (finished_ || start_runs_) return;
  finished_ = true;
  drain_deadline_ms_ = 0;
  log_.Close();
  ExitStatus status = exit();
  status.oom = WasOomKilled();
  bool never_ready = state_ == ContainerState::kPreparing;
  state_ = ContainerState::kExited;
  if (preparing_.connection != nullptr) {
    preparing_.connection->SendFailed(preparing_.id, kNoStep,
                                      Result::failure("prepare: killed", ECHILD, id_.c_str()));
    preparing_ = {};
  }
  if (starting_.connection != nullptr) {
    // It ran and ended within one turn of the loop, or was killed as it was let go.
    FrameWriter done(FrameType::kDone, starting_.id);
    started_at_ = started_at_ != 0 ? started_at_ : status.finished_at;
    done.U64(started_at_);
    starting_.connection->Send(done);
    starting_ = {};
  }
  std::vector<Connection*> readers;
  readers.swap(attached_);
  for (Connection* reader : readers) {
    FrameWriter ended(FrameType::kStreamExited, 0);
    ended.U8(status.code).U8(status.signal);
    reader->ForgetProcess();
    reader->Send(ended);
    reader->FinishSoon();
  }
  set_exit(status);
  if (failed_ || never_ready) {
    // Whoever asked for it has been told; there is nothing to remember.
    forgotten_ = true;
  } else {
    WriteExitRecord(monitor_.state_dir(), id_, status);
    monitor_.AnnounceExit(*this);
  }
  if (forgotten_) AnswerForget();
}

}  // namespace berth
