#include "tree_check.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>

#include "tree_strangers.h"
#include "untar_names.h"

namespace berth {

namespace {

std::string Text(const char* format, auto... values) {
  char text[160];
  snprintf(text, sizeof text, format, values...);
  return text;
}

const char* KindOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a file";
    case S_IFDIR:
      return "a directory";
    case S_IFLNK:
      return "a symlink";
    case S_IFIFO:
      return "a FIFO";
    case S_IFBLK:
      return "a block device";
    case S_IFCHR:
      return "a character device";
    default:
      return "a socket";
  }
}

mode_t ModeOf(TarType type) {
  switch (type) {
    case TarType::kDirectory:
      return S_IFDIR;
    case TarType::kSymlink:
      return S_IFLNK;
    case TarType::kFifo:
      return S_IFIFO;
    case TarType::kBlockDevice:
      return S_IFBLK;
    case TarType::kCharDevice:
      return S_IFCHR;
    default:
      return S_IFREG;
  }
}

/// What is wrong with where a link points, "" for nothing.
std::string CompareTarget(int parent, const std::string& name, const std::string& expected) {
  char target[PATH_MAX];
  ssize_t size = readlinkat(parent, name.c_str(), target, sizeof target);
  if (size < 0) return CannotBeRead(errno);
  return std::string(target, static_cast<size_t>(size)) == expected ? "" : "points elsewhere";
}

/// Capabilities as the kernel gives them back: those of revision 3 (24 bytes) whose root is user 0 in the
/// form of revision 2, which is the same without that user (linux/capability.h; security/commoncap.c).
std::string AsStored(const std::string& key, const std::string& value) {
  if (key != "security.capability" || value.size() != 24 || value[3] != 3) return value;
  if (value.find_first_not_of('\0', 20) != std::string::npos) return value;
  std::string stored = value.substr(0, 20);
  stored[3] = 2;
  return stored;
}

}  // namespace

std::string CannotBeRead(int error) { return std::string("cannot be read: ") + strerrorname_np(error); }

void DamageList::Add(const ParentDirectory& parent, const std::string& name, const std::string& path,
                     std::string what) {
  auto key = std::make_pair(parent.inode, name);
  if (what.empty()) {
    if (!entries_.empty()) entries_.erase(key);
  } else {
    entries_.insert_or_assign(std::move(key), TreeDamage{path, std::move(what)});
  }
}

void DamageList::AddLost(const std::string& clean, const std::string& path, std::string what) {
  lost_.insert_or_assign(clean, TreeDamage{path, std::move(what)});
}

void DamageList::DropLostBeneath(const std::string& clean) {
  if (lost_.empty()) return;
  lost_.erase(lost_.lower_bound(clean + "/"), lost_.lower_bound(clean + "0"));  // '0' follows '/'
}

void DamageList::AddFound(const std::string& path, std::string what) {
  found_.push_back({path, std::move(what)});
}

std::vector<TreeDamage> DamageList::List() const {
  std::vector<TreeDamage> list;
  for (const auto& [path, damage] : lost_) list.push_back(damage);
  for (const auto& [key, damage] : entries_) list.push_back(damage);
  list.insert(list.end(), found_.begin(), found_.end());
  return list;
}

TreeChecker::TreeChecker(int root, bool thorough, DamageList* damage)
    : root_(root),
      thorough_(thorough),
      damage_(damage),
      parents_(root, ParentCache::Missing::kFail),
      named_(new NamedEntries) {}

TreeChecker::~TreeChecker() = default;

/// `*found` is false when its directory is not there any more.
Result TreeChecker::Find(const TarEntry& entry, Spot* spot, bool* found) {
  std::string path, parent;
  *found = CleanPath(entry.path, &path);
  if (!*found) return Result::failure("tar: entry path escapes the layer", EBADMSG, entry.path.c_str());
  SplitPath(path, &parent, &spot->name);
  if (spot->name.empty()) spot->name = ".";
  Result result = parents_.Open(parent, &spot->parent);
  if (result.ok()) return result;
  *found = false;
  if (result.error == ENOENT || result.error == ENOTDIR || result.error == ELOOP || result.error == EXDEV)
    return Result::success();
  spot->unreadable = result.error;
  return IsUnreadable(result.error) ? Result::success() : result;
}

Result TreeChecker::Check(const TarEntry& entry, bool* sound) {
  std::string path;
  *sound = true;
  if (CleanPath(entry.path, &path) && IsAufsMeta(path)) return Result::success();
  if (entry.type != TarType::kDirectory) damage_->DropLostBeneath(path);
  Spot spot;
  Result result = Find(entry, &spot, sound);
  if (!result.ok()) return result;
  if (!*sound) {
    bool missing = spot.unreadable == 0;
    damage_->AddLost(path, entry.path,
                     missing ? "is missing, as is its directory" : CannotBeRead(spot.unreadable));
    return result;
  }
  Note(spot);
  std::string what;
  result = Compare(entry, spot, &what);
  if (!result.ok()) return result;
  *sound = what.empty();
  damage_->Add(spot.parent, spot.name, entry.path, std::move(what));
  return result;
}

