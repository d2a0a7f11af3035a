// Network namespaces without a process: made on a thread of their own and pinned by a bind mount.
#pragma once

#include <string>
#include <vector>

#include "result.h"

namespace berth {

/// Moves the calling thread into a new network namespace, brings loopback up and pins the namespace at
/// `path` (absolute; parents are made with mode 0755). The thread must end afterwards: it cannot come back.
/// EEXIST when something is at `path` already; on any failure nothing stays there.
Result CreateNetns(const std::string& path);

/// Unpins what CreateNetns pinned and removes the file. A missing or unmounted file is success.
Result RemoveNetns(const std::string& path);

/// Paths directly beneath `directory` at which a network namespace is pinned. A missing directory has none.
Result ListNetns(const std::string& directory, std::vector<std::string>* paths);

}  // namespace berth
