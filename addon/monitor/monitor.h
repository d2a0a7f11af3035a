// The monitor of one pod: parent and subreaper of its processes, holder of its namespaces.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../init/plan.h"
#include "connection.h"
#include "container.h"
#include "exec.h"
#include "loop.h"
#include "command.h"

namespace berth {

/// What the pod's plan left with the monitor.
struct PodResources {
  Fd userns;        // owns the pod's namespaces; none: the host's does
  Fd own_pid_ns;    // the monitor's PID namespace
  Fd pod_mount_ns;  // holds /shm; nothing of the host is mounted in it
  const char* mount_label = nullptr;  // SELinux context of what is mounted for the pod
  Fd init_pidfd;    // PID 1 of the pod's shared PID namespace
  pid_t init_pid = -1;
  char** argv = nullptr;  // the monitor's own; the pod's init shows nothing of it
};

/// Executes the pod's plan in this process (addon/monitor/pod.cc). On failure `index` is the step's.
Result RunPodPlan(const Plan& plan, PodResources* pod, uint32_t* index);

class Monitor {
 public:
  Monitor(std::string state_dir, std::string socket_path, PodResources pod)
      : state_dir_(std::move(state_dir)), socket_path_(std::move(socket_path)), pod_(std::move(pod)) {}

  Result Listen();
  /// Serves until a shutdown was asked for.
  void Run();

  Loop& loop() { return loop_; }
  const std::string& state_dir() const { return state_dir_; }
  int pod_mount_ns() const { return pod_.pod_mount_ns.get(); }
  int userns() const { return pod_.userns.get(); }
  uint64_t NextExecNumber() { return ++exec_number_; }

  /// Children cloned between the two are born in the PID namespace that the plan names.
  Result EnterPidNamespace(const Plan& plan, int target_pidfd);
  Result LeavePidNamespace();
  /// The process whose PID namespace the plan names, -1: the monitor's own.
  Result PidNamespaceOf(const Plan& plan, int target_pidfd, int* pidfd) const;

  /// Takes the program over until it has ended.
  Result StartCommand(std::unique_ptr<Command> command, const CommandRequest& request);
  /// How a child ended that was reaped before anybody knew it; only while a runtime is at work.
  bool TakeStray(pid_t pid, int* wait_status);

  Container* Find(const std::string& id);
  void Handle(Connection& connection, const Frame& frame);
  void AnnounceExit(const Container& container);

  void Accept();
  void ReapChildren();
  void Drop(Connection* connection);
  void Erase(Process* process);

 private:
  void HandlePrepare(Connection& connection, const Frame& frame);
  void HandleExec(Connection& connection, const Frame& frame);
  void HandleAttach(Connection& connection, const Frame& frame);
  void HandleRun(Connection& connection, const Frame& frame);
  void HandleStart(Container& container, Connection& connection, const Frame& frame, FieldReader& fields);
  void HandleShutdown(Connection& connection, const Frame& frame);
  void HandleOnContainer(Connection& connection, const Frame& frame);
  void Welcome(Connection& connection, const Frame& frame);
  void TickAll();
  int NextTimeout() const;
  std::vector<Process*> Processes() const;
  bool RuntimeAtWork() const;

  std::string state_dir_, socket_path_;
  PodResources pod_;
  Loop loop_;
  Fd listener_, signals_;
  std::unique_ptr<Watch> listener_watch_, signal_watch_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Container>> containers_;
  std::vector<std::unique_ptr<ExecProcess>> execs_;
  std::vector<std::unique_ptr<Command>> commands_;
  std::vector<std::unique_ptr<Process>> erased_;
  struct Stray {
    pid_t pid;
    int wait_status;
  };
  std::vector<Stray> strays_;
  uint64_t exec_number_ = 0;
  bool shutting_down_ = false;
};

}  // namespace berth
