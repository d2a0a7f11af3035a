// The entries of a layer, made one by one beneath a directory. Used by untar.cc only.
#pragma once

#include <map>
#include <string>

#include "layer_writer.h"
#include "rootfd.h"

namespace berth {

class UntarWriter : public LayerWriter {
 public:
  UntarWriter(int root, TarReader* reader, TarRecorder* recorder)
      : LayerWriter(reader, recorder), root_(root), parents_(root) {}

  /// Sets the times of the directories, which every entry made in them has changed.
  Result Finish() override;

 private:
  /// Whether an entry is there because we have just made it, with the mode that its header says.
  enum class Made { kNew, kFound };

  Result MakeRoot(const TarEntry& entry) override;
  Result OpenParent(const TarEntry& entry, const Place& place) override;
  Result MakeOpaque(const Place& place) override;
  Result MakeWhiteout(const Place& place, const std::string& name) override;
  Result MakeFile(const TarEntry& entry, const Place& place) override;
  Result MakeDirectory(const TarEntry& entry, const Place& place) override;
  Result MakeSymlink(const TarEntry& entry, const Place& place) override;
  Result MakeHardLink(const TarEntry& entry, const Place& place, const Place& target) override;
  Result MakeNode(const TarEntry& entry, const Place& place) override;

  Result WriteData(const TarEntry& entry, int fd);
  Result WriteRuns(const TarEntry& entry, int fd);
  Result SetFileMetadata(const TarEntry& entry, const Place& place, int fd);
  Result SetMetadata(const TarEntry& entry, const Place& place, Made made);
  bool IsReplaceable(const Place& place, const TarEntry& entry) const;
  Result RemoveExisting(const Place& place, const TarEntry& entry);
  Result RememberTime(const std::string& path, const timespec& mtime);

  const int root_;
  ParentCache parents_;
  ParentDirectory parent_;  // where the current entry is made
  struct DirectoryTime {
    timespec mtime;
    ino_t parent;  // the path may lead elsewhere in the end
  };
  std::map<std::string, DirectoryTime> directory_times_;
  size_t directory_bytes_ = 0;
};

}  // namespace berth
