// What a cloned process and the monitor say to each other over a SOCK_SEQPACKET pair.
//
//   process                          monitor
//   (steps …)
//   console + descriptor  ------->   keeps the pty master            only with a tty
//   paused                ------->   "prepared so far"              only plans with such a step
//                         <-------   go                              once the daemon's hooks have run
//   ready                 ------->   "prepared" to the daemon        only containers
//                         <-------   go                              at StartContainer
//   execve closes the socket ---->   end of file: it runs
//
// Between a container's process and its mounter (user namespaces), over a pair of their own: one byte when
// the process is in its namespaces, then mounts + descriptor when they are made.
//
// At any time instead: failed{step index, errno, step, path}, then the process exits.
#pragma once

#include <cstdint>

namespace berth {

enum class InitMessageKind : uint32_t {
  kConsole = 1,
  kReady = 2,
  kGo = 3,
  kFailed = 4,
  kPaused = 5,
  kMounts = 6,
};

/// Step index of a failure outside of any plan step.
constexpr uint32_t kNoStep = 0xffff;

struct InitMessage {
  InitMessageKind kind;
  uint32_t step_index;
  int32_t error;
  char step[32];
  char path[256];
};

}  // namespace berth
