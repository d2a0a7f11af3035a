// Arrays that grow without being copied, and whose memory goes back to the system with them.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

namespace berth {

/// A growing array of plain values in pages of its own. What is added is zero. Memory that is reserved and
/// not used yet costs nothing.
template <typename T>
class MappedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);

  MappedArray() = default;
  ~MappedArray() { Clear(); }
  MappedArray(MappedArray&& other) noexcept { swap(other); }
  MappedArray& operator=(MappedArray&& other) noexcept {
    swap(other);
    return *this;
  }
  MappedArray(const MappedArray&) = delete;
  MappedArray& operator=(const MappedArray&) = delete;

  /// Appends `count` values, which move when others are appended: null when there is no memory for them.
  T* Add(size_t count = 1) {
    if (count > capacity_ - size_ && !Grow(size_ + count)) return nullptr;
    T* added = data_ + size_;
    size_ += count;
    return added;
  }
  void Clear() {
    if (data_ != nullptr) munmap(data_, capacity_ * sizeof(T));
    data_ = nullptr;
    size_ = capacity_ = 0;
  }
  T& operator[](size_t at) { return data_[at]; }
  const T& operator[](size_t at) const { return data_[at]; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  size_t bytes() const { return size_ * sizeof(T); }

 private:
  static constexpr size_t kFirstBytes = 256 << 10;

  void swap(MappedArray& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  bool Grow(size_t wanted) {
    size_t bytes = capacity_ == 0 ? kFirstBytes : capacity_ * sizeof(T);
    while (bytes < wanted * sizeof(T)) bytes *= 2;
    bytes -= bytes % sizeof(T);
    void* grown = data_ == nullptr ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                          -1, 0)
                                   : mremap(data_, capacity_ * sizeof(T), bytes, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED) return false;
    data_ = static_cast<T*>(grown);
    capacity_ = bytes / sizeof(T);
    return true;
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace berth