void TreeChecker::Note(const Spot& spot) {
  if (spot.name == kOpaque) {
    named_->AddParent(spot.parent);
  } else if (spot.name.starts_with(kWhiteout)) {
    named_->AddWhiteout(spot.parent, spot.name.substr(sizeof kWhiteout - 1));
  } else {
    named_->Add(spot.parent, spot.name);
  }
}

Result TreeChecker::CheckRest() {
  named_->Sort();
  return FindStrangers(root_, *named_, damage_);
}

void TreeChecker::AddDamage(const TarEntry& entry, std::string what) {
  Spot spot;
  bool found = false;
  if (Find(entry, &spot, &found).ok() && found) damage_->Add(spot.parent, spot.name, entry.path, what);
}

Result TreeChecker::Compare(const TarEntry& entry, const Spot& spot, std::string* what) {
  int parent = spot.parent.fd;
  if (spot.name == kOpaque) {
    char value = 0;
    std::string self = "/proc/self/fd/" + std::to_string(parent);
    bool opaque = getxattr(self.c_str(), "trusted.overlay.opaque", &value, 1) == 1 && value == 'y';
    if (!opaque) *what = "is missing: the directory is not opaque";
    return Result::success();
  }
  bool whiteout = spot.name.starts_with(kWhiteout);
  std::string name = whiteout ? spot.name.substr(sizeof kWhiteout - 1) : spot.name;
  struct stat status;
  if (fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    bool missing = errno == ENOENT || errno == ENAMETOOLONG;
    if (!missing && !IsUnreadable(errno)) return Result::last("fstatat", entry.path.c_str());
    *what = missing ? "is missing" : CannotBeRead(errno);
    return Result::success();
  }
  // What stands in a whiteout's place is an entry of its own.
  if (whiteout) return Result::success();
  if (entry.type == TarType::kHardLink) return CompareLink(entry, status, what);
  if (entry.type == TarType::kSymlink && S_ISLNK(status.st_mode))
    *what = CompareTarget(parent, name, entry.link);
  if (!what->empty()) return Result::success();
  if ((status.st_mode & S_IFMT) != ModeOf(entry.type)) {
    *what = Text("is %s instead of %s", KindOf(status.st_mode), KindOf(ModeOf(entry.type)));
  } else if (entry.type == TarType::kFile && static_cast<uint64_t>(status.st_size) != entry.file_size) {
    *what = Text("has %jd bytes instead of %ju", intmax_t{status.st_size}, uintmax_t{entry.file_size});
  } else if (entry.type != TarType::kSymlink && (status.st_mode & 07777) != entry.mode) {
    *what = Text("has the mode %04o instead of %04o", status.st_mode & 07777u, unsigned{entry.mode});
  } else if (status.st_uid != entry.uid || status.st_gid != entry.gid) {
    *what = Text("belongs to %u:%u instead of %u:%u", status.st_uid, status.st_gid, entry.uid, entry.gid);
  } else if ((S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) && status.st_rdev != entry.device) {
    *what = "is another device";
  } else if (thorough_) {
    return CompareXattrs(entry, spot, what);
  }
  return Result::success();
}

Result TreeChecker::CompareLink(const TarEntry& entry, const struct stat& status, std::string* what) {
  std::string target, directory, name;
  if (!CleanPath(entry.link, &target))
    return Result::failure("tar: hard link target escapes the layer", EBADMSG, entry.path.c_str());
  SplitPath(target, &directory, &name);
  Fd parent(OpenInRoot(root_, directory, O_PATH | O_DIRECTORY));
  struct stat other;
  bool same = parent.valid() && fstatat(parent.get(), name.c_str(), &other, AT_SYMLINK_NOFOLLOW) == 0 &&
              other.st_dev == status.st_dev && other.st_ino == status.st_ino;
  if (!same) *what = "is not the same file as \"" + target + "\"";
  return Result::success();
}

Result TreeChecker::CompareXattrs(const TarEntry& entry, const Spot& spot, std::string* what) {
  std::string path = "/proc/self/fd/" + std::to_string(spot.parent.fd) + "/" + spot.name;
  for (const auto& [key, value] : entry.xattrs) {
    if (!XattrAllowed(key)) continue;
    std::string found(value.size() + 1, '\0');
    ssize_t size = lgetxattr(path.c_str(), key.c_str(), found.data(), found.size());
    if (size >= 0) found.resize(static_cast<size_t>(size));
    bool same = size >= 0 && (found == value || found == AsStored(key, value));
    if (!same) *what = "has another extended attribute \"" + key + "\"";
  }
  return Result::success();
}

Result TreeChecker::OpenContent(const TarEntry& entry, Fd* fd) {
  Spot spot;
  bool found = false;
  fd->reset();
  Result result = Find(entry, &spot, &found);
  if (!result.ok() || !found) return result;
  // A look first, because opening a device can do things; the open itself then follows nothing.
  struct stat status;
  bool regular = fstatat(spot.parent.fd, spot.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(status.st_mode);
  constexpr uint64_t kResolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  if (regular) fd->reset(OpenAt2(spot.parent.fd, spot.name.c_str(), kFlags, kResolve));
  if (fd->valid() && (fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode))) fd->reset();
  return result;
}

}  // namespace berth
