#include "process.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fd.h"

namespace berth {

namespace {

constexpr int kParentField = 4;
constexpr int kStartTimeField = 22;

/// A number and the state letter (field 3) of /proc/<pid>/stat; 0 when there is no such process.
uint64_t ReadStat(pid_t pid, char* state, int wanted = kStartTimeField) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return 0;
  char text[1024];
  ssize_t size = read(file.get(), text, sizeof text - 1);
  if (size <= 0) return 0;
  text[size] = '\0';
  // The command, field 2, may hold spaces and parentheses: fields are counted after its last ')'.
  char* cursor = strrchr(text, ')');
  if (cursor == nullptr || cursor[1] != ' ') return 0;
  *state = cursor[2];
  for (int field = 2; field < wanted; field++) {
    cursor = strchr(cursor + 1, ' ');
    if (cursor == nullptr) return 0;
  }
  return strtoull(cursor + 1, nullptr, 10);
}

}  // namespace

uint64_t ProcessStartTime(pid_t pid) {
  char state;
  return ReadStat(pid, &state);
}

uint64_t LiveStartTime(pid_t pid) {
  char state = '\0';
  uint64_t start_time = ReadStat(pid, &state);
  return state == 'Z' || state == 'X' ? 0 : start_time;
}

pid_t ParentOf(pid_t pid) {
  char state;
  return static_cast<pid_t>(ReadStat(pid, &state, kParentField));
}

Result SignalProcess(pid_t pid, uint64_t start_time, int signal, bool* sent) {
  *sent = false;
  char shown[16];
  snprintf(shown, sizeof shown, "%d", pid);
  if (pid <= 0) return Result::failure("pidfd_open", EINVAL, shown);
  Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd.valid()) {
    // EINVAL and, on newer kernels, ENOENT: the number is now that of another process's thread.
    bool gone = errno == ESRCH || errno == EINVAL || errno == ENOENT;
    return gone ? Result::success() : Result::last("pidfd_open", shown);
  }
  // After pidfd_open: the number cannot have passed to another process between this check and the signal.
  if (LiveStartTime(pid) != start_time) return Result::success();
  if (syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) != 0) {
    return errno == ESRCH ? Result::success() : Result::last("pidfd_send_signal", shown);
  }
  *sent = true;
  return Result::success();
}

}  // namespace berth
