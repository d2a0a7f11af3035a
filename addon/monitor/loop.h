// The monitor's event loop: epoll over watches, and one kind of deadline.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../kernel/fd.h"

namespace berth {

/// Something with a descriptor that the loop looks after.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void OnReady(uint32_t events) = 0;
};

class Loop {
 public:
  Loop();

  void Add(int fd, uint32_t events, Watch* watch);
  void Change(int fd, uint32_t events, Watch* watch);
  /// Before the descriptor is closed.
  void Remove(int fd);

  /// Deletes an object once the events of this turn are through: some may still name it.
  void Bury(std::unique_ptr<Watch> watch);

  /// Waits for events and hands them out; returns after `timeout_ms` (-1: none) at the latest.
  void Turn(int timeout_ms);

 private:
  Fd epoll_;
  std::vector<std::unique_ptr<Watch>> buried_;
  std::vector<const Watch*> dead_;
};

/// Microseconds since the epoch.
uint64_t NowMicros();
/// Milliseconds of the monotonic clock.
uint64_t MonotonicMs();

}  // namespace berth
