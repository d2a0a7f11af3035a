#include "loop.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>

namespace berth {

Loop::Loop() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

void Loop::Add(int fd, uint32_t events, Watch* watch) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watch;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void Loop::Change(int fd, uint32_t events, Watch* watch) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = watch;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Loop::Remove(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void Loop::Bury(std::unique_ptr<Watch> watch) {
  dead_.push_back(watch.get());
  buried_.push_back(std::move(watch));
}

void Loop::Turn(int timeout_ms) {
  epoll_event events[32];
  int count = epoll_wait(epoll_.get(), events, 32, timeout_ms);
  for (int i = 0; i < count; i++) {
    Watch* watch = static_cast<Watch*>(events[i].data.ptr);
    if (std::find(dead_.begin(), dead_.end(), watch) == dead_.end()) watch->OnReady(events[i].events);
  }
  dead_.clear();
  buried_.clear();
}

namespace {
uint64_t Nanoseconds(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}
}  // namespace

uint64_t NowMicros() { return Nanoseconds(CLOCK_REALTIME) / 1000; }
uint64_t MonotonicMs() { return Nanoseconds(CLOCK_MONOTONIC) / 1000000; }

}  // namespace berth
