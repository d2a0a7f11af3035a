// What the entries of a layer mean, whatever it becomes on disk (image-spec, layer.md): see untar.h.
#pragma once

#include <string>

#include "result.h"
#include "tar.h"

namespace berth {

class LayerWriter {
 public:
  virtual ~LayerWriter() = default;
  Result Write(const TarEntry& entry);
  /// After the last entry.
  virtual Result Finish() = 0;

 protected:
  struct Place {
    std::string path;    // clean, from the root
    std::string parent;  // of path
    std::string name;
  };

  LayerWriter(TarReader* reader, TarRecorder* recorder) : reader_(reader), recorder_(recorder) {}

  /// "./": what the layer says of the root directory itself.
  virtual Result MakeRoot(const TarEntry& entry) = 0;
  /// Finds the directory `place.parent`, in which the others then make what they are asked for. Missing ones
  /// are made, 0755 and root's, as are those to which a dangling link points. A whiteout in the way becomes
  /// an opaque directory.
  virtual Result OpenParent(const TarEntry& entry, const Place& place) = 0;
  virtual Result MakeOpaque(const Place& place) = 0;
  /// Nothing but an opaque mark where the layer has an entry `name`: only a directory of it would let lower
  /// ones show through.
  virtual Result MakeWhiteout(const Place& place, const std::string& name) = 0;
  virtual Result MakeFile(const TarEntry& entry, const Place& place) = 0;
  virtual Result MakeDirectory(const TarEntry& entry, const Place& place) = 0;
  virtual Result MakeSymlink(const TarEntry& entry, const Place& place) = 0;
  /// `target` is the clean path of another entry.
  virtual Result MakeHardLink(const TarEntry& entry, const Place& place, const Place& target) = 0;
  virtual Result MakeNode(const TarEntry& entry, const Place& place) = 0;

  /// Failures that have the same words in every form.
  static Result MissingTarget(const Place& place, int error);
  static Result DirectoryTarget(const Place& place);

  TarReader* const reader_;
  TarRecorder* const recorder_;  // may be null

 private:
  Result WriteHardLink(const TarEntry& entry, const Place& place);
};

}  // namespace berth
