// Processes by PID and start time, which together name a process for as long as the host runs.
#pragma once

#include <cstdint>
#include <sys/types.h>

#include "result.h"

namespace berth {

/// Field 22 of /proc/<pid>/stat, clock ticks since boot; 0 when there is no such process.
uint64_t ProcessStartTime(pid_t pid);

/// The same; 0 for a zombie too.
uint64_t LiveStartTime(pid_t pid);

/// Field 4 of /proc/<pid>/stat; 0 when there is no such process.
pid_t ParentOf(pid_t pid);

/// Sends `signal` (0 only asks) to the process when its start time is `start_time`. `sent` is false when that
/// process is gone or a zombie.
Result SignalProcess(pid_t pid, uint64_t start_time, int signal, bool* sent);

}  // namespace berth
