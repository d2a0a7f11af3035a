#include "stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "fd.h"
#include "process.h"

namespace berth {

namespace {

/// Containers may nest cgroups as deep as they like; a look ends here.
constexpr int kMostLevels = 16;

double MicrosOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec / 1000);
}

/// The buffers of one sweep. Files are read whole, from the start, into the same memory.
class Reader {
 public:
  Reader() : text_(16 * 1024) {}

  /// Text of a file in an open directory, ended by a zero; null when it cannot be read. Valid until the next
  /// call.
  const char* Read(int directory, const char* name, size_t* size_read = nullptr) {
    Fd file(openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file.valid()) return nullptr;
    size_t length = 0;
    for (;;) {
      if (length + 1 == text_.size()) text_.resize(text_.size() * 2);
      ssize_t size = read(file.get(), text_.data() + length, text_.size() - length - 1);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return nullptr;
      if (size == 0) break;
      length += static_cast<size_t>(size);
    }
    text_[length] = '\0';
    if (size_read != nullptr) *size_read = length;
    return text_.data();
  }

 private:
  std::vector<char> text_;
};

/// "max" is no limit.
double NumberOf(const char* text) {
  return strncmp(text, "max", 3) == 0 ? INFINITY : strtod(text, nullptr);
}

struct Key {
  const char* name;
  StatsField field;
};

/// Lines of "<name> <number>".
void ReadKeys(const char* text, const Key* keys, size_t count, double* row) {
  while (text != nullptr && *text != '\0') {
    const char* space = strchr(text, ' ');
    if (space == nullptr) return;
    auto length = static_cast<size_t>(space - text);
    for (size_t i = 0; i < count; i++) {
      if (strlen(keys[i].name) == length && memcmp(keys[i].name, text, length) == 0) {
        row[keys[i].field] = NumberOf(space + 1);
      }
    }
    const char* end = strchr(space, '\n');
    text = end == nullptr ? nullptr : end + 1;
  }
}

constexpr Key kCpuKeys[] = {
    {"usage_usec", kCpuUsageUsec},   {"user_usec", kCpuUserUsec},
    {"system_usec", kCpuSystemUsec}, {"nr_periods", kCpuPeriods},
    {"nr_throttled", kCpuThrottledPeriods}, {"throttled_usec", kCpuThrottledUsec},
};
constexpr Key kMemoryKeys[] = {
    {"anon", kMemoryAnon},          {"file", kMemoryFile},
    {"kernel", kMemoryKernel},      {"file_mapped", kMemoryFileMapped},
    {"pgfault", kMemoryFaults},     {"inactive_file", kMemoryInactiveFile},
    {"pgmajfault", kMemoryMajorFaults},
};
constexpr Key kMemoryEventKeys[] = {{"max", kMemoryLimitHits}, {"oom_kill", kMemoryOomKills}};
constexpr Key kNumberFiles[] = {
    {"memory.current", kMemoryCurrent}, {"memory.peak", kMemoryPeak},
    {"memory.max", kMemoryMax},         {"memory.low", kMemoryLow},
    {"memory.swap.current", kSwapCurrent}, {"memory.swap.max", kSwapMax},
    {"pids.max", kPidsMax},             {"cpu.weight", kCpuWeight},
};

