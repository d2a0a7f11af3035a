// Comparing what is on disk with what a layer's tar says should be there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rootfd.h"
#include "tar.h"

namespace berth {

class NamedEntries;

/// Whether a file system says with it, of a single name, that what it has on disk cannot be read or makes no
/// sense. Damaged EROFS images have inodes of no known kind (EOPNOTSUPP) and directories that are in
/// themselves (ELOOP).
inline bool IsUnreadable(int error) {
  return error == EIO || error == EUCLEAN || error == EBADMSG || error == EOPNOTSUPP || error == ELOOP;
}

/// What damage is called that is such a failure.
std::string CannotBeRead(int error);

struct TreeDamage {
  std::string path;  // as the tar names it
  std::string what;  // "is missing", "has 0 bytes instead of 12"
};

/// What was found wrong, of the entries that count: a later entry of the same name has the last word.
class DamageList {
 public:
  /// `what` is "" when the entry is as it should be.
  void Add(const ParentDirectory& parent, const std::string& name, const std::string& path, std::string what);
  /// Of an entry that cannot even be reached. `clean` is its path by CleanPath.
  void AddLost(const std::string& clean, const std::string& path, std::string what);
  /// An entry that is no directory took the place of those beneath this path.
  void DropLostBeneath(const std::string& clean);
  /// Of what is on disk and not in the tar, or of a directory that cannot be read.
  void AddFound(const std::string& path, std::string what);
  std::vector<TreeDamage> List() const;

 private:
  std::map<std::pair<ino_t, std::string>, TreeDamage> entries_;
  std::map<std::string, TreeDamage> lost_;
  std::vector<TreeDamage> found_;
};

/// Compares entries by their metadata, without reading a file. Looks beneath the root only.
class TreeChecker {
 public:
  /// `thorough`: extended attributes as well.
  TreeChecker(int root, bool thorough, DamageList* damage);
  ~TreeChecker();

  /// Fails only when the comparison itself cannot be made. `*sound` is false when the entry is damaged.
  Result Check(const TarEntry& entry, bool* sound);
  /// Opens the entry's regular file for reading; `*fd` is not valid when there is none.
  Result OpenContent(const TarEntry& entry, Fd* fd);
  void AddDamage(const TarEntry& entry, std::string what);
  /// After the last entry: what is there and none of those that were checked.
  Result CheckRest();

 private:
  struct Spot {
    std::string name;
    ParentDirectory parent;
    int unreadable = 0;  // why the parent cannot be read; 0 where it is missing
  };

  Result Find(const TarEntry& entry, Spot* spot, bool* found);
  void Note(const Spot& spot);
  Result Compare(const TarEntry& entry, const Spot& spot, std::string* what);
  Result CompareLink(const TarEntry& entry, const struct stat& status, std::string* what);
  Result CompareXattrs(const TarEntry& entry, const Spot& spot, std::string* what);

  const int root_;
  const bool thorough_;
  DamageList* const damage_;
  ParentCache parents_;
  const std::unique_ptr<NamedEntries> named_;
};

}  // namespace berth
