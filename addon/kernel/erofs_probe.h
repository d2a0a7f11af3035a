// Whether this kernel can make roots of layers that are EROFS images: tried, not guessed from its version.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// What the image that is tried holds: this file of root's, with this content.
inline constexpr char kErofsProbeName[] = "probe";
inline constexpr char kErofsProbeContent[] = "berth\n";

/// Mounts `image`, and puts overlays over `directory` on it: on the detached mount, and on a copy of it with
/// mapped ids; looks the file up through each and reads it. Fails with the first step that this host cannot
/// do. Leaves nothing.
Result ProbeErofs(const std::string& image, const std::string& directory);

}  // namespace berth
