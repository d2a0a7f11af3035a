#include "oom_score.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vector>

#include "cgroup.h"
#include "fd.h"

namespace berth {

namespace {

std::vector<pid_t> ProcessesOf(const std::string& cgroup, Result* result) {
  std::vector<pid_t> pids;
  bool found = false;
  std::string text;
  *result = ReadCgroup(cgroup, "cgroup.procs", &found, &text);
  if (result->ok() && !found) *result = Result::failure("open", ENOENT, cgroup.c_str());
  const char* at = text.c_str();
  while (result->ok() && *at != '\0') {
    pids.push_back(static_cast<pid_t>(strtol(at, nullptr, 10)));
    const char* end = strchr(at, '\n');
    if (end == nullptr) break;
    at = end + 1;
  }
  return pids;
}

/// Writes to the process that /proc/<pid> was when the number was read: a directory never becomes another's.
Result SetOne(const std::string& cgroup, pid_t pid, const char* value, bool clamp) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  Fd process(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!process.valid()) return Result::success();
  Result result;
  std::vector<pid_t> members = ProcessesOf(cgroup, &result);
  bool member = false;
  for (pid_t each : members) member = member || each == pid;
  if (!member) return Result::success();
  Fd file(openat(process.get(), "oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return Result::success();
  if (write(file.get(), value, strlen(value)) >= 0 || errno == ESRCH) return Result::success();
  return clamp && errno == EACCES ? Result::success() : Result::last("write oom_score_adj", path);
}

}  // namespace

Result SetOomScore(const std::string& cgroup, int value, bool clamp) {
  char text[16];
  snprintf(text, sizeof text, "%d", value);
  Result result;
  std::vector<pid_t> pids = ProcessesOf(cgroup, &result);
  for (size_t i = 0; result.ok() && i < pids.size(); i++) {
    if (pids[i] > 0) result = SetOne(cgroup, pids[i], text, clamp);
  }
  Fd directory;
  if (result.ok()) result = OpenCgroup(cgroup, &directory);
  if (!result.ok()) return result;
  DIR* entries = fdopendir(directory.get());
  if (entries == nullptr) return Result::last("fdopendir", cgroup.c_str());
  directory.release();
  while (const dirent* entry = readdir(entries)) {
    if (!result.ok() || entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    result = SetOomScore(cgroup + "/" + entry->d_name, value, clamp);
    if (result.error == ENOENT) result = Result::success();
  }
  closedir(entries);
  return result;
}

}  // namespace berth
