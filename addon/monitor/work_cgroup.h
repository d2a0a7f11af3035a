// A cgroup for something that a monitor starts besides containers and execs: a foreign runtime, a hook.
#pragma once

#include <string>

#include "../kernel/fd.h"
#include "../kernel/result.h"

namespace berth {

/// A fresh child of a cgroup, removed again when nothing is left in it.
class WorkCgroup {
 public:
  ~WorkCgroup() { Remove(); }

  /// Makes "<base>/n-<number>".
  Result Make(const std::string& base, uint64_t number);
  int fd() const { return fd_.get(); }
  void Kill();
  void Remove();

 private:
  std::string path_;
  Fd fd_;
};

}  // namespace berth
