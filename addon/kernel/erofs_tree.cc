#include "erofs_tree.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>

#include "erofs_format.h"

namespace berth {

namespace {

constexpr size_t kFirstTable = 1 << 12;

/// A container that changes a file gets a copy of it, attributes with it, in a file system that may have less
/// room for them than EROFS: ext4 has one block of 4 KiB, less a header and an end (fs/ext4/xattr.h). 256
/// bytes are for what overlayfs and security modules add.
constexpr size_t kMaxXattrBytes = 4096 - 32 - 4 - 256;

/// What an attribute takes there, its name without the prefix.
size_t XattrBytes(size_t name_size, size_t value_size) {
  return 16 + ((name_size + 3) & ~size_t{3}) + ((value_size + 3) & ~size_t{3});
}

/// SipHash-1-3 (Aumasson and Bernstein).
class SipHash {
 public:
  explicit SipHash(const uint64_t (&key)[2])
      : a_(key[0] ^ 0x736f6d6570736575),
        b_(key[1] ^ 0x646f72616e646f6d),
        c_(key[0] ^ 0x6c7967656e657261),
        d_(key[1] ^ 0x7465646279746573) {}
  void Add(uint64_t word) {
    d_ ^= word;
    Round();
    a_ ^= word;
  }
  uint64_t End() {
    c_ ^= 0xff;
    for (int i = 0; i < 3; i++) Round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  void Round() {
    a_ += b_;
    c_ += d_;
    b_ = std::rotl(b_, 13) ^ a_;
    d_ = std::rotl(d_, 16) ^ c_;
    a_ = std::rotl(a_, 32);
    c_ += b_;
    a_ += d_;
    b_ = std::rotl(b_, 17) ^ c_;
    d_ = std::rotl(d_, 21) ^ a_;
    c_ = std::rotl(c_, 32);
  }

  uint64_t a_, b_, c_, d_;
};

}  // namespace

Result ErofsTree::Begin() {
  while (getrandom(key_, sizeof key_, 0) != static_cast<ssize_t>(sizeof key_))
    if (errno != EINTR) return Result::last("getrandom");
  // Number 0 stands for nothing everywhere.
  const void* added = nodes_.Add();
  if (added != nullptr) added = names_.Add();
  if (added != nullptr) added = text_.Add(4);
  if (added != nullptr) added = table_.Add(kFirstTable);
  uint32_t root = kNone;
  Result result = added == nullptr ? Check(nullptr) : Make(S_IFDIR | 0755, &root);
  if (result.ok()) node(root).parent = root;
  return result;
}

Result ErofsTree::Check(const void* added, uint64_t more) const {
  if (added == nullptr) return Result::failure("layer image: memory for its tree", ENOMEM);
  if (nodes_.bytes() + names_.bytes() + text_.bytes() + table_.bytes() + more > kMaxBytes)
    return Result::failure("layer image: its tree needs more than 128 MiB of memory", EOVERFLOW);
  return Result::success();
}

uint64_t ErofsTree::Hash(uint32_t directory, std::string_view name) const {
  SipHash hash(key_);
  hash.Add(uint64_t{directory} << 32 | name.size());
  for (; name.size() >= 8; name.remove_prefix(8)) {
    uint64_t word;
    memcpy(&word, name.data(), sizeof word);
    hash.Add(word);
  }
  uint64_t word = 0;
  memcpy(&word, name.data(), name.size());
  hash.Add(word);
  return hash.End();
}

size_t ErofsTree::SlotOf(uint32_t directory, std::string_view text, uint64_t hash) const {
  size_t mask = table_.size() - 1;
  uint64_t tag = hash >> 32;
  for (size_t at = tag & mask;; at = (at + 1) & mask) {
    uint64_t slot = table_[at];
    if (slot == 0) return at;
    if (slot >> 32 != tag) continue;
    const Name& found = names_[static_cast<uint32_t>(slot)];
    if (found.directory == directory && this->text(found) == text) return at;
  }
}

Result ErofsTree::GrowTable() {
  MappedArray<uint64_t> larger;
  const void* added = larger.Add(table_.size() * 2);
  if (added == nullptr) return Check(added);
  size_t mask = larger.size() - 1;
  for (size_t i = 0; i < table_.size(); i++) {
    if (table_[i] == 0) continue;
    size_t at = (table_[i] >> 32) & mask;
    while (larger[at] != 0) at = (at + 1) & mask;
    larger[at] = table_[i];
  }
  table_ = std::move(larger);
  return Check(added);
}

uint32_t ErofsTree::Find(uint32_t directory, std::string_view name) const {
  if (name.size() > kMaxName) return kNone;
  uint64_t slot = table_[SlotOf(directory, name, Hash(directory, name))];
  return slot == 0 ? kNone : names_[static_cast<uint32_t>(slot)].node;
}

Result ErofsTree::Make(mode_t mode, uint32_t* id) {
  Node* added = nodes_.Add();
  Result result = Check(added);
  if (!result.ok()) return result;
  added->mode = static_cast<uint16_t>(mode);
  *id = static_cast<uint32_t>(nodes_.size() - 1);
  return result;
}

Result ErofsTree::Put(uint32_t directory, std::string_view text, uint32_t id) {
  uint64_t hash = Hash(directory, text);
  if (S_ISDIR(node(id).mode)) {
    node(id).parent = directory;
    node(id).data = node(directory).data + 1;
    if (node(id).data > kMaxDepth)
      return Result::failure("layer image: directories are too deep in each other", EOVERFLOW);
  }
  size_t at = SlotOf(directory, text, hash);
  if (table_[at] != 0) {
    names_[static_cast<uint32_t>(table_[at])].node = id;
    return Result::success();
  }
  char* copy = text_.Add(text.size() + 1);
  Result result = Check(copy);
  if (!result.ok()) return result;
  *copy = static_cast<char>(text.size());
  memcpy(copy + 1, text.data(), text.size());
  Name* added = names_.Add();
  result = Check(added);
  if (!result.ok()) return result;
  uint32_t place = static_cast<uint32_t>(copy - text_.data());
  *added = Name{directory, place, id, node(directory).first};
  uint32_t number = static_cast<uint32_t>(names_.size() - 1);
  node(directory).first = number;
  table_[at] = (hash >> 32) << 32 | number;
  return names_.size() > table_.size() / 4 * 3 ? GrowTable() : result;
}

void ErofsTree::Remove(uint32_t directory, std::string_view name) {
  uint64_t slot = table_[SlotOf(directory, name, Hash(directory, name))];
  if (slot != 0) names_[static_cast<uint32_t>(slot)].node = kNone;
}

bool ErofsTree::IsWithin(uint32_t id, uint32_t above) const {
  while (id != above && id != kRoot) id = node(id).parent;
  return id == above;
}

Result ErofsTree::AddText(size_t size, uint32_t* at) {
  size_t padding = (4 - text_.size() % 4) % 4;
  char* added = text_.Add(padding + size);
  if (added != nullptr) *at = static_cast<uint32_t>(added - text_.data() + padding);
  return Check(added);
}

Result ErofsTree::SetTarget(uint32_t id, std::string_view target) {
  char* added = text_.Add(target.size());
  Result result = Check(added);
  if (!result.ok()) return result;
  memcpy(added, target.data(), target.size());
  node(id).first = static_cast<uint32_t>(added - text_.data());
  node(id).size = target.size();
  return result;
}

std::string_view ErofsTree::Xattrs(const Node& node) const {
  if (node.xattrs == 0) return {};
  uint32_t size;
  memcpy(&size, text_.data() + node.xattrs, sizeof size);
  return {text_.data() + node.xattrs + sizeof size, size};
}

Result ErofsTree::SetXattr(uint32_t id, std::string_view name, std::string_view value) {
  size_t dot = std::min(name.find('.'), name.size() - 1);
  uint8_t prefix = name[0] == 'u'   ? kErofsPrefixUser
                   : name[0] == 't' ? kErofsPrefixTrusted
                                    : kErofsPrefixSecurity;
  name.remove_prefix(dot + 1);
  size_t bytes = XattrBytes(name.size(), value.size());
  std::string entries;
  for (std::string_view old = Xattrs(node(id)); !old.empty();) {
    ErofsXattr header;
    memcpy(&header, old.data(), sizeof header);
    size_t size = (sizeof header + header.name_size + header.value_size + 3) & ~size_t{3};
    bool same = header.prefix == prefix && old.substr(sizeof header, header.name_size) == name;
    if (!same) {
      entries.append(old.substr(0, size));
      bytes += XattrBytes(header.name_size, header.value_size);
    }
    old.remove_prefix(size);
  }
  if (bytes > kMaxXattrBytes)
    return Result::failure("layer image: extended attributes are too large for files that containers change",
                           EOVERFLOW);
  ErofsXattr header{static_cast<uint8_t>(name.size()), prefix, static_cast<uint16_t>(value.size())};
  entries.append(reinterpret_cast<const char*>(&header), sizeof header).append(name).append(value);
  entries.resize((entries.size() + 3) & ~size_t{3});
  uint32_t at = 0, size = static_cast<uint32_t>(entries.size());
  Result result = AddText(sizeof size + entries.size(), &at);
  if (!result.ok()) return result;
  memcpy(TextAt(at), &size, sizeof size);
  memcpy(TextAt(at) + sizeof size, entries.data(), entries.size());
  node(id).xattrs = at;
  return result;
}

int ErofsTree::Resolve(std::string_view path, uint32_t* directory) const {
  std::string_view rest[kMaxLinks + 1] = {path};  // of the path, and of the targets that stand in it
  unsigned links = 0, depth = 1;
  uint32_t at = kRoot;
  while (depth > 0) {
    std::string_view& left = rest[depth - 1];
    left.remove_prefix(std::min(left.find_first_not_of('/'), left.size()));
    std::string_view text = left.substr(0, left.find('/'));
    left.remove_prefix(text.size());
    if (text.empty()) {
      depth--;
      continue;
    }
    if (text == ".") continue;
    if (text == "..") {
      at = node(at).parent;
      continue;
    }
    if (text.size() > kMaxName) return ENAMETOOLONG;
    uint32_t found = Find(at, text);
    if (found == kNone) return ENOENT;
    const Node& next = node(found);
    if (S_ISDIR(next.mode)) {
      at = found;
    } else if (!S_ISLNK(next.mode)) {
      return ENOTDIR;
    } else {
      if (links++ == kMaxLinks) return ELOOP;
      std::string_view target = Target(next);
      if (target[0] == '/') at = kRoot;
      rest[depth++] = target;
    }
  }
  *directory = at;
  return 0;
}

}  // namespace berth
