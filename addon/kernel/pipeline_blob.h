// The file that keeps a layer's compressed stream while it is downloaded, so that a download can go on where
// it stopped. It is not synced: after a power cut its end may be anything, which the stream's digest tells.
#pragma once

#include <cstdint>
#include <string>

#include "fd.h"
#include "inflate.h"
#include "pipeline_ring.h"
#include "result.h"

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
  void Close() { fd_.reset(); }

  uint64_t replay_size() const { return replay_size_; }

 private:
  std::string path_;
  Fd fd_;
  uint64_t replay_size_ = 0;
  uint64_t position_ = 0;  // of the stream, in Append
};

}  // namespace berth
