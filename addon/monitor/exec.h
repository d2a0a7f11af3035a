// A process that joins a running container, in a child cgroup of its own, on a connection of its own.
#pragma once

#include <string>

#include "process.h"

namespace berth {

class Container;

class ExecProcess : public Process {
 public:
  ExecProcess(Monitor& monitor, std::string container_id, Connection* connection)
      : Process(monitor), container_id_(std::move(container_id)), connection_(connection) {}
  ~ExecProcess() override;

  /// With `launch` the plan executes a foreign runtime, and `launch_cgroup` is what that puts the process in.
  Result Begin(Container& container, const Plan& plan, uint8_t flags, const LaunchRequest* launch,
               const std::string& launch_cgroup);

  /// While the processes of an abandoned exec are dying.
  void Tick();
  bool waiting_for_end() const { return waiting_for_end_; }
  /// When to look again, in milliseconds: less and less often at processes that hang in the kernel.
  int patience() const { return patience_ms_; }

  void StdinEnded() override { EndStdin(); }
  bool PeerClosed(Connection* connection) override;
  void ConnectionLost(Connection* connection) override;

 protected:
  void OnReady() override { SendGo(); }
  void OnRunning() override;
  void OnLaunched() override;
  void OnFailed(uint32_t step_index, const Result& result) override;
  void OnOutput(bool is_stderr, std::string_view data) override;
  void OnOutputEnd() override {}
  void OnReaped() override;
  bool Congested() const override { return connection_ != nullptr && connection_->congested(); }

 private:
  Result MakeCgroup(Container& container);
  Result MakeCgroupAt(const std::string& path);
  void FreeCgroup(Container* container);
  void Abandon();
  void Finish();

  std::string container_id_;
  Connection* connection_;
  std::string cgroup_path_;
  bool by_runtime_ = false;
  bool detached_ = false;  // goes on without its connection
  bool abandoned_ = false, failed_ = false, waiting_for_end_ = false;
  int patience_ms_ = 1;
  uint64_t next_look_ms_ = 0;
};

}  // namespace berth
