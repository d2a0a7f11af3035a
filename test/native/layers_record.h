// Tar records, sound and forged, over layers that change under them.
#pragma once

#include <string>

#include "layers_seeds.h"

namespace berth::fuzz {

/// Aborts when `condition` does not hold.
void Require(bool condition, const char* what);

/// Unpacks the archive with a record, if it can be unpacked, and reads both back in every way; then with the
/// record forged and the directory changed. `scratch` is an existing directory; files beside it begin with
/// its name. Needs root. True when it was unpacked.
bool CheckRecords(const std::string& archive, const std::string& scratch, Random* random);

}  // namespace berth::fuzz
