// What lies in a layer's directory and was never named by its tar: somebody wrote into it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "result.h"
#include "tree_check.h"

namespace berth {

/// Everything that a tar names, where it lies on disk. Entries are kept as eight bytes each: a layer can have
/// millions of them.
class NamedEntries {
 public:
  /// An entry beneath this parent. Its parents are then no strangers, also when the tar leaves them out.
  void Add(const ParentDirectory& parent, const std::string& name);
  /// A whiteout of that name: nothing else may stand there, unless it is an entry too.
  void AddWhiteout(const ParentDirectory& parent, const std::string& name);
  /// The tar says something of what is in this directory.
  void AddParent(const ParentDirectory& parent);

  /// To be called after the last Add, before the first question.
  void Sort();
  bool HasEntry(ino_t parent, const char* name) const;
  bool HasWhiteout(ino_t parent, const char* name) const;
  bool IsParent(ino_t directory) const;

 private:
  std::vector<uint64_t> entries_, whiteouts_, parents_;
};

/// Walks the directory and adds to `damage` what is none of `named`: each file, or the uppermost directory
/// that holds nothing else; and what cannot be read. What is mounted inside is not looked at.
Result FindStrangers(int root, const NamedEntries& named, DamageList* damage);

}  // namespace berth
