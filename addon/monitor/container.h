// A container's first process: prepared, running, exited.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "log_pump.h"
#include "process.h"
#include "command.h"

namespace berth {

enum class ContainerState : uint8_t { kPreparing = 0, kPrepared = 1, kRunning = 2, kExited = 3 };

class Container : public Process {
 public:
  Container(Monitor& monitor, std::string id, std::string cgroup_path, uint8_t flags)
      : Process(monitor), id_(std::move(id)), cgroup_path_(std::move(cgroup_path)), flags_(flags) {}

  /// Opens the log and clones the process; the answer to `request_id` comes when the plan is at "ready".
  /// With `launch` the plan executes a foreign runtime, and the answer comes when that has made the process.
  Result Prepare(const std::string& log_path, const Plan& plan, int target_pidfd, const LaunchRequest* launch,
                 Connection* asker, uint32_t request_id);
  /// Lets a prepared process go on that waits for hooks; the answer comes when its plan is at "ready".
  void Proceed(Connection* asker, uint32_t request_id);
  /// `command`: what has the runtime start it, for a process that a runtime made.
  void Start(const CommandRequest* command, Connection* asker, uint32_t request_id);
  /// The runtime's command to start it has ended; `result` tells how.
  void StartEnded(uint32_t step_index, const Result& result);
  /// Kills what runs; the answer comes when it is gone.
  void Forget(Connection* asker, uint32_t request_id);
  void Attach(Connection* connection, bool with_stdin);
  Result ReopenLog() { return log_.Reopen(); }

  const std::string& id() const { return id_; }
  const std::string& cgroup_path() const { return cgroup_path_; }
  ContainerState state() const { return state_; }
  uint64_t started_at() const { return started_at_; }
  bool forgotten() const { return forgotten_; }
  void KillAll();
  /// Cgroups of execs that ended: those in which nothing is left may be used again.
  std::vector<std::string>& exec_cgroups() { return exec_cgroups_; }

  /// While output is being drained after the exit: gives up at the deadline.
  void Tick(uint64_t now_ms);
  bool draining() const { return drain_deadline_ms_ != 0; }
  /// An asker's connection is gone.
  void DropAsker(const Connection* connection);

  void StdinEnded() override;
  bool PeerClosed(Connection* connection) override;
  void ConnectionLost(Connection* connection) override;

 protected:
  void OnReady() override;
  void OnPaused() override;
  void OnLaunched() override;
  void OnDeadline() override;
  void OnRunning() override;
  void OnFailed(uint32_t step_index, const Result& result) override;
  void OnOutput(bool is_stderr, std::string_view data) override;
  void OnOutputEnd() override;
  void OnReaped() override;
  bool Congested() const override;

 private:
  struct Pending {
    Connection* connection = nullptr;
    uint32_t id = 0;
  };

  void AnswerPrepare();
  void Finish();
  void AnswerForget();
  bool WasOomKilled() const;

  std::string id_, cgroup_path_;
  uint8_t flags_;
  LogPump log_;
  ContainerState state_ = ContainerState::kPreparing;
  bool by_runtime_ = false, start_runs_ = false;
  bool go_sent_ = false, failed_ = false, forgotten_ = false, finished_ = false;
  uint64_t started_at_ = 0;
  uint64_t drain_deadline_ms_ = 0;
  Pending preparing_, starting_;
  std::vector<Pending> forgetting_;
  std::vector<Connection*> attached_;
  std::vector<std::string> exec_cgroups_;
};

}  // namespace berth
