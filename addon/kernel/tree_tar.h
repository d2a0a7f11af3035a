// A directory tree as a tar (POSIX.1-2001, PAX records where ustar's fields do not do), written as it is
// walked. The tree may be a hostile container's and change meanwhile: every entry is read through the
// descriptor that tells what it is, nothing is followed, and what vanishes is left out.
#pragma once

#include <string>
#include <vector>

#include "fd.h"
#include "result.h"

namespace berth {

/// Writes the overlay of `layers` (absolute directories, top first) as a tar to `out`, a pipe or file, and
/// closes it. Sockets are left out: a tar has none. A file that shrinks is filled up with zeros, one that
/// grows is cut, since its size stands before it. Fails with EPIPE when nobody reads any more. The calling
/// thread is to end afterwards: on kernels before 6.7 it enters a mount namespace of its own.
Result WriteTreeTar(const std::vector<std::string>& layers, Fd out);

}  // namespace berth
