#include "pipeline_ring.h"

#include <algorithm>
#include <utility>

namespace berth {

ByteRing::ByteRing(size_t capacity, size_t span)
    : capacity_(capacity), span_(span), data_(new uint8_t[capacity]) {}

uint64_t ByteRing::Slowest() const { return *std::min_element(done_, done_ + kReaders); }

uint8_t* ByteRing::Free(size_t* room) {
  size_t at = head_ % capacity_;
  size_t free = capacity_ - static_cast<size_t>(head_ - Slowest());
  *room = std::min({free, capacity_ - at, span_});
  return data_.get() + at;
}

uint8_t* ByteRing::Acquire(size_t* room) {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return stopped_ || head_ - Slowest() < capacity_; });
  return stopped_ ? nullptr : Free(room);
}

uint8_t* ByteRing::TryAcquire(size_t* room) {
  std::lock_guard lock(mutex_);
  return stopped_ || head_ - Slowest() == capacity_ ? nullptr : Free(room);
}

void ByteRing::Publish(size_t size) {
  std::lock_guard lock(mutex_);
  head_ += size;
  filled_.notify_all();
}

void ByteRing::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  filled_.notify_all();
}

void ByteRing::Stop() {
  std::function<void()> roomy;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    filled_.notify_all();
    freed_.notify_all();
    roomy = std::exchange(roomy_, nullptr);
  }
  if (roomy) roomy();
}

void ByteRing::Release() {
  Stop();
  std::lock_guard lock(mutex_);
  data_.reset();
}

bool ByteRing::stopped() {
  std::lock_guard lock(mutex_);
  return stopped_;
}

void ByteRing::WhenRoom(std::function<void()> ready) {
  {
    std::lock_guard lock(mutex_);
    if (!IsRoomy()) {
      roomy_ = std::move(ready);
      return;
    }
  }
  ready();
}

bool ByteRing::Next(size_t reader, Bytes* bytes) {
  std::unique_lock lock(mutex_);
  if (done_[reader] != taken_[reader]) {
    done_[reader] = taken_[reader];
    freed_.notify_all();
    if (roomy_ && IsRoomy()) {
      std::function<void()> roomy = std::exchange(roomy_, nullptr);
      lock.unlock();
      roomy();
      lock.lock();
    }
  }
  filled_.wait(lock, [this, reader] { return stopped_ || closed_ || head_ > taken_[reader]; });
  if (stopped_ || head_ == taken_[reader]) return false;
  size_t at = taken_[reader] % capacity_;
  size_t ready = static_cast<size_t>(head_ - taken_[reader]);
  size_t size = std::min({ready, capacity_ - at, span_});
  taken_[reader] += size;
  *bytes = Bytes{data_.get() + at, size};
  return true;
}

}  // namespace berth
