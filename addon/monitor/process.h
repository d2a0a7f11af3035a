// A process that the monitor cloned: its handshake, its stdio, its exit. Containers and execs are its two
// kinds.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "../init/plan.h"
#include "../kernel/fd.h"
#include "../kernel/handshake.h"
#include "../kernel/result.h"
#include "connection.h"
#include "launch.h"
#include "loop.h"

namespace berth {

class Monitor;
struct InitContext;

struct ExitStatus {
  uint64_t finished_at = 0;  // microseconds
  uint8_t code = 0;          // 128 + signal when a signal ended it
  uint8_t signal = 0;
  bool oom = false;
};

/// How a foreign runtime ended that should have ended with 0: "exit 1: its last words", cut to what fits.
Result RuntimeFailure(const ExitStatus& exit, std::string_view last_words);
Result RuntimeTooSlow();

struct SpawnRequest {
  const Plan* plan;
  int cgroup_fd;
  int target_pidfd;  // whose namespaces are joined, -1: none
  bool tty;
  bool with_stdin;
  const LaunchRequest* launch = nullptr;  // the plan executes a runtime that starts the process
  int stdin_fd = -1;                      // becomes the standard input
};

class Process {
 public:
  explicit Process(Monitor& monitor) : monitor_(monitor) {}
  virtual ~Process();
  Process(const Process&) = delete;

  /// Clones the process, which begins with its plan at once. On failure failed_step() is the step's index.
  Result Spawn(const SpawnRequest& request);
  uint32_t failed_step() const { return failed_step_; }

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  uint64_t start_time() const { return start_time_; }
  const ExitStatus& exit() const { return exit_; }
  bool reaped() const { return reaped_; }

  /// waitpid told of its end.
  void Reaped(int wait_status);
  void Kill();
  /// While a foreign runtime is starting it; pid() is then the runtime's.
  bool launching() const { return launch_ != nullptr; }
  /// The runtime sent its terminal.
  void TakeLaunchedTerminal();
  /// When something must have happened, in milliseconds of the monotonic clock; 0: no such time.
  uint64_t deadline_ms() const { return deadline_ms_; }
  void CheckDeadline(uint64_t now_ms);

  void WriteStdin(std::string_view data, Connection* from);
  /// The client will send no more input.
  virtual void StdinEnded() = 0;
  void Resize(uint16_t rows, uint16_t columns);
  void ReaderCaughtUp();
  /// The peer closed its end. True when the connection shall stay for what is still to be sent.
  virtual bool PeerClosed(Connection* connection) = 0;
  /// The connection is gone altogether.
  virtual void ConnectionLost(Connection* connection) = 0;

 protected:
  virtual void OnReady() = 0;
  /// At a step that waits for hooks of the daemon.
  virtual void OnPaused() {}
  /// The runtime has started it.
  virtual void OnLaunched() {}
  /// execve happened: the handshake's socket closed by itself.
  virtual void OnRunning() = 0;
  virtual void OnFailed(uint32_t step_index, const Result& result) = 0;
  virtual void OnOutput(bool is_stderr, std::string_view data) = 0;
  /// All outputs reached their end.
  virtual void OnOutputEnd() = 0;
  virtual void OnReaped() = 0;
  /// True while a reader is too slow to take more.
  virtual bool Congested() const = 0;

  /// Closes the input once everything pending was taken.
  void EndStdin();
  void CloseStdin();
  void ForgetSource(const Connection* connection);
  bool outputs_open() const { return outputs_[0] != nullptr || outputs_[1] != nullptr; }
  /// Reads what is there now. Slow readers do not count any more: the process has ended.
  void DrainOutputs();
  void CloseOutputs();
  void set_exit(const ExitStatus& status) { exit_ = status; }
  void SendGo();
  /// Time for what is under way, 0: no limit. At its end everything is killed.
  void SetDeadline(uint32_t limit_ms);
  virtual void OnDeadline();
  void KillRuntime();
  bool timed_out() const { return timed_out_; }
  /// What waits in the output pipes now, at most what they hold.
  std::string ReadWhatIsThere();
  /// Takes what the handshake still holds, before the exit is believed.
  void FinishHandshake();

  Monitor& monitor_;

 private:
  class SyncWatch;
  class OutputWatch;
  class InputWatch;

  struct ChildEnds;
  Result MakeStdio(const SpawnRequest& request, ChildEnds* child);
  [[noreturn]] void RunChild(const SpawnRequest& request, ChildEnds& child, const char** argv,
                             const char** envp);
  Result SpawnInside(const SpawnRequest& request, const ChildEnds& child, const char** argv,
                     const char** envp);
  Result SpawnMounter(const SpawnRequest& request, const InitContext& of_process, int partner);
  void Adopt(const SpawnRequest& request);
  void TakeSync();
  void TakeTerminal(Fd master);
  /// One piece of what is there; `drain`: at most so many bytes, however slow the readers are.
  void ReadOutput(int index, size_t drain = 0);
  void PauseOutputs();
  void EndOutput(int index);
  void FlushStdin();
  Result BeginLaunch(const SpawnRequest& request);
  void EndLaunch();
  /// True when no process came of it: the runtime's end is then that of the process.
  bool RuntimeEnded();
  Result Adopt(pid_t pid, int* early_status, bool* ended);

  uint32_t failed_step_ = kNoStep;
  pid_t pid_ = -1;
  Fd pidfd_;
  Fd mounter_;  // of a container in a user namespace; it ends before the container starts
  uint64_t start_time_ = 0;
  Fd sync_, stdin_, terminal_;
  Fd output_fds_[2];
  std::unique_ptr<Watch> sync_watch_, stdin_watch_;
  std::unique_ptr<Watch> outputs_[2];  // stdout and stderr; with a tty only the first
  bool with_stdin_ = false, stdin_ending_ = false, stdin_watched_ = false;
  bool awaiting_terminal_ = false;  // its master has not come yet
  uint16_t early_rows_ = 0, early_columns_ = 0;
  bool paused_ = false;
  std::string stdin_pending_;
  std::vector<Connection*> stdin_sources_;
  std::unique_ptr<Launch> launch_;
  bool launch_failed_ = false, timed_out_ = false;
  uint64_t deadline_ms_ = 0;
  bool reaped_ = false;
  ExitStatus exit_;
};

}  // namespace berth