template <size_t N>
void ReadKeyFile(Reader* reader, int directory, const char* file, const Key (&keys)[N], double* row) {
  ReadKeys(reader->Read(directory, file), keys, N, row);
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=0" and the same of "full" (admin-guide, PSI).
void ReadPressure(const char* text, double* numbers) {
  if (text == nullptr) return;
  const char* kinds[] = {"some ", "full "};
  const char* names[] = {"avg10=", "avg60=", "avg300=", "total="};
  for (int kind = 0; kind < 2; kind++) {
    const char* line = strstr(text, kinds[kind]);
    for (int i = 0; line != nullptr && i < 4; i++) {
      const char* at = strstr(line, names[i]);
      if (at != nullptr) numbers[kind * 4 + i] = strtod(at + strlen(names[i]), nullptr);
    }
  }
}

void ReadFiles(Reader* reader, int directory, double* row) {
  ReadKeyFile(reader, directory, "cpu.stat", kCpuKeys, row);
  ReadPressure(reader->Read(directory, "cpu.pressure"), row + kCpuPressure);
  ReadPressure(reader->Read(directory, "memory.pressure"), row + kMemoryPressure);
  ReadPressure(reader->Read(directory, "io.pressure"), row + kIoPressure);
  for (const Key& file : kNumberFiles) {
    const char* text = reader->Read(directory, file.name);
    if (text != nullptr) row[file.field] = NumberOf(text);
  }
  ReadKeyFile(reader, directory, "memory.stat", kMemoryKeys, row);
  ReadKeyFile(reader, directory, "memory.events", kMemoryEventKeys, row);
  const char* quota = reader->Read(directory, "cpu.max");
  const char* period = quota == nullptr ? nullptr : strchr(quota, ' ');
  if (period != nullptr) {
    row[kCpuQuota] = NumberOf(quota);
    row[kCpuPeriod] = NumberOf(period + 1);
  }
}

/// Descriptors of a process, and how many of them are sockets.
void CountDescriptors(int process, double* row) {
  Fd directory(openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = directory.valid() ? fdopendir(directory.get()) : nullptr;
  if (entries == nullptr) return;
  directory.release();
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    row[kDescriptors]++;
    char target[8];
    ssize_t size = readlinkat(dirfd(entries), entry->d_name, target, sizeof target);
    if (size == sizeof target && memcmp(target, "socket:[", sizeof target) == 0) row[kSockets]++;
  }
  closedir(entries);
}

/// Fields 20 (threads) and 24 (resident pages) of /proc/<pid>/stat.
void CountProcess(Reader* reader, pid_t pid, StatsDepth depth, double* row) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  Fd process(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const char* text = process.valid() ? reader->Read(process.get(), "stat") : nullptr;
  // The name may hold anything: fields are counted after its last ')'.
  const char* cursor = text == nullptr ? nullptr : strrchr(text, ')');
  if (cursor == nullptr) return;
  auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  for (int field = 3; field <= 24; field++) {
    cursor = strchr(cursor + 1, ' ');
    if (cursor == nullptr) return;
    if (field == 20) row[kThreads] += strtod(cursor + 1, nullptr);
    if (field == 24) row[kResidentBytes] += strtod(cursor + 1, nullptr) * page;
  }
  row[kProcesses]++;
  if (depth != StatsDepth::kDescriptors) return;
  CountDescriptors(process.get(), row);
  rlimit limit;
  if (isnan(row[kSoftNofile]) && prlimit(pid, RLIMIT_NOFILE, nullptr, &limit) == 0) {
    row[kSoftNofile] = limit.rlim_cur == RLIM_INFINITY ? INFINITY : static_cast<double>(limit.rlim_cur);
  }
}

/// Calls `look` with every process of the cgroup and of those beneath it: execs, and what containers made
/// themselves.
template <typename Look>
void ForEachProcess(Reader* reader, int directory, int levels, const Look& look) {
  std::vector<pid_t> pids;
  const char* text = reader->Read(directory, "cgroup.procs");
  while (text != nullptr && *text != '\0') {
    pids.push_back(static_cast<pid_t>(strtol(text, nullptr, 10)));
    text = strchr(text, '\n');
    if (text != nullptr) text++;
  }
  // 0 is a process that this PID namespace cannot see.
  for (pid_t pid : pids) {
    if (pid > 0) look(pid);
  }
  if (levels == 0) return;
  Fd again(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = again.valid() ? fdopendir(again.get()) : nullptr;
  if (entries == nullptr) return;
  again.release();
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    Fd child(openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (child.valid()) ForEachProcess(reader, child.get(), levels - 1, look);
  }
  closedir(entries);
}

/// Lines "<page size> <bytes>" of the hugetlb.<page size>.current files.
std::string ReadHugepages(Reader* reader, int directory) {
  std::string lines;
  Fd again(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* entries = again.valid() ? fdopendir(again.get()) : nullptr;
  if (entries == nullptr) return lines;
  again.release();
  while (const dirent* entry = readdir(entries)) {
    std::string name = entry->d_name;
    if (name.compare(0, 8, "hugetlb.") != 0 || name.size() < 17) continue;
    size_t end = name.size() - 8;
    if (name.compare(end, 8, ".current") != 0 || name.find(".rsvd.") != std::string::npos) continue;
    const char* text = reader->Read(directory, name.c_str());
    if (text == nullptr) continue;
    lines += name.substr(8, end - 8) + " " + std::string(text, strcspn(text, "\n")) + "\n";
  }
  closedir(entries);
  return lines;
}

}  // namespace

Result ReadStats(const std::vector<StatsWish>& wishes, StatsReading* reading) {
  reading->numbers.assign(wishes.size() * kStatsFields, NAN);
  reading->io.resize(wishes.size());
  reading->hugepages.resize(wishes.size());
  Reader reader;
  for (size_t i = 0; i < wishes.size(); i++) {
    const StatsWish& wish = wishes[i];
    Fd directory;
    Result result = OpenCgroup(wish.path, &directory);
    if (!result.ok() && result.error == ENOENT) continue;
    if (!result.ok()) return result;
    double* row = &reading->numbers[i * kStatsFields];
    ReadFiles(&reader, directory.get(), row);
    if (wish.depth != StatsDepth::kFiles) {
      row[kProcesses] = row[kThreads] = row[kResidentBytes] = 0;
      if (wish.depth == StatsDepth::kDescriptors) row[kDescriptors] = row[kSockets] = 0;
      ForEachProcess(&reader, directory.get(), kMostLevels,
                     [&](pid_t pid) { CountProcess(&reader, pid, wish.depth, row); });
    }
    if (wish.depth == StatsDepth::kDescriptors) {
      const char* io = reader.Read(directory.get(), "io.stat");
      if (io != nullptr) reading->io[i] = io;
      reading->hugepages[i] = ReadHugepages(&reader, directory.get());
    }
    // Last, so that a rate is never computed over less time than passed. Without cpu.stat it was removed.
    row[kWallMicros] = isnan(row[kCpuUsageUsec]) ? NAN : MicrosOf(CLOCK_REALTIME);
    row[kMonotonicMicros] = MicrosOf(CLOCK_BOOTTIME);
  }
  return Result::success();
}

Result ReadProcesses(const std::string& cgroup, std::vector<ProcessText>* processes) {
  constexpr size_t kMostProcesses = 4096;
  Fd directory;
  Result result = OpenCgroup(cgroup, &directory);
  if (!result.ok()) return result;
  Reader reader;
  auto text_of = [&reader](int process, const char* name) -> std::string {
    size_t length = 0;
    const char* text = reader.Read(process, name, &length);
    return text == nullptr ? "" : std::string(text, length);
  };
  ForEachProcess(&reader, directory.get(), kMostLevels, [&](pid_t pid) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", pid);
    Fd process(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!process.valid() || processes->size() == kMostProcesses) return;
    int fd = process.get();
    processes->push_back({pid, text_of(fd, "stat"), text_of(fd, "status"), text_of(fd, "cmdline")});
  });
  return Result::success();
}

std::string ReadNetworkDevices(pid_t pid, uint64_t start_time) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  // The directory stays that process's, whoever gets the number later.
  Fd process(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!process.valid() || ProcessStartTime(pid) != start_time) return "";
  Fd net(openat(process.get(), "net", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Reader reader;
  const char* text = net.valid() ? reader.Read(net.get(), "dev") : nullptr;
  return text == nullptr ? "" : text;
}

}  // namespace berth
