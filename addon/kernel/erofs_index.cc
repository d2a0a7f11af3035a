#include "erofs_index.h"

#include <algorithm>

namespace berth {

namespace {

// Number 0 is that of no inode, and entries of directories that have it are hidden.
constexpr uint64_t kFirstInode = 2 * kErofsSlot;

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) & ~(unit - 1); }

uint8_t TypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return kErofsTypeDirectory;
    case S_IFLNK:
      return kErofsTypeSymlink;
    case S_IFCHR:
      return kErofsTypeChar;
    case S_IFBLK:
      return kErofsTypeBlock;
    case S_IFIFO:
      return kErofsTypeFifo;
    default:
      return kErofsTypeFile;
  }
}

}  // namespace

template <typename Visit>
Result ErofsIndex::VisitAll(Visit visit) {
  for (size_t i = 0; i < directories_.size(); i++) {
    uint32_t id = directories_[i];
    const ErofsTree::Node& directory = tree_.node(id);
    Result result = visit(id);
    for (uint32_t at = 0; result.ok() && at < directory.count; at++) {
      uint32_t entry = order_[directory.first + at];
      uint32_t child = NodeOf(id, entry);
      if (!S_ISDIR(tree_.node(child).mode)) result = visit(child);
    }
    if (!result.ok()) return result;
  }
  return Result::success();
}

Result ErofsIndex::Write(ErofsSuper* super) {
  Result result = image_.Align(kErofsDataStart);
  image_.BeginIndex();
  if (result.ok()) result = Collect();
  if (!result.ok()) return result;
  Place();
  result = WriteBlocks();
  if (result.ok()) result = WriteInodes();
  super->root_nid = static_cast<uint16_t>(NidOf(tree_.node(ErofsTree::kRoot)));
  super->inodes = inodes_;
  super->meta_block = static_cast<uint32_t>(meta_ >> kErofsBlockBits);
  return result;
}

uint32_t ErofsIndex::NodeOf(uint32_t directory, uint32_t entry) const {
  if (entry == kDot) return directory;
  return entry == kDotDot ? tree_.node(directory).parent : tree_.name(entry).node;
}

std::string_view ErofsIndex::TextOf(uint32_t entry) const {
  if (entry == kDot) return ".";
  return entry == kDotDot ? ".." : tree_.text(tree_.name(entry));
}

/// The directories level by level, the names of each sorted as the kernel looks for them: as bytes.
Result ErofsIndex::Collect() {
  uint32_t* added = directories_.Add();
  if (added != nullptr) *added = ErofsTree::kRoot;
  Result result = tree_.Check(added);
  for (size_t i = 0; result.ok() && i < directories_.size(); i++) {
    result = CollectNames(directories_[i]);
    MeasureDirectory(&tree_.node(directories_[i]));
  }
  return result;
}

Result ErofsIndex::CollectNames(uint32_t id) {
  ErofsTree::Node& directory = tree_.node(id);
  size_t first = order_.size();
  const void* added = this;
  auto add = [&](MappedArray<uint32_t>* array, uint32_t value) {
    uint32_t* place = array->Add();
    if (place != nullptr) *place = value;
    else added = nullptr;
  };
  add(&order_, kDot);
  add(&order_, kDotDot);
  directory.nlink = 2;
  for (uint32_t at = directory.first; at != 0; at = tree_.name(at).next) {
    uint32_t id_of_name = tree_.name(at).node;
    if (id_of_name == ErofsTree::kNone) continue;
    add(&order_, at);
    if (S_ISDIR(tree_.node(id_of_name).mode)) directory.nlink++;
    else tree_.node(id_of_name).nlink++;
  }
  Result result = tree_.Check(added, order_.bytes() + directories_.bytes());
  if (!result.ok()) return result;
  directory.first = static_cast<uint32_t>(first);
  directory.count = static_cast<uint32_t>(order_.size() - first);
  std::sort(order_.data() + first, order_.data() + order_.size(),
            [this](uint32_t left, uint32_t right) { return TextOf(left) < TextOf(right); });
  for (size_t i = first; i < order_.size(); i++) {
    uint32_t child = NodeOf(id, order_[i]);
    if (order_[i] < kDotDot && S_ISDIR(tree_.node(child).mode)) add(&directories_, child);
  }
  return tree_.Check(added, order_.bytes() + directories_.bytes());
}

void ErofsIndex::MeasureDirectory(ErofsTree::Node* directory) const {
  uint64_t full = 0, used = 0;
  for (uint32_t at = 0; at < directory->count; at++) {
    uint64_t size = sizeof(ErofsDirent) + TextOf(order_[directory->first + at]).size();
    if (used + size > kErofsBlock) {
      full += kErofsBlock;
      used = 0;
    }
    used += size;
  }
  directory->size = full + used;
}

size_t ErofsIndex::FillBlock(uint32_t id, uint32_t* at, uint8_t* block) const {
  const ErofsTree::Node& directory = tree_.node(id);
  uint32_t first = *at, end = first;
  size_t used = 0;
  for (; end < directory.count; end++) {
    size_t size = sizeof(ErofsDirent) + TextOf(order_[directory.first + end]).size();
    if (used + size > kErofsBlock) break;
    used += size;
  }
  size_t text_at = (end - first) * sizeof(ErofsDirent);
  for (uint32_t i = first; i < end; i++) {
    uint32_t entry = order_[directory.first + i];
    const ErofsTree::Node& child = tree_.node(NodeOf(id, entry));
    ErofsDirent dirent{NidOf(child), static_cast<uint16_t>(text_at), TypeOf(child.mode), 0};
    std::string_view text = TextOf(entry);
    memcpy(block + (i - first) * sizeof dirent, &dirent, sizeof dirent);
    memcpy(block + text_at, text.data(), text.size());
    text_at += text.size();
  }
  memset(block + used, 0, kErofsBlock - used);
  *at = end;
  return used;
}

