// The bounded queue between a layer's threads: bytes in one circular buffer, copied at most once.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "inflate.h"

namespace berth {

/// Filled by one thread and read whole by every one of kReaders threads, which work in the buffer itself.
class ByteRing {
 public:
  static constexpr size_t kReaders = 2;

  /// `span` is the most that is filled or read at once; `capacity` is a multiple of it.
  ByteRing(size_t capacity, size_t span);
  /// A part to fill, once every reader is done with it; `*room` is its size. Null when stopped.
  uint8_t* Acquire(size_t* room);
  /// The same without waiting: null when there is no room as well.
  uint8_t* TryAcquire(size_t* room);
  /// Shows the acquired part's first `size` bytes to the readers.
  void Publish(size_t size);
  void Close();
  void Stop();
  /// Stops it and gives its memory back: for when nobody works in the buffer any more.
  void Release();
  /// Calls `ready` once, on whichever thread it comes about, when half of the ring is free (waking a writer
  /// costs, so not for every byte) or when it is stopped. One call at a time may be outstanding.
  void WhenRoom(std::function<void()> ready);
  /// Gives the reader's last bytes back and blocks for the next. False at the end or when stopped.
  bool Next(size_t reader, Bytes* bytes);
  bool stopped();

 private:
  uint64_t Slowest() const;
  bool IsRoomy() const { return stopped_ || head_ - Slowest() <= capacity_ / 2; }
  uint8_t* Free(size_t* room);

  const size_t capacity_;
  const size_t span_;
  std::unique_ptr<uint8_t[]> data_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::condition_variable filled_;
  std::function<void()> roomy_;
  uint64_t head_ = 0;              // bytes published so far
  uint64_t taken_[kReaders] = {};  // bytes handed to the reader so far
  uint64_t done_[kReaders] = {};   // bytes the reader gave back
  bool closed_ = false;
  bool stopped_ = false;
};

}  // namespace berth
