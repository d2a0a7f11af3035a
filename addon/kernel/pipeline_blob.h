// The file that keeps a layer's compressed stream while it is downloaded, so that a download can go on where
// it stopped. It is not synced: after a power cut its end may be anything, which the stream's digest tells. A
// stream that is no archive but a file is not written twice: when it is complete the layer gets this file.
#pragma once

#include <cstdint>
#include <string>

#include "fd.h"
#include "inflate.h"
#include "pipeline_ring.h"
#include "result.h"
#include "tar_frame.h"

namespace berth {

class BlobFile {
 public:
  /// Opens or makes the file (0600, regular, no link). It is locked while open, so that two unpackings never
  /// mix their bytes: EAGAIN when another one has it.
  Result Open(const std::string& path);
  /// Copies what the file holds into the ring. Returns early, without an error, when the ring is stopped.
  Result Replay(ByteRing* ring);
  /// The next bytes of the stream, the replayed ones included: those are not written again.
  Result Append(Bytes bytes);
  /// Makes the complete file that of a layer too: the same one, or a copy where the file systems differ or
  /// another layer has it. The mode and the time of the same one are then those of the layer's file.
  Result PlaceIn(int root, const FramedFile& file);
  void Close() { fd_.reset(); }

  uint64_t replay_size() const { return replay_size_; }

 private:
  std::string path_;
  Fd fd_;
  uint64_t replay_size_ = 0;
  uint64_t position_ = 0;  // of the stream, in Append
};

}  // namespace berth