uint64_t ErofsIndex::XattrBytes(const ErofsTree::Node& node) const {
  size_t size = tree_.Xattrs(node).size();
  return size == 0 ? 0 : sizeof(ErofsXattrHeader) + size;
}

ErofsIndex::Data ErofsIndex::DataOf(const ErofsTree::Node& node) const {
  if (S_ISREG(node.mode)) return node.chunk_bits != 0 ? Data::kMap : Data::kNone;
  if (!S_ISDIR(node.mode) && !S_ISLNK(node.mode)) return Data::kNone;
  bool fits = node.size < kErofsBlock && sizeof(ErofsInode) + XattrBytes(node) + node.size <= kErofsBlock;
  return fits ? Data::kInline : Data::kBlocks;
}

/// The blocks of directories and links first, then the inodes: the names in directories tell where those are.
void ErofsIndex::Place() {
  blocks_ = image_.position() >> kErofsBlockBits;
  end_ = kFirstInode;
  VisitAll([this](uint32_t id) {
    PlaceNode(id);
    return Result::success();
  });
  meta_ = blocks_ << kErofsBlockBits;
}

void ErofsIndex::PlaceNode(uint32_t id) {
  ErofsTree::Node& node = tree_.node(id);
  if (node.slot != 0) return;
  inodes_++;
  uint64_t size = sizeof(ErofsInode) + XattrBytes(node);
  Data data = DataOf(node);
  // An inode, and the data that follows one inline, never lie in two blocks.
  uint64_t together = data == Data::kInline ? size + node.size : sizeof(ErofsInode);
  uint64_t at = RoundUp(end_, kErofsSlot);
  if (at % kErofsBlock + together > kErofsBlock) at = RoundUp(at, kErofsBlock);
  node.slot = static_cast<uint32_t>(at / kErofsSlot);
  if (data == Data::kInline) size += node.size;
  if (data == Data::kMap) size += node.count * sizeof(uint32_t);
  end_ = at + size;
  if (data != Data::kBlocks) return;
  node.data = static_cast<uint32_t>(blocks_);
  blocks_ += RoundUp(node.size, kErofsBlock) >> kErofsBlockBits;
}

Result ErofsIndex::Put(const void* data, size_t size) {
  return image_.Append(Bytes{static_cast<const uint8_t*>(data), size});
}

Result ErofsIndex::WriteBlocks() {
  return VisitAll([this](uint32_t id) {
    const ErofsTree::Node& node = tree_.node(id);
    // A link with several names is written once.
    bool here = DataOf(node) == Data::kBlocks && node.data == image_.position() >> kErofsBlockBits;
    if (!here) return Result::success();
    if (S_ISDIR(node.mode)) return WriteDirectory(id);
    Result result = Put(tree_.Target(node).data(), node.size);
    return result.ok() ? image_.Align(kErofsBlock) : result;
  });
}

Result ErofsIndex::WriteDirectory(uint32_t id) {
  uint8_t block[kErofsBlock];
  Result result;
  for (uint32_t at = 0; result.ok() && at < tree_.node(id).count;) {
    FillBlock(id, &at, block);
    result = Put(block, sizeof block);
  }
  return result;
}

Result ErofsIndex::WriteInodes() {
  return VisitAll([this](uint32_t id) {
    uint64_t at = meta_ + tree_.node(id).slot * kErofsSlot;
    if (at < image_.position()) return Result::success();  // written, by another of its names
    Result result = image_.SkipTo(at);
    return result.ok() ? WriteInode(id) : result;
  });
}

Result ErofsIndex::WriteInode(uint32_t id) {
  const ErofsTree::Node& node = tree_.node(id);
  Data data = DataOf(node);
  std::string_view xattrs = tree_.Xattrs(node);
  ErofsInode inode{};
  inode.format = data == Data::kInline ? kErofsFlatInline
                 : data == Data::kMap  ? kErofsChunked
                                       : kErofsFlatPlain;
  inode.xattr_count = static_cast<uint16_t>(xattrs.empty() ? 0 : xattrs.size() / 4 + 1);
  inode.mode = node.mode;
  inode.size = node.size;
  inode.data = data == Data::kInline ? 0 : data == Data::kMap ? node.chunk_bits - kErofsBlockBits : node.data;
  inode.ino = node.slot;
  inode.uid = node.uid;
  inode.gid = node.gid;
  inode.mtime = node.mtime;
  inode.mtime_nsec = node.mtime_nsec;
  inode.nlink = node.nlink;
  Result result = Put(&inode, sizeof inode);
  if (result.ok() && !xattrs.empty()) result = WriteXattrs(xattrs);
  if (!result.ok()) return result;
  if (data == Data::kMap) return Put(tree_.TextAt(node.first), node.count * sizeof(uint32_t));
  if (data != Data::kInline) return result;
  if (S_ISLNK(node.mode)) return Put(tree_.Target(node).data(), node.size);
  uint8_t block[kErofsBlock];
  uint32_t at = 0;
  return Put(block, FillBlock(id, &at, block));
}

Result ErofsIndex::WriteXattrs(std::string_view entries) {
  ErofsXattrHeader header{};
  Result result = Put(&header, sizeof header);
  return result.ok() ? Put(entries.data(), entries.size()) : result;
}

}  // namespace berth
