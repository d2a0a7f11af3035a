// The tree of a layer in memory, while its image is written: what a file system would keep on disk, as small
// as it can be, because a hostile layer has millions of entries.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "mapped_array.h"
#include "result.h"

namespace berth {

class ErofsTree {
 public:
  /// The most memory it takes. A layer that needs more is no layer for an image: EOVERFLOW.
  static constexpr uint64_t kMaxBytes = 128 << 20;
  static constexpr uint32_t kNone = 0, kRoot = 1;
  static constexpr size_t kMaxName = 255;
  /// Deeper ones are made through links only, and by nobody who means well.
  static constexpr uint32_t kMaxDepth = 4096;
  /// How many links are followed in one resolution, as by the kernel.
  static constexpr unsigned kMaxLinks = 40;

  struct Node {
    uint64_t size = 0;  // of a file, a directory's entries or a link's target
    int64_t mtime = 0;
    uint32_t mtime_nsec = 0;
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t nlink = 0;
    uint32_t data = 0;    // a first block, a device number; first, of a directory its depth
    uint32_t xattrs = 0;  // in the text, behind their size in 4 bytes; 0 for none
    uint32_t parent = 0;  // of a directory
    uint32_t first = 0;   // a directory's last made name; in the text, a link's target or a sparse file's map
    uint32_t count = 0;   // of names or chunks
    uint32_t slot = 0;    // in the image
    uint16_t mode = 0;
    uint8_t chunk_bits = 0;  // of a sparse file
  };
  static_assert(sizeof(Node) == 64);

  /// A name in a directory. It stays when what it names is removed, and may name something else later.
  struct Name {
    uint32_t directory = 0;
    uint32_t text = 0;  // the name, behind its size in one byte
    uint32_t node = 0;  // kNone when nothing has it
    uint32_t next = 0;  // in the same directory
  };

  /// Makes the root, 0755. To be called first.
  Result Begin();

  Node& node(uint32_t id) { return nodes_[id]; }
  const Node& node(uint32_t id) const { return nodes_[id]; }
  const Name& name(uint32_t at) const { return names_[at]; }
  std::string_view text(const Name& name) const {
    return {text_.data() + name.text + 1, static_cast<uint8_t>(text_[name.text])};
  }
  std::string_view Target(const Node& link) const { return {text_.data() + link.first, link.size}; }
  std::string_view Xattrs(const Node& node) const;

  /// What the directory has by this name, kNone when nothing.
  uint32_t Find(uint32_t directory, std::string_view name) const;
  /// A node that nothing names yet.
  Result Make(mode_t mode, uint32_t* id);
  /// Names it, in the place of what had the name.
  Result Put(uint32_t directory, std::string_view name, uint32_t id);
  void Remove(uint32_t directory, std::string_view name);
  /// Whether `id`, a directory, is `above` or beneath it.
  bool IsWithin(uint32_t id, uint32_t above) const;

  Result SetTarget(uint32_t id, std::string_view target);
  /// Sets an attribute beside or in the place of others. EOVERFLOW for more than a block of
  /// ext4 holds, where it goes when a container changes the file.
  Result SetXattr(uint32_t id, std::string_view name, std::string_view value);
  /// Room for `size` bytes of the text, zero and aligned to 4.
  Result AddText(size_t size, uint32_t* at);
  char* TextAt(uint32_t at) { return text_.data() + at; }

  /// Finds the directory `path` as openat2 does with RESOLVE_IN_ROOT. An errno, or 0.
  int Resolve(std::string_view path, uint32_t* directory) const;

  /// EOVERFLOW when it, with `more` bytes, has become too large; ENOMEM when `added` is null.
  Result Check(const void* added, uint64_t more = 0) const;

 private:
  uint64_t Hash(uint32_t directory, std::string_view name) const;
  /// Where in the table the name is, or would be.
  size_t SlotOf(uint32_t directory, std::string_view name, uint64_t hash) const;
  Result GrowTable();

  MappedArray<Node> nodes_;
  MappedArray<Name> names_;
  MappedArray<char> text_;
  MappedArray<uint64_t> table_;  // the upper half of a name's hash, and the name; 0 where none is
  uint64_t key_[2] = {};         // so that nobody can make names that collide
};

}  // namespace berth
