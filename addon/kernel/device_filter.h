// Which device nodes the processes of a cgroup may open: a BPF program on it (cgroup-v2, "Device
// controller").
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "result.h"

namespace berth {

/// One permission. What no rule allows is refused with EPERM.
struct DeviceRule {
  /// 'c', 'b', or 'a' for both.
  char type;
  /// -1 is any.
  int64_t major;
  int64_t minor;
  /// Bits of BPF_DEVCG_ACC_MKNOD, _READ and _WRITE (linux/bpf.h).
  uint32_t access;
};

/// Compiles the rules and attaches them to the cgroup (absolute directory beneath the cgroup2 mount), in
/// addition to what its ancestors have. Steps: "find cgroup", "bpf load device filter", "bpf attach device
/// filter".
Result AttachDeviceFilter(const std::string& cgroup, const std::vector<DeviceRule>& rules);

/// True when this kernel takes such programs from this process.
bool CanFilterDevices();

}  // namespace berth
