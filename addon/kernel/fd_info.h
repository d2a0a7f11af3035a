// What /proc tells of a descriptor (proc(5), /proc/pid/fdinfo).
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "fd.h"
#include "result.h"

namespace berth {

/// Reads it into `text`, with a NUL behind. Nothing is allocated.
template <size_t kSize>
Result ReadFdInfo(int fd, char (&text)[kSize]) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  Fd file(open(path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return Result::last("open", path);
  ssize_t size = read(file.get(), text, kSize - 1);
  if (size < 0) return Result::last("read", path);
  text[size] = '\0';
  return Result::success();
}

}  // namespace berth
