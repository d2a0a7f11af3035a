// Starting a monitor: from a sealed copy of its binary, in its cgroup, as nobody's child.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "fd.h"
#include "handshake.h"
#include "result.h"

namespace berth {

/// Copies the program at `path` into a memfd that nobody can write, grow, shrink or unseal. `out` is
/// read-only.
Result SealProgram(const std::string& path, Fd* out);

struct MonitorRequest {
  std::string title;        // argv[1]
  std::string state_dir;    // argv[2]
  std::string socket_path;  // argv[3], at most 107 bytes
  std::string cgroup_path;
  const uint8_t* plan = nullptr;
  size_t plan_bytes = 0;
  int timeout_ms = 0;
};

struct MonitorStart {
  pid_t pid = -1;
  uint64_t start_time = 0;
  /// What the monitor refused with, when `refused`: its strings are terminated.
  bool refused = false;
  InitMessage refusal = {};
};

/// Starts `program` as docs/monitor-protocol.md says and waits for its answer. It is re-parented to init (or
/// the nearest subreaper), so nobody here has to reap it. Success with `refused` when the monitor said why it
/// failed; then, and on every failure, it has been killed. Step "start monitor": ETIMEDOUT, or EPIPE when it
/// ended without a word.
Result LaunchMonitor(int program, const MonitorRequest& request, MonitorStart* start);

}  // namespace berth
