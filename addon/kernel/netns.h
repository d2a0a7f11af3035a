// Network namespaces without a process: made on a thread of their own and pinned by a bind mount.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "result.h"

namespace berth {

/// Lines of uid_map and gid_map; empty: no user namespace.
struct IdMaps {
  std::string uids, gids;
};

/// Moves the calling thread into a new network namespace, brings loopback up and pins the namespace at
/// `path` (absolute; parents are made with mode 0755). With `maps` it is owned by a new user namespace, which
/// lasts as long as the network namespace does. The thread must end afterwards: it cannot come back.
/// EEXIST when something is at `path` already; on any failure nothing stays there.
Result CreateNetns(const std::string& path, const IdMaps& maps);

/// Unpins what CreateNetns pinned and removes the file. A missing or unmounted file is success.
Result RemoveNetns(const std::string& path);

/// Paths directly beneath `directory` at which a network namespace is pinned. A missing directory has none.
Result ListNetns(const std::string& directory, std::vector<std::string>* paths);

/// Connects to a TCP port of the loopback, 127.0.0.1 first and ::1 when that refuses, within `timeout_ms`
/// each. In the network namespace pinned at `path`, which the calling thread enters and cannot leave: it must
/// end afterwards; with an empty path in the caller's own. `fd` is a non-blocking, close-on-exec socket that
/// is the caller's from then on.
Result DialLoopback(const std::string& path, uint16_t port, int timeout_ms, int* fd);

}  // namespace berth
