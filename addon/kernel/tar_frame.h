// A single file as a tar: what stands before and behind its bytes. With it a blob that is no archive goes the
// way of a layer: unpacked, recorded, checked and made again like any other.
#pragma once

#include <cstdint>
#include <string>

namespace berth {

struct FramedFile {
  std::string name;  // relative and clean; "" for none
  uint64_t size = 0;
  int64_t mtime = 0;  // seconds since the epoch, from 0 to what 11 octal digits hold
};

/// The headers of its directories (0755, time 0) and of the file (0644), all of root.
std::string TarFrameHead(const FramedFile& file);
/// Padding and the archive's end.
std::string TarFrameTail(const FramedFile& file);

}  // namespace berth
