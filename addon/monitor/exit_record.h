// The record of an exit on disk: what the daemon reads when it was away (docs/monitor-protocol.md).
#pragma once

#include <string>

#include "process.h"

namespace berth {

/// Written under a temporary name and renamed. Failure is told on stderr: the live connection still carries
/// the news.
void WriteExitRecord(const std::string& state_dir, const std::string& id, const ExitStatus& status);
void RemoveExitRecord(const std::string& state_dir, const std::string& id);

}  // namespace berth
