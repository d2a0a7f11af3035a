#include "erofs_writer.h"

#include <limits.h>

#include <algorithm>

#include "erofs_index.h"
#include "rootfd.h"
#include "tar_record.h"
#include "untar_names.h"

namespace berth {

Result ErofsWriter::Named(Result result, const std::string& path) {
  return result.ok() ? result : Result::failure(result.step, result.error, path.c_str());
}

/// With the time of the entry that made it necessary, so that the same tar makes the same image.
void ErofsWriter::SetTime(uint32_t id) {
  tree_.node(id).mtime = time_.tv_sec;
  tree_.node(id).mtime_nsec = static_cast<uint32_t>(time_.tv_nsec);
  has_root_ = true;
}

Result ErofsWriter::MakeImplied(mode_t mode, uint32_t directory, const std::string& name, uint32_t* id) {
  Result result = tree_.Make(mode, id);
  if (!result.ok()) return result;
  SetTime(*id);
  return tree_.Put(directory, name, *id);
}

bool ErofsWriter::IsWhiteout(uint32_t id) const {
  return S_ISCHR(tree_.node(id).mode) && tree_.node(id).data == 0;
}

Result ErofsWriter::SetOpaque(uint32_t directory, const std::string& path) {
  return Named(tree_.SetXattr(directory, "trusted.overlay.opaque", "y"), path);
}

Result ErofsWriter::OpenParent(const TarEntry& entry, const Place& place) {
  time_ = entry.mtime;
  if (!has_root_) SetTime(ErofsTree::kRoot);
  if (parent_is_kept_ && parent_path_ == place.parent) return Result::success();
  Result result = OpenOrMake(place.parent, 0, &parent_);
  parent_path_ = place.parent;
  parent_is_kept_ = result.ok();
  return result;
}

/// As ParentCache does it in a directory.
Result ErofsWriter::OpenOrMake(const std::string& path, unsigned depth, uint32_t* directory) {
  if (path.size() >= PATH_MAX) return Result::failure("tar: name is too long", ENAMETOOLONG, path.c_str());
  int error = tree_.Resolve(path, directory);
  if (error == 0) return Result::success();
  if (error != ENOENT && error != ENOTDIR)
    return Result::failure("open parent directory", error, path.c_str());
  auto exists = [&](const std::string& prefix) { return tree_.Resolve(prefix, directory) == 0; };
  for (size_t slash = FirstMissing(path, exists);; slash = path.find('/', slash + 1)) {
    Result result = MakeOne(path.substr(0, slash), depth, directory);
    if (!result.ok() || slash == std::string::npos) return result;
  }
}

/// Makes the last component of `prefix`; those before it exist.
Result ErofsWriter::MakeOne(const std::string& prefix, unsigned depth, uint32_t* directory) {
  int error = tree_.Resolve(prefix, directory);
  if (error == 0) return Result::success();
  std::string parent_path, name;
  SplitPath(prefix, &parent_path, &name);
  uint32_t parent = ErofsTree::kNone;
  if (error == ENOENT || error == ENOTDIR) error = tree_.Resolve(parent_path, &parent);
  if (error != 0) return Result::failure("open parent directory", error, prefix.c_str());
  uint32_t existing = tree_.Find(parent, name);
  if (existing != ErofsTree::kNone && S_ISLNK(tree_.node(existing).mode)) {
    // A link of this layer to a directory that only a lower layer has.
    if (depth == ErofsTree::kMaxLinks)
      return Result::failure("tar: too many links in a path", ELOOP, prefix.c_str());
    std::string next(tree_.Target(tree_.node(existing)));
    next = next.starts_with('/') ? next.substr(1) : parent_path + "/" + next;
    return OpenOrMake(next, depth + 1, directory);
  }
  bool whiteout = existing != ErofsTree::kNone && IsWhiteout(existing);
  if (existing != ErofsTree::kNone && !whiteout)
    return Result::failure("tar: parent is not a directory", ENOTDIR, prefix.c_str());
  Result result = MakeImplied(S_IFDIR | 0755, parent, name, directory);
  if (result.ok() && whiteout) result = SetOpaque(*directory, prefix);
  return Named(result, prefix);
}

Result ErofsWriter::MakeRoot(const TarEntry& entry) {
  has_root_ = true;
  return SetMetadata(entry, Place{"", "", "."}, ErofsTree::kRoot);
}

Result ErofsWriter::MakeOpaque(const Place& place) { return SetOpaque(parent_, place.path); }

Result ErofsWriter::MakeWhiteout(const Place& place, const std::string& name) {
  uint32_t existing = tree_.Find(parent_, name);
  if (existing == ErofsTree::kNone)
    return Named(MakeImplied(S_IFCHR, parent_, name, &existing), place.path);
  return S_ISDIR(tree_.node(existing).mode) ? SetOpaque(existing, place.path) : Result::success();
}

/// Whether the tar could still be made again without what is there: a symlink may have been the way to files.
bool ErofsWriter::IsReplaceable(uint32_t id, const TarEntry& entry) const {
  const ErofsTree::Node& node = tree_.node(id);
  if (S_ISDIR(node.mode)) return false;
  if (S_ISREG(node.mode)) return node.size == 0;
  return !S_ISLNK(node.mode) || (entry.type == TarType::kSymlink && entry.link == tree_.Target(node));
}

void ErofsWriter::RemoveExisting(const Place& place, const TarEntry& entry) {
  uint32_t existing = tree_.Find(parent_, place.name);
  if (existing == ErofsTree::kNone) return;
  if (recorder_ != nullptr && !IsReplaceable(existing, entry)) recorder_->Lost(place.path);
  tree_.Remove(parent_, place.name);
  parent_is_kept_ = false;
}

Result ErofsWriter::SetMetadata(const TarEntry& entry, const Place& place, uint32_t id) {
  ErofsTree::Node& node = tree_.node(id);
  mode_t kind = node.mode & S_IFMT;
  node.mode = static_cast<uint16_t>(kind | (S_ISLNK(kind) ? 0777 : entry.mode));
  node.uid = entry.uid;
  node.gid = entry.gid;
  node.mtime = entry.mtime.tv_sec;
  node.mtime_nsec = static_cast<uint32_t>(entry.mtime.tv_nsec);
  for (const auto& [name, value] : entry.xattrs) {
    if (!XattrAllowed(name)) continue;
    int error = XattrRefusal(kind, name, value);
    if (error != 0)
      return Result::failure("tar: extended attribute cannot be set", error, place.path.c_str());
    Result result = tree_.SetXattr(id, name, value);
    if (!result.ok()) return Named(result, place.path);
  }
  return Result::success();
}

Result ErofsWriter::Make(const TarEntry& entry, const Place& place, ErofsTree::Node made) {
  uint32_t id = ErofsTree::kNone;
  Result result = tree_.Make(made.mode, &id);
  if (!result.ok()) return Named(result, place.path);
  tree_.node(id) = made;
  if (S_ISLNK(made.mode)) result = tree_.SetTarget(id, entry.link);
  if (result.ok()) result = tree_.Put(parent_, place.name, id);
  return result.ok() ? SetMetadata(entry, place, id) : Named(result, place.path);
}

Result ErofsWriter::MakeFile(const TarEntry& entry, const Place& place) {
  RemoveExisting(place, entry);
  ErofsTree::Node made;
  made.mode = S_IFREG;
  Result result = entry.sparse ? WriteRuns(entry, &made) : WriteData(entry, &made);
  return result.ok() ? Make(entry, place, made) : result;
}

Result ErofsWriter::MakeDirectory(const TarEntry& entry, const Place& place) {
  uint32_t existing = tree_.Find(parent_, place.name);
  if (existing != ErofsTree::kNone && S_ISDIR(tree_.node(existing).mode))
    return SetMetadata(entry, place, existing);
  bool opaque = existing != ErofsTree::kNone && IsWhiteout(existing);
  RemoveExisting(place, entry);
  ErofsTree::Node made;
  made.mode = S_IFDIR;
  Result result = Make(entry, place, made);
  if (result.ok() && opaque) result = SetOpaque(tree_.Find(parent_, place.name), place.path);
  return result;
}

Result ErofsWriter::MakeSymlink(const TarEntry& entry, const Place& place) {
  RemoveExisting(place, entry);
  ErofsTree::Node made;
  made.mode = S_IFLNK;
  return Make(entry, place, made);
}

Result ErofsWriter::MakeNode(const TarEntry& entry, const Place& place) {
  RemoveExisting(place, entry);
  ErofsTree::Node made;
  made.mode = entry.type == TarType::kFifo ? S_IFIFO : entry.type == TarType::kCharDevice ? S_IFCHR : S_IFBLK;
  // The lower half of a device number is what the kernel keeps of it (new_encode_dev).
  if (entry.type != TarType::kFifo) made.data = static_cast<uint32_t>(entry.device);
  return Make(entry, place, made);
}

Result ErofsWriter::MakeHardLink(const TarEntry& entry, const Place& place, const Place& target) {
  uint32_t directory = ErofsTree::kNone;
  int error = tree_.Resolve(target.parent, &directory);
  if (error == 0 && target.name.size() > ErofsTree::kMaxName) error = ENAMETOOLONG;
  uint32_t source = error == 0 ? tree_.Find(directory, target.name) : ErofsTree::kNone;
  if (source == ErofsTree::kNone) return MissingTarget(place, error == 0 ? ENOENT : error);
  if (IsWhiteout(source)) return MissingTarget(place, ENOENT);
  if (S_ISDIR(tree_.node(source).mode)) return DirectoryTarget(place);
  uint32_t existing = tree_.Find(parent_, place.name);
  if (existing == source) return Result::success();
  RemoveExisting(place, entry);
  bool gone = existing != ErofsTree::kNone && S_ISDIR(tree_.node(existing).mode) &&
              tree_.IsWithin(directory, existing);
  if (gone) return Result::failure("linkat", ENOENT, place.path.c_str());
  return Named(tree_.Put(parent_, place.name, source), place.path);
}

Result ErofsWriter::Finish() { return ErofsIndex(&tree_, image_).Write(&super_); }

}  // namespace berth
