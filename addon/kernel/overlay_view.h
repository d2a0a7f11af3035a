// Reading one file of an image without unpacking or running anything: the overlay of its layers, seen
// for a moment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace berth {

/// Reads the regular file `path` of the overlay made of `layers` (absolute directories, top first), every
/// link resolved with the overlay's root as "/". `*found` is false when there is no such file. Fails with
/// EFBIG above `max_bytes`, with EINVAL when it is not a regular file. The calling thread is to end
/// afterwards: on kernels before 6.7 it enters a mount namespace of its own.
Result ReadBeneath(const std::vector<std::string>& layers, const std::string& path, uint64_t max_bytes,
                   bool* found, std::string* content);

/// A read-only view of the overlay of `layers`, as an O_PATH descriptor of its root; it is attached
/// nowhere. The calling thread is to end afterwards, as above.
Result OpenOverlayView(const std::vector<std::string>& layers, Fd* root);

}  // namespace berth
