// The two bounded queues of a layer's threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "inflate.h"

namespace berth {

/// Compressed pieces on their way from JavaScript to the inflating thread: one copy, buffers used again.
class InputQueue {
 public:
  /// Above this many queued bytes the writer is asked to wait.
  static constexpr size_t kHighWater = 1 << 20;
  /// A waiting writer goes on below this: waking it costs a thread, so not for every piece.
  static constexpr size_t kLowWater = 256 << 10;

  /// Pieces are joined up to this size, so that a peer that sends single bytes costs no memory.
  static constexpr size_t kCoalesce = 64 << 10;

  /// Copies a piece. True while there is room for more.
  bool Push(const uint8_t* data, size_t size);
  void Close();
  void Stop();
  /// Blocks until the writer may go on. False when stopped.
  bool WaitForRoom();
  /// Blocks for the next piece and swaps it into `piece`, whose old buffer is used again. False at the end or
  /// when stopped.
  bool Pop(std::vector<uint8_t>* piece);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::vector<uint8_t>> queue_;
  std::vector<std::vector<uint8_t>> spare_;
  size_t bytes_ = 0;
  bool closed_ = false;
  bool stopped_ = false;
};

/// A ring of slabs filled by one thread and read by every one of kReaders threads.
class SlabRing {
 public:
  static constexpr size_t kSlabBytes = 512 << 10;
  static constexpr size_t kSlabs = 6;
  static constexpr size_t kReaders = 2;

  SlabRing();
  /// The next slab to fill, kSlabBytes long, once every reader is done with it. Null when stopped.
  uint8_t* Acquire();
  /// Shows the acquired slab's first `size` bytes to the readers.
  void Publish(size_t size);
  void Close();
  void Stop();
  /// Gives the reader's last slab back and blocks for the next. False at the end or when stopped.
  bool Next(size_t reader, Bytes* slab);
  bool stopped();

 private:
  struct Slab {
    std::unique_ptr<uint8_t[]> data;
    size_t size = 0;
  };

  uint64_t Slowest() const;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::condition_variable filled_;
  Slab slabs_[kSlabs];
  uint64_t head_ = 0;             // slabs published so far
  uint64_t taken_[kReaders] = {};  // slabs handed to the reader so far
  uint64_t done_[kReaders] = {};   // slabs the reader gave back
  bool closed_ = false;
  bool stopped_ = false;
};

}  // namespace berth
