#include "pipeline_ring.h"

#include <algorithm>

namespace berth {

bool InputQueue::Push(const uint8_t* data, size_t size) {
  std::vector<uint8_t> piece;
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return true;
    if (!queue_.empty() && queue_.back().size() + size <= kCoalesce) {
      queue_.back().insert(queue_.back().end(), data, data + size);
      bytes_ += size;
      changed_.notify_all();
      return bytes_ < kHighWater;
    }
    if (!spare_.empty()) {
      piece = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  piece.assign(data, data + size);
  std::lock_guard lock(mutex_);
  queue_.push_back(std::move(piece));
  bytes_ += size;
  changed_.notify_all();
  return bytes_ < kHighWater;
}

void InputQueue::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void InputQueue::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

bool InputQueue::WaitForRoom() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || bytes_ < kLowWater; });
  return !stopped_;
}

bool InputQueue::Pop(std::vector<uint8_t>* piece) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopped_ || closed_ || !queue_.empty(); });
  if (stopped_ || queue_.empty()) return false;
  if (spare_.size() < 16 && piece->capacity() > 0) spare_.push_back(std::move(*piece));
  *piece = std::move(queue_.front());
  queue_.pop_front();
  bytes_ -= piece->size();
  changed_.notify_all();
  return true;
}

SlabRing::SlabRing() {
  for (Slab& slab : slabs_) slab.data.reset(new uint8_t[kSlabBytes]);
}

uint64_t SlabRing::Slowest() const { return *std::min_element(done_, done_ + kReaders); }

uint8_t* SlabRing::Acquire() {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return stopped_ || head_ - Slowest() < kSlabs; });
  return stopped_ ? nullptr : slabs_[head_ % kSlabs].data.get();
}

void SlabRing::Publish(size_t size) {
  std::lock_guard lock(mutex_);
  slabs_[head_ % kSlabs].size = size;
  head_++;
  filled_.notify_all();
}

void SlabRing::Close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  filled_.notify_all();
}

void SlabRing::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  filled_.notify_all();
  freed_.notify_all();
}

bool SlabRing::stopped() {
  std::lock_guard lock(mutex_);
  return stopped_;
}

bool SlabRing::Next(size_t reader, Bytes* slab) {
  std::unique_lock lock(mutex_);
  if (done_[reader] != taken_[reader]) {
    done_[reader] = taken_[reader];
    freed_.notify_all();
  }
  filled_.wait(lock, [this, reader] { return stopped_ || closed_ || head_ > taken_[reader]; });
  if (stopped_ || head_ == taken_[reader]) return false;
  const Slab& next = slabs_[taken_[reader] % kSlabs];
  taken_[reader]++;
  *slab = Bytes{next.data.get(), next.size};
  return true;
}

}  // namespace berth
