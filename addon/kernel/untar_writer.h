// The entries of a layer, made one by one. Used by untar.cc only.
#pragma once

#include <map>
#include <string>

#include "rootfd.h"
#include "tar.h"

namespace berth {

class UntarWriter {
 public:
  UntarWriter(int root, TarReader* reader, TarRecorder* recorder)
      : root_(root), reader_(reader), recorder_(recorder), parents_(root) {}

  Result Write(const TarEntry& entry);
  /// Sets the times of the directories, which every entry made in them has changed.
  Result FinishDirectories();

 private:
  struct Place {
    std::string path;    // clean, from the root
    std::string parent;  // of path
    std::string name;
    ParentDirectory directory;
  };

  /// Whether an entry is there because we have just made it, with the mode that its header says.
  enum class Made { kNew, kFound };

  Result Find(const TarEntry& entry, Place* place);
  Result WriteRoot(const TarEntry& entry);
  Result WriteWhiteout(Place place);
  Result WriteOpaque(const Place& place);
  Result MakeFile(const TarEntry& entry, const Place& place);
  Result MakeDirectory(const TarEntry& entry, const Place& place);
  Result MakeSymlink(const TarEntry& entry, const Place& place);
  Result MakeHardLink(const TarEntry& entry, const Place& place);
  Result MakeNode(const TarEntry& entry, const Place& place);
  Result WriteData(const TarEntry& entry, int fd);
  Result WriteRuns(const TarEntry& entry, int fd);
  Result SetFileMetadata(const TarEntry& entry, const Place& place, int fd);
  Result SetMetadata(const TarEntry& entry, const Place& place, Made made);
  static bool IsReplaceable(const Place& place, const TarEntry& entry);
  Result RemoveExisting(const Place& place, const TarEntry& entry);
  Result RememberTime(const std::string& path, const timespec& mtime);

  const int root_;
  TarReader* const reader_;
  TarRecorder* const recorder_;
  ParentCache parents_;
  std::map<std::string, timespec> directory_times_;
  size_t directory_bytes_ = 0;
};

}  // namespace berth
