// Names and attributes of layers that mean something (image-spec, layer.md, Whiteouts; overlayfs).
#pragma once

#include <sys/types.h>

#include <string>

namespace berth {

inline constexpr char kWhiteout[] = ".wh.";
inline constexpr char kWhiteoutMeta[] = ".wh..wh.";
inline constexpr char kOpaque[] = ".wh..wh..opq";

/// Whether a component of the clean path is one of aufs's own names: such entries are not unpacked.
bool IsAufsMeta(const std::string& path);

/// Everything that an image may say of itself, nothing that overlayfs would believe (untar.h).
bool XattrAllowed(const std::string& name);

/// With which errno the kernel refuses to set an allowed attribute on what has this kind (S_IFMT); 0 when it
/// does not. For images, in which it has no say when they are made.
int XattrRefusal(mode_t kind, const std::string& name, const std::string& value);

}  // namespace berth
