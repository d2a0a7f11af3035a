// The index of an EROFS image: the tree in memory becomes directories, links and inodes (erofs_format.h).
#pragma once

#include "erofs_image.h"
#include "erofs_tree.h"

namespace berth {

class ErofsIndex {
 public:
  ErofsIndex(ErofsTree* tree, ErofsImage* image) : tree_(*tree), image_(*image) {}

  /// Appends it and tells where it is.
  Result Write(ErofsSuper* super);

 private:
  // Entries of order_ that are no names.
  static constexpr uint32_t kDot = UINT32_MAX, kDotDot = UINT32_MAX - 1;
  // Where the data of a node is.
  enum class Data { kNone, kInline, kBlocks, kMap };

  Result Collect();
  Result CollectNames(uint32_t directory);
  void MeasureDirectory(ErofsTree::Node* directory) const;
  void Place();
  void PlaceNode(uint32_t id);
  Result WriteBlocks();
  Result WriteDirectory(uint32_t id);
  Result WriteInodes();
  Result WriteInode(uint32_t id);
  Result WriteXattrs(std::string_view entries);
  Result Put(const void* data, size_t size);

  /// Calls `visit` for every node that a name leads to, in the order of the image; for one with several names
  /// as often.
  template <typename Visit>
  Result VisitAll(Visit visit);

  uint32_t NodeOf(uint32_t directory, uint32_t entry) const;
  std::string_view TextOf(uint32_t entry) const;
  Data DataOf(const ErofsTree::Node& node) const;
  uint64_t XattrBytes(const ErofsTree::Node& node) const;
  /// Fills a block with the entries from `*at` on that fit into it. Its size.
  size_t FillBlock(uint32_t directory, uint32_t* at, uint8_t* block) const;
  uint64_t NidOf(const ErofsTree::Node& node) const { return node.slot; }

  ErofsTree& tree_;
  ErofsImage& image_;
  MappedArray<uint32_t> directories_;
  MappedArray<uint32_t> order_;  // the entries of each directory, sorted
  uint64_t blocks_ = 0;          // the next free one
  uint64_t meta_ = 0;            // where the inodes begin
  uint64_t end_ = 0;             // of the inodes, from there
  uint64_t inodes_ = 0;
};

}  // namespace berth
