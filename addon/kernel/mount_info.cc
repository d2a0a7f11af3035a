#include "mount_info.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fd.h"
#include "fd_info.h"

namespace berth {

namespace {

/// A path may take four bytes per byte ("\\040"), and there are two of them in a line.
char line[40 * 1024];

Result MountIdOf(int fd, long* id) {
  char text[512];
  Result result = ReadFdInfo(fd, text);
  if (!result.ok()) return result;
  const char* field = strstr(text, "mnt_id:");
  if (field == nullptr) return Result::failure("read fdinfo", ENOENT, "mnt_id");
  *id = strtol(field + strlen("mnt_id:"), nullptr, 10);
  return Result::success();
}

/// The optional fields (proc(5)): after six others, up to a hyphen.
bool HasOptionalField(char* text, const char* name) {
  char* rest = text;
  char* field;
  for (int index = 0; (field = strsep(&rest, " ")) != nullptr; index++) {
    if (index < 6) continue;
    if (strcmp(field, "-") == 0) return false;
    if (strncmp(field, name, strlen(name)) == 0) return true;
  }
  return false;
}

}  // namespace

Result RequirePropagation(int fd, bool shared, const char* path) {
  constexpr const char* kTable = "/proc/self/mountinfo";
  long id = 0;
  Result result = MountIdOf(fd, &id);
  if (!result.ok()) return result;
  Fd table(open(kTable, O_RDONLY | O_CLOEXEC));
  if (!table.valid()) return Result::last("open", kTable);
  size_t used = 0;
  for (;;) {
    ssize_t size = read(table.get(), line + used, sizeof line - 1 - used);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Result::last("read", kTable);
    if (size == 0) return Result::failure("find mount", ENOENT, path);
    used += static_cast<size_t>(size);
    line[used] = '\0';
    char* start = line;
    for (char* end; (end = strchr(start, '\n')) != nullptr; start = end + 1) {
      *end = '\0';
      if (strtol(start, nullptr, 10) != id) continue;
      if (HasOptionalField(start, shared ? "shared:" : "master:")) return Result::success();
      return Result::failure("mount propagation", EOPNOTSUPP, path);
    }
    used -= static_cast<size_t>(start - line);
    memmove(line, start, used);
    if (used == sizeof line - 1) return Result::failure("read", EOVERFLOW, kTable);
  }
}

}  // namespace berth
