#pragma once

#include <sys/mount.h>

#include "fd.h"
#include "result.h"

namespace berth {

/// fsopen of an overlay. `too_old`: this kernel cannot take the layers one by one ("lowerdir+", since 6.7)
/// and wants them as mount(2) does. From 6.5 on it says so at the first layer. Before, overlay had no
/// options of its own in fsconfig: the kernel collects any text, also nonsense, and refuses it when it
/// mounts, with EINVAL and a line in the kernel's log. So it is asked whether it takes nonsense.
inline Result OpenOverlayContext(Fd* context, bool* too_old) {
  context->reset(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context->valid()) return Result::last("fsopen", "overlay");
  *too_old = fsconfig(context->get(), FSCONFIG_SET_FLAG, "no-such-option", nullptr, 0) == 0;
  return Result::success();
}

/// Layers that are images are file systems of their own: with this all files of the overlay have one device
/// number, and inode numbers that stay, also when a file is changed or a walk comes back to a directory.
inline Result NumberAcrossLayers(int context, const char* shown) {
  if (fsconfig(context, FSCONFIG_SET_STRING, "xino", "on", 0) == 0) return Result::success();
  return Result::last("fsconfig xino", shown);
}

}  // namespace berth
