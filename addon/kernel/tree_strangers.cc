#include "tree_strangers.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>
#include <utility>

#include "tree_walk.h"

namespace berth {

namespace {

/// More are not listed: whoever wrote that many has made the point.
constexpr size_t kMaxStrangers = 10000;

uint64_t Key(ino_t parent, std::string_view name) {
  uint64_t hash = std::hash<std::string_view>()(name) ^ (parent * 0x9e3779b97f4a7c15);
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93;
  return hash ^ (hash >> 32);
}

bool Has(const std::vector<uint64_t>& sorted, uint64_t key) {
  return std::binary_search(sorted.begin(), sorted.end(), key);
}

class StrangerWalk : public TreeVisitor {
 public:
  StrangerWalk(ino_t root, const NamedEntries& named, DamageList* damage) : named_(named), damage_(damage) {
    levels_.push_back({root, 0, 0, true});
  }

  Result Visit(int directory, const char* name, unsigned char type, bool* descend) override {
    ino_t parent = levels_.back().inode;
    bool known = named_.HasEntry(parent, name);
    bool whiteout = !known && named_.HasWhiteout(parent, name);
    struct stat status = {};
    if (whiteout || type == DT_DIR || type == DT_UNKNOWN) {
      if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? Result::success() : Failed("fstatat", name, errno, path_ + name);
    }
    if (S_ISDIR(status.st_mode)) {
      bool is_parent = named_.IsParent(status.st_ino);
      levels_.push_back({status.st_ino, path_.size(), strangers_.size(), known || is_parent});
      path_.append(name).push_back('/');
      *descend = true;
      return Result::success();
    }
    known = known || (whiteout && IsWhiteout(status));
    if (known)
      levels_.back().known = true;
    else if (strangers_.size() < kMaxStrangers)
      strangers_.push_back(path_ + name);
    return Result::success();
  }

  Result Leave(int, const char*) override {
    Level level = levels_.back();
    levels_.pop_back();
    if (level.known) {
      levels_.back().known = true;
    } else {
      strangers_.resize(level.first);
      if (level.first < kMaxStrangers) strangers_.push_back(path_);
    }
    path_.resize(level.parent_path);
    return Result::success();
  }

  Result Blocked(const char* name, int error) override {
    path_.resize(levels_.back().parent_path);
    levels_.pop_back();
    bool fine = error == ENOENT || error == EXDEV || error == ENOTDIR || error == ELOOP;
    return fine ? Result::success() : Failed("open directory", name, error, path_ + name);
  }
  Result Unreadable(const char* name, int error) override {
    return Failed("getdents64", name, error, path_.empty() ? "." : path_);
  }

  const std::vector<std::string>& strangers() const { return strangers_; }

 private:
  /// What cannot be read is damage, and not the end of the walk.
  Result Failed(const char* step, const char* name, int error, const std::string& path) {
    if (!IsUnreadable(error)) return Result::failure(step, error, name);
    levels_.back().known = true;
    damage_->AddFound(path, CannotBeRead(error));
    return Result::success();
  }

  struct Level {
    ino_t inode;
    size_t parent_path;  // length of the path above it
    size_t first;        // stranger beneath it, in strangers_
    bool known;          // it, or something beneath it, is of the layer
  };

  const NamedEntries& named_;
  DamageList* const damage_;
  std::vector<Level> levels_;
  std::string path_;  // of the directory that is being walked, with a slash behind
  std::vector<std::string> strangers_;
};

}  // namespace

void NamedEntries::Add(const ParentDirectory& parent, const std::string& name) {
  entries_.push_back(Key(parent.inode, name));
  AddParent(parent);
}

void NamedEntries::AddWhiteout(const ParentDirectory& parent, const std::string& name) {
  whiteouts_.push_back(Key(parent.inode, name));
  AddParent(parent);
}

void NamedEntries::AddParent(const ParentDirectory& parent) {
  if (parents_.empty() || parents_.back() != parent.inode) parents_.push_back(parent.inode);
}

void NamedEntries::Sort() {
  for (auto* list : {&entries_, &whiteouts_, &parents_}) std::sort(list->begin(), list->end());
}

bool NamedEntries::HasEntry(ino_t parent, const char* name) const { return Has(entries_, Key(parent, name)); }

bool NamedEntries::HasWhiteout(ino_t parent, const char* name) const {
  return Has(whiteouts_, Key(parent, name));
}

bool NamedEntries::IsParent(ino_t directory) const { return Has(parents_, directory); }

Result FindStrangers(int root, const NamedEntries& named, DamageList* damage) {
  Fd top(openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!top.valid() || fstat(top.get(), &status) != 0) return Result::last("open layer directory");
  StrangerWalk walk(status.st_ino, named, damage);
  Result result = TreeWalk(&walk).Run(std::move(top));
  if (!result.ok()) return result;
  for (const std::string& path : walk.strangers()) damage->AddFound(path, "is no part of the layer");
  return result;
}

}  // namespace berth
