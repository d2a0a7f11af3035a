// One look at many cgroups: what the kernel counts of each, as a row of numbers. Whatever a host or a kernel
// does not count is NaN, never an error: without the memory controller there is no memory.current, and a
// cgroup that was removed meanwhile has a row of NaN alone.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "result.h"

namespace berth {

/// Columns of a row; src/kernel/stats.ts holds the same list in the same order.
enum StatsField : size_t {
  kWallMicros,
  kMonotonicMicros,
  // cpu.stat, cpu.max, cpu.weight
  kCpuUsageUsec,
  kCpuUserUsec,
  kCpuSystemUsec,
  kCpuPeriods,
  kCpuThrottledPeriods,
  kCpuThrottledUsec,
  kCpuQuota,
  kCpuPeriod,
  kCpuWeight,
  // memory.*
  kMemoryCurrent,
  kMemoryPeak,
  kMemoryMax,
  kMemoryLow,
  kMemoryAnon,
  kMemoryFile,
  kMemoryKernel,
  kMemoryFileMapped,
  kMemoryInactiveFile,
  kMemoryFaults,
  kMemoryMajorFaults,
  kMemoryLimitHits,
  kMemoryOomKills,
  kSwapCurrent,
  kSwapMax,
  // pids.max
  kPidsMax,
  // {cpu,memory,io}.pressure: some, then full, each avg10, avg60, avg300, total in microseconds
  kCpuPressure,
  kMemoryPressure = kCpuPressure + 8,
  kIoPressure = kMemoryPressure + 8,
  // Counted over the processes
  kProcesses = kIoPressure + 8,
  kThreads,
  kResidentBytes,
  kDescriptors,
  kSockets,
  kSoftNofile,
  kStatsFields,
};

/// How far to look: at interface files alone; also at each process; also at each process's descriptors.
enum class StatsDepth : uint8_t { kFiles = 0, kProcesses = 1, kDescriptors = 2 };

struct StatsWish {
  std::string path;
  StatsDepth depth = StatsDepth::kFiles;
};

struct StatsReading {
  /// One row of kStatsFields numbers per wish.
  std::vector<double> numbers;
  /// Per wish, with depth kDescriptors: io.stat as it is, and "<page size> <bytes>" lines of hugetlb.
  std::vector<std::string> io;
  std::vector<std::string> hugepages;
};

/// Fails only when there is no cgroup2 file system, or a path is not beneath it.
Result ReadStats(const std::vector<StatsWish>& wishes, StatsReading* reading);

/// Files of /proc/<pid> as they are.
struct ProcessText {
  pid_t pid = 0;
  std::string stat;
  std::string status;
  std::string cmdline;
};

/// Every process of the cgroup and of those beneath it, at most 4096. Looking at a process may hang with it.
Result ReadProcesses(const std::string& cgroup, std::vector<ProcessText>* processes);

/// /proc/<pid>/net/dev of the process that started at `start_time`: the interfaces of its network namespace.
/// Empty when that process is gone.
std::string ReadNetworkDevices(pid_t pid, uint64_t start_time);

}  // namespace berth
