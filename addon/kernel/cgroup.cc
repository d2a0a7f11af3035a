#include "cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mutex>
#include <sstream>
#include <vector>

#include "fd.h"

namespace berth {

namespace {

constexpr int64_t kBusyMs = 500;
constexpr int64_t kLookMs = 50;
/// Not hugetlb: where the others belong to cgroup v1 it is often the only one here, and passing it on
/// would change the host's root for nothing. The limit that needs it enables it.
constexpr const char* kControllers[] = {"cpu", "memory", "pids", "io", "cpuset"};

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

/// Paths in mountinfo have space, tab, newline and backslash as three octal digits.
std::string Unescaped(const std::string& field) {
  std::string text;
  for (size_t i = 0; i < field.size(); i++) {
    if (field[i] == '\\' && i + 3 < field.size()) {
      text += static_cast<char>(strtol(field.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      text += field[i];
    }
  }
  return text;
}

Result ReadAll(int fd, const char* shown, std::string* content) {
  content->clear();
  char buffer[4096];
  for (;;) {
    ssize_t size = read(fd, buffer, sizeof buffer);
    if (size == 0) return Result::success();
    if (size > 0) {
      content->append(buffer, static_cast<size_t>(size));
    } else if (errno != EINTR) {
      return Result::last("read", shown);
    }
  }
}

bool IsGone(int error) { return error == ENOENT || error == ENODEV; }

/// An open mount and the names from it down to a cgroup.
struct Place {
  Fd mount;
  std::vector<std::string> names;

  std::string relative(size_t count) const {
    std::string path = ".";
    for (size_t i = 0; i < count; i++) path += "/" + names[i];
    return path;
  }
};

Result Locate(const std::string& path, Place* place) {
  std::string mount;
  Result result = FindCgroupMount(&mount);
  if (!result.ok()) return result;
  bool beneath = path.compare(0, mount.size(), mount) == 0 &&
                 (path.size() == mount.size() || path[mount.size()] == '/');
  if (!beneath) return Result::failure("find cgroup", EINVAL, path.c_str());
  std::istringstream rest(path.substr(mount.size()));
  for (std::string name; std::getline(rest, name, '/');) {
    if (name == "..") return Result::failure("find cgroup", EINVAL, path.c_str());
    if (!name.empty() && name != ".") place->names.push_back(name);
  }
  place->mount.reset(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return place->mount.valid() ? Result::success() : Result::last("open", mount.c_str());
}

int OpenBeneath(int directory, const std::string& path, int flags) {
  open_how how;
  memset(&how, 0, sizeof how);
  how.flags = static_cast<uint64_t>(static_cast<unsigned>(flags | O_CLOEXEC));
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how));
}

Result OpenFile(const std::string& path, const std::string& file, int flags, Fd* out) {
  std::string shown = path + "/" + file;
  if (file.empty() || file[0] == '.' || file.find('/') != std::string::npos) {
    return Result::failure("open", EINVAL, shown.c_str());
  }
  Place place;
  Result result = Locate(path, &place);
  if (!result.ok()) return result;
  out->reset(OpenBeneath(place.mount.get(), place.relative(place.names.size()) + "/" + file, flags));
  return out->valid() ? Result::success() : Result::last("open", shown.c_str());
}

std::vector<std::string> WordsOf(int directory, const char* file) {
  std::vector<std::string> words;
  Fd fd(OpenBeneath(directory, file, O_RDONLY));
  std::string text;
  if (!fd.valid() || !ReadAll(fd.get(), file, &text).ok()) return words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool Has(const std::vector<std::string>& words, const char* wanted) {
  for (const std::string& word : words) {
    if (word == wanted) return true;
  }
  return false;
}

/// Best effort: a controller that cannot be passed on here (processes in the directory, a threaded cgroup) is
/// missed only by a limit that needs it, and setting that limit then says so.
void EnableControllers(int directory) {
  std::vector<std::string> available = WordsOf(directory, "cgroup.controllers");
  if (available.empty()) return;
  std::vector<std::string> enabled = WordsOf(directory, "cgroup.subtree_control");
  for (const char* name : kControllers) {
    if (!Has(available, name) || Has(enabled, name)) continue;
    Fd file(OpenBeneath(directory, "cgroup.subtree_control", O_WRONLY));
    if (!file.valid()) return;
    if (dprintf(file.get(), "+%s", name) < 0) continue;
  }
}

Result FirstChild(int directory, std::string* name) {
  name->clear();
  Fd fd(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Result::last("open");
  DIR* entries = fdopendir(fd.get());
  if (entries == nullptr) return Result::last("fdopendir");
  fd.release();
  while (dirent* entry = readdir(entries)) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '\0') continue;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    *name = entry->d_name;
    break;
  }
  closedir(entries);
  return Result::success();
}

/// EBUSY: processes that were killed have not quite left yet.
Result RemoveOne(int parent, const std::string& name, const std::string& shown, int64_t deadline) {
  while (unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) {
    if (IsGone(errno)) return Result::success();
    if (errno != EBUSY || NowMs() >= deadline) return Result::last("rmdir", shown.c_str());
    timespec pause = {0, 5 * 1000 * 1000};
    nanosleep(&pause, nullptr);
  }
  return Result::success();
}

/// Removes what is beneath `top`, with one descriptor at any depth: cgroups cannot be moved, ".." goes back.
Result RemoveBeneath(int top, const std::string& shown, int64_t deadline) {
  std::vector<std::string> names;
  Fd current;
  for (;;) {
    if (!current.valid()) {
      names.clear();
      current.reset(openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    if (!current.valid()) return IsGone(errno) ? Result::success() : Result::last("open", shown.c_str());
    std::string child;
    Result result = FirstChild(current.get(), &child);
    if (!result.ok() && !IsGone(result.error)) return result;
    if (!child.empty()) {
      Fd next(openat(current.get(), child.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next.valid() && !IsGone(errno)) return Result::last("open", (shown + "/" + child).c_str());
      if (!next.valid()) continue;
      names.push_back(child);
      current = std::move(next);
      continue;
    }
    if (names.empty()) return Result::success();
    Fd parent(openat(current.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // Gone: somebody else removes the same, so from the top again.
    bool gone = !parent.valid() && IsGone(errno);
    if (!parent.valid() && !gone) return Result::last("open", shown.c_str());
    current = std::move(parent);
    if (gone) continue;
    result = RemoveOne(current.get(), names.back(), shown + "/" + names.back(), deadline);
    if (!result.ok()) return result;
    names.pop_back();
  }
}

Result MustBeBelowMount(const Place& place, const char* step, const std::string& path) {
  return place.names.empty() ? Result::failure(step, EINVAL, path.c_str()) : Result::success();
}

/// Waits for "populated 0" in an open cgroup.events.
Result WaitEmpty(int events, const char* shown, int64_t deadline, bool* empty) {
  for (;;) {
    char text[256];
    ssize_t size = pread(events, text, sizeof text - 1, 0);
    if (size < 0 && !IsGone(errno)) return Result::last("read", shown);
    if (size < 0) {
      *empty = true;
      return Result::success();
    }
    text[size] = '\0';
    *empty = strstr(text, "populated 0") != nullptr;
    int64_t left = deadline - NowMs();
    if (*empty || left <= 0) return Result::success();
    pollfd entry = {events, POLLPRI, 0};
    // The kernel holds a notice back for 10 ms after the one before, and drops it when somebody else removes
    // the cgroup meanwhile: so look again now and then.
    int look = static_cast<int>(left < kLookMs ? left : kLookMs);
    if (poll(&entry, 1, look) < 0 && errno != EINTR) return Result::last("poll", shown);
  }
}

/// Removes the cgroup and those beneath it, which must be without processes.
Result RemoveCgroup(const std::string& path) {
  int64_t deadline = NowMs() + kBusyMs;
  Place place;
  Result result = Locate(path, &place);
  if (result.ok()) result = MustBeBelowMount(place, "rmdir", path);
  if (!result.ok()) return result;
  size_t depth = place.names.size();
  Fd parent(OpenBeneath(place.mount.get(), place.relative(depth - 1), O_RDONLY | O_DIRECTORY));
  if (!parent.valid()) return IsGone(errno) ? Result::success() : Result::last("open", path.c_str());
  Fd top(OpenBeneath(parent.get(), place.names.back(), O_RDONLY | O_DIRECTORY));
  if (!top.valid()) return IsGone(errno) ? Result::success() : Result::last("open", path.c_str());
  result = RemoveBeneath(top.get(), path, deadline);
  if (!result.ok()) return result;
  top.reset();
  return RemoveOne(parent.get(), place.names.back(), path, deadline);
}

}  // namespace

Result FindCgroupMount(std::string* mount) {
  static std::mutex mutex;
  static std::string found;
  std::lock_guard<std::mutex> lock(mutex);
  if (found.empty()) {
    Fd file(open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return Result::last("open", "/proc/self/mountinfo");
    std::string text;
    Result result = ReadAll(file.get(), "/proc/self/mountinfo", &text);
    if (!result.ok()) return result;
    std::istringstream lines(text);
    for (std::string line; found.empty() && std::getline(lines, line);) {
      if (line.find(" - cgroup2 ") == std::string::npos) continue;
      std::istringstream fields(line);
      std::string field;
      // ID, parent, device, root, mount point
      for (int i = 0; i < 5; i++) fields >> field;
      found = Unescaped(field);
    }
  }
  if (found.empty()) return Result::failure("find the cgroup2 mount", ENODEV, "/proc/self/mountinfo");
  *mount = found;
  return Result::success();
}

Result CreateCgroup(const std::string& path) {
  Place place;
  Result result = Locate(path, &place);
  if (!result.ok()) return result;
  Fd current(openat(place.mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const std::string& name : place.names) {
    EnableControllers(current.get());
    bool made = mkdirat(current.get(), name.c_str(), 0755) == 0;
    if (!made && errno != EEXIST) return Result::last("mkdir", path.c_str());
    Fd next(OpenBeneath(current.get(), name, O_RDONLY | O_DIRECTORY));
    if (!next.valid()) return Result::last("open", path.c_str());
    current = std::move(next);
  }
  return Result::success();
}

Result OpenCgroup(const std::string& path, Fd* directory) {
  Place place;
  Result result = Locate(path, &place);
  if (!result.ok()) return result;
  directory->reset(
      OpenBeneath(place.mount.get(), place.relative(place.names.size()), O_RDONLY | O_DIRECTORY));
  return directory->valid() ? Result::success() : Result::last("open", path.c_str());
}

Result WriteCgroup(const std::string& path, const std::string& file, const std::string& value) {
  Fd fd;
  Result result = OpenFile(path, file, O_WRONLY, &fd);
  if (!result.ok()) return result;
  ssize_t written = write(fd.get(), value.data(), value.size());
  return written >= 0 ? Result::success() : Result::last("write", (path + "/" + file).c_str());
}

Result ReadCgroup(const std::string& path, const std::string& file, bool* found, std::string* content) {
  *found = false;
  Fd fd;
  Result result = OpenFile(path, file, O_RDONLY, &fd);
  if (result.ok()) result = ReadAll(fd.get(), (path + "/" + file).c_str(), content);
  *found = result.ok();
  bool missing = (result.error == ENOENT && strcmp(result.step, "open") == 0) ||
                 (result.error == ENODEV && strcmp(result.step, "read") == 0);
  return missing ? Result::success() : result;
}

Result KillCgroup(const std::string& path, int timeout_ms, bool* empty) {
  *empty = false;
  int64_t deadline = NowMs() + timeout_ms;
  Place place;
  Result result = Locate(path, &place);
  if (result.ok()) result = MustBeBelowMount(place, "kill cgroup", path);
  if (!result.ok()) return result;
  Fd cgroup(OpenBeneath(place.mount.get(), place.relative(place.names.size()), O_RDONLY | O_DIRECTORY));
  if (!cgroup.valid()) {
    *empty = IsGone(errno);
    return *empty ? Result::success() : Result::last("open", path.c_str());
  }
  std::string shown = path + "/cgroup.events";
  Fd events(openat(cgroup.get(), "cgroup.events", O_RDONLY | O_CLOEXEC));
  Fd kill(openat(cgroup.get(), "cgroup.kill", O_WRONLY | O_CLOEXEC));
  int error = kill.valid() && events.valid() ? 0 : errno;
  if (error == 0 && write(kill.get(), "1", 1) != 1) error = errno;
  if (error != 0) {
    // A cgroup that is being removed says ENODEV while its name is still there. ENOENT with the name there
    // is a kernel older than 5.14, which has no such file.
    struct stat status;
    std::string relative = place.relative(place.names.size());
    bool missing = error == ENOENT && fstatat(place.mount.get(), relative.c_str(), &status, 0) != 0;
    *empty = error == ENODEV || missing;
    return *empty ? Result::success() : Result::failure("write", error, (path + "/cgroup.kill").c_str());
  }
  return WaitEmpty(events.get(), shown.c_str(), deadline, empty);
}

Result DestroyCgroup(const std::string& path, int timeout_ms, bool* empty) {
  Result result = KillCgroup(path, timeout_ms, empty);
  return result.ok() && *empty ? RemoveCgroup(path) : result;
}

}  // namespace berth
