// A process that a foreign runtime starts for the monitor: the runtime writes its pid into a file, sends its
// terminal to a socket, and ends. The process is then a child of the monitor, which is its subreaper.
#pragma once

#include <sys/types.h>

#include <string>

#include "../kernel/fd.h"
#include "../kernel/result.h"
#include "loop.h"
#include "work_cgroup.h"

namespace berth {

class Process;

struct LaunchRequest {
  std::string pid_file;
  std::string console_socket;  // with a terminal
  std::string cgroup;          // the runtime runs in a child of it
  std::string move_to;         // cgroup that the process is moved into when the runtime cannot do that; or ""
  uint32_t limit_ms = 0;       // 0: none
};

class Launch : public Watch {
 public:
  Launch(Loop& loop, Process& process, LaunchRequest request)
      : loop_(loop), process_(process), request_(std::move(request)) {}
  ~Launch() override;

  /// Makes the runtime's cgroup and, with a terminal, the socket where it sends that.
  Result Begin(uint64_t number, bool tty);
  int cgroup_fd() const { return cgroup_.fd(); }
  uint32_t limit_ms() const { return request_.limit_ms; }
  void Kill() { cgroup_.Kill(); }

  void OnReady(uint32_t events) override;
  /// The terminal, once: invalid while the runtime has not sent it.
  Fd TakeTerminal();
  /// The pid that the runtime left. EBADMSG when that is no number.
  Result ReadPid(pid_t* pid) const;
  void MoveToCgroup(pid_t pid) const;

 private:
  Result Listen();
  void CloseSocket();

  Loop& loop_;
  Process& process_;
  LaunchRequest request_;
  WorkCgroup cgroup_;
  Fd listener_, peer_;
};

}  // namespace berth
