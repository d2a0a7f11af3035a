// An EROFS image being written from its beginning to its end, in large pieces.
#pragma once

#include <string>
#include <string_view>

#include "erofs_format.h"
#include "fd.h"
#include "inflate.h"
#include "mapped_array.h"
#include "result.h"

namespace berth {

class ErofsImage {
 public:
  /// Makes the file (0600), which must not exist.
  Result Create(const std::string& path);
  int fd() const { return fd_.get(); }

  /// Where the next byte goes.
  uint64_t position() const { return base_ + used_; }
  /// EOVERFLOW when it would become larger than its block numbers reach.
  Result Append(Bytes bytes);
  /// Goes on at a position that is not before this one. What lies between is zero, and where that is much, a
  /// hole.
  Result SkipTo(uint64_t position);
  /// Goes on at the next multiple of `unit`, a power of two.
  Result Align(uint64_t unit) { return SkipTo((position() + unit - 1) & ~(unit - 1)); }

  /// What there is to say then of what has this path.
  static Result TooLarge(const std::string& path);

  /// From here on all that is appended is the index.
  void BeginIndex();
  /// Completes the file with its header and its superblock, in which `super` tells of the index, and syncs it
  /// (fdatasync). `diff_id` ("sha256:" and 64 digits) becomes the file system's UUID: overlayfs wants lower
  /// file systems to have one, each its own.
  Result Complete(ErofsSuper super, const std::string& diff_id);

 private:
  static constexpr size_t kBufferBytes = 1 << 20;
  static constexpr uint64_t kPage = 4096;
  /// What is written goes on its way to the disk so much at a time: then less is left for the sync.
  static constexpr uint64_t kSendBytes = 4 << 20;

  Result Flush();
  Result Send();
  Result WriteAt(const void* data, size_t size, uint64_t offset);

  std::string path_;
  Fd fd_;
  MappedArray<uint8_t> buffer_;
  uint64_t base_ = kErofsDataStart;  // of the buffer's first byte
  size_t used_ = 0;
  size_t room_ = kBufferBytes;  // so that the next buffer begins at a page's beginning
  uint64_t sent_ = 0;           // on its way to the disk
  uint64_t index_offset_ = 0;   // 0 while contents are written
  uint32_t index_crc_ = 0;
};

}  // namespace berth
