// The walk itself. Open descriptors are bounded: of a very deep tree only the last levels are held, and those
// further up are opened again through ".." and compared with what they were.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace berth {

class TreeVisitor {
 public:
  virtual ~TreeVisitor() = default;
  /// An entry of an open directory. `*descend` asks for the walk to go into it; Leave comes afterwards.
  virtual Result Visit(int directory, const char* name, unsigned char type, bool* descend) = 0;
  virtual Result Leave(int directory, const char* name) = 0;
  /// The directory could not be entered, for this reason (EXDEV: a mount point).
  virtual Result Blocked(const char* name, int error) = 0;
  /// The directory cannot be read to its end, for this reason. After a success the walk goes on behind it.
  virtual Result Unreadable(const char* name, int error) {
    return Result::failure("getdents64", error, name);
  }
};

class TreeWalk {
 public:
  explicit TreeWalk(TreeVisitor* visitor) : visitor_(visitor) {}
  /// Visits all beneath the directory.
  Result Run(Fd root);

 private:
  struct Level {
    Fd fd;
    dev_t device = 0;
    ino_t inode = 0;
    std::string name;
    int64_t resume = 0;  // of getdents64, behind the last visited entry
    std::vector<char> entries;
    size_t at = 0;
    size_t end = 0;
  };

  Result Enter(const std::string& name, Fd fd);
  Result Leave();
  Result ReadMore(Level* level);
  Result Reopen(Level* level, int child);

  TreeVisitor* const visitor_;
  std::vector<Level> levels_;
};

}  // namespace berth
