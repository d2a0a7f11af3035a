// The entries of a layer, written into an EROFS image: contents at once, everything else into a tree in
// memory that becomes the index.
#pragma once

#include "erofs_image.h"
#include "erofs_tree.h"
#include "layer_writer.h"

namespace berth {

class ErofsWriter : public LayerWriter {
 public:
  ErofsWriter(ErofsImage* image, TarReader* reader, TarRecorder* recorder)
      : LayerWriter(reader, recorder), image_(image) {}

  Result Begin() { return tree_.Begin(); }
  /// Writes the index. The image is then complete but for ErofsImage::Complete(super(), …).
  Result Finish() override;
  const ErofsSuper& super() const { return super_; }

 private:
  Result MakeRoot(const TarEntry& entry) override;
  Result OpenParent(const TarEntry& entry, const Place& place) override;
  Result MakeOpaque(const Place& place) override;
  Result MakeWhiteout(const Place& place, const std::string& name) override;
  Result MakeFile(const TarEntry& entry, const Place& place) override;
  Result MakeDirectory(const TarEntry& entry, const Place& place) override;
  Result MakeSymlink(const TarEntry& entry, const Place& place) override;
  Result MakeHardLink(const TarEntry& entry, const Place& place, const Place& target) override;
  Result MakeNode(const TarEntry& entry, const Place& place) override;

  Result OpenOrMake(const std::string& path, unsigned depth, uint32_t* directory);
  Result MakeOne(const std::string& prefix, unsigned depth, uint32_t* directory);
  void SetTime(uint32_t id);
  /// Makes what no entry names: missing parents, whiteouts.
  Result MakeImplied(mode_t mode, uint32_t directory, const std::string& name, uint32_t* id);
  /// A failure of the tree or the image, with the entry's path in the place of its own.
  static Result Named(Result result, const std::string& path);
  void RemoveExisting(const Place& place, const TarEntry& entry);
  bool IsReplaceable(uint32_t id, const TarEntry& entry) const;
  bool IsWhiteout(uint32_t id) const;
  Result SetOpaque(uint32_t directory, const std::string& path);
  Result WriteData(const TarEntry& entry, ErofsTree::Node* file);
  Result WriteRuns(const TarEntry& entry, ErofsTree::Node* file);
  Result WriteRun(const TarEntry& entry, const SparseRun& run, Bytes* piece, ErofsTree::Node* file,
                  uint64_t* end);
  Result SetMetadata(const TarEntry& entry, const Place& place, uint32_t id);
  /// Makes the node of an entry, with all that its header says, in the place of what has its name.
  Result Make(const TarEntry& entry, const Place& place, ErofsTree::Node made);

  ErofsImage* const image_;
  ErofsTree tree_;
  ErofsSuper super_{};
  uint32_t parent_ = ErofsTree::kNone;  // where the current entry is made
  std::string parent_path_;
  bool parent_is_kept_ = false;  // parent_ is that of parent_path_, for the next entries as well
  timespec time_{};              // of the current entry: what it implies gets it
  bool has_root_ = false;        // and so does the root, of the first one
};

}  // namespace berth
