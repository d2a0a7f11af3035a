// Names and attributes of layers that mean something (image-spec, layer.md, Whiteouts; overlayfs).
#pragma once

#include <string>

namespace berth {

inline constexpr char kWhiteout[] = ".wh.";
inline constexpr char kWhiteoutMeta[] = ".wh..wh.";
inline constexpr char kOpaque[] = ".wh..wh..opq";

/// Whether a component of the clean path is one of aufs's own names: such entries are not unpacked.
bool IsAufsMeta(const std::string& path);

/// Everything that an image may say of itself, nothing that overlayfs would believe (untar.h).
bool XattrAllowed(const std::string& name);

}  // namespace berth
