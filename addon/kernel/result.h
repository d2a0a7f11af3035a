// How every function of addon/kernel answers: nothing, or which step failed on which path and why.
#pragma once

#include <cerrno>
#include <cstring>

namespace berth {

/// Outcome of a primitive. `step` is a string literal; `path` is copied and may be cut.
/// No allocation, so that it can be used between clone3 and execve.
struct Result {
  int error = 0;  // errno, 0 for success
  const char* step = "";
  char path[256] = "";

  bool ok() const { return error == 0; }

  static Result success() { return Result{}; }

  static Result failure(const char* step, int error, const char* path = "") {
    Result result;
    result.error = error != 0 ? error : EIO;
    result.step = step;
    if (path != nullptr) {
      size_t length = 0;
      for (; length < sizeof result.path - 1 && path[length] != '\0'; length++)
        result.path[length] = path[length];
      result.path[length] = '\0';
    }
    return result;
  }

  /// From errno.
  static Result last(const char* step, const char* path = "") { return failure(step, errno, path); }
};

}  // namespace berth
