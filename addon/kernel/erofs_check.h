// Whether a layer's image is what was written: what the kernel would otherwise take for granted.
#pragma once

#include <string>

#include "result.h"

namespace berth {

/// Reads header, superblock and index of the image at `path`, following no link there, and compares them with
/// their checksums. The contents of files are not read. EBADMSG when something is damaged. Success for a
/// directory, which is no image.
Result CheckLayerImage(const std::string& path);

}  // namespace berth
