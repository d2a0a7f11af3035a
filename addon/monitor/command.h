// A program that runs to its end beside the containers: a hook, or a command of a foreign runtime.
#pragma once

#include <string>
#include <string_view>

#include "process.h"
#include "work_cgroup.h"

namespace berth {

class Container;

struct CommandRequest {
  const Plan* plan;
  std::string cgroup;      // it runs in a child of it
  int target_pidfd = -1;   // container whose namespaces the plan joins
  uint32_t limit_ms = 0;   // 0: none
  std::string_view input;  // what its standard input holds
};

class Command : public Process {
 public:
  /// For a request: its answer is DONE with the exit and the last output, whatever they are.
  Command(Monitor& monitor, Connection* asker, uint32_t request_id)
      : Process(monitor), asker_(asker), request_id_(request_id) {}
  /// For a container that a runtime is starting.
  Command(Monitor& monitor, Container* starting) : Process(monitor), starting_(starting) {}

  Result Begin(const CommandRequest& request);
  void DropAsker(const Connection* connection);

  void StdinEnded() override {}
  bool PeerClosed(Connection*) override { return false; }
  void ConnectionLost(Connection*) override {}

 protected:
  void OnReady() override { SendGo(); }
  void OnRunning() override {}
  void OnFailed(uint32_t step_index, const Result& result) override;
  void OnOutput(bool is_stderr, std::string_view data) override;
  void OnOutputEnd() override {}
  void OnReaped() override;
  bool Congested() const override { return false; }
  void OnDeadline() override;

 private:
  Result Refusal() const;

  WorkCgroup cgroup_;
  Connection* asker_ = nullptr;
  uint32_t request_id_ = 0;
  Container* starting_ = nullptr;
  bool failed_ = false;
  uint32_t failed_step_ = 0;
  Result failure_;
  std::string step_;  // what failure_.step points to
  std::string output_;
};

}  // namespace berth
