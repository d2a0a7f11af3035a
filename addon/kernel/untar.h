// Unpacks a layer's tar beneath a directory or into an EROFS image, in the form that overlayfs reads
// (image-spec, layer.md).
#pragma once

#include <cstdint>

#include "erofs_image.h"
#include "result.h"
#include "tar.h"

namespace berth {

/// Reads the archive to its end and makes its entries beneath `root`. Nothing outside of it is touched,
/// whatever the archive says. To be called on a thread of its own: it leaves the process's umask (CLONE_FS).
///
/// - Names are cleaned; a leading "/" is dropped; ".." above the root is an error. Links on the way to an
///   entry are resolved with the root as "/".
/// - ".wh.NAME" becomes a character device 0/0, ".wh..wh..opq" trusted.overlay.opaque; other ".wh..wh." names
///   are aufs's own and skipped. A whiteout means lower layers only: an entry of the same name stays,
///   wherever it stands in the archive, and a directory then becomes opaque.
/// - What is replaced so that its data is gone is told to the recorder, if there is one (tar_record.h), as is
///   everything else that the tar holds.
/// - Extended attributes user.*, trusted.* and security.* are set, without trusted.overlay.* and
///   user.overlay.*, by which an image could forge overlay's own records. Others are dropped.
/// - Without `files` regular files are read, and made by somebody else.
Result Untar(int root, TarSource* source, TarLimits limits, TarRecorder* recorder, uint64_t* entries,
             bool files = true);

/// The same, as the contents and the index of an image that was just made; `super` tells of the index. What
/// no image can hold is EOVERFLOW.
Result UntarImage(ErofsImage* image, TarSource* source, TarLimits limits, TarRecorder* recorder,
                  uint64_t* entries, ErofsSuper* super);

}  // namespace berth
