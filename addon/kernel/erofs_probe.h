// Whether this kernel can make roots of layers that are EROFS images: tried, not guessed from its version.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// What is tried holds (src/kernel/probe-erofs.ts): "image", with this file of root's, its content, its
/// attribute "y" and its permitted capability, and an opaque directory over the one in "lower" whose
/// file this is; "bare/top" and "bare/bottom" are empty directories.
inline constexpr char kErofsProbeName[] = "probe";
inline constexpr char kErofsProbeContent[] = "berth\n";
inline constexpr char kErofsProbeAttribute[] = "user.probe";
inline constexpr int kErofsProbeCapability = 10;  // CAP_NET_BIND_SERVICE
inline constexpr char kErofsProbeHidden[] = "opaque/hidden";

/// Mounts the image in `directory`, and puts overlays on it: on the detached mount, one more on that overlay,
/// and one on a copy with mapped ids; looks through each at what the image holds. Fails with the first step
/// that this host cannot do. Leaves nothing.
Result ProbeErofs(const std::string& directory);

}  // namespace berth
