#include "untar_names.h"

#include <linux/capability.h>
#include <linux/xattr.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace berth {

bool IsAufsMeta(const std::string& path) {
  if (path.find(kWhiteoutMeta) == std::string::npos) return false;
  if (path == kOpaque || path.ends_with(std::string("/") + kOpaque)) {
    // The mark itself counts; one beneath another of aufs's directories does not.
    size_t slash = path.rfind('/');
    return slash != std::string::npos && IsAufsMeta(path.substr(0, slash));
  }
  return path.starts_with(kWhiteoutMeta) || path.find(std::string("/") + kWhiteoutMeta) != std::string::npos;
}

bool XattrAllowed(const std::string& name) {
  if (name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")) return false;
  return name.starts_with("user.") || name.starts_with("trusted.") || name.starts_with("security.");
}

namespace {

/// As the kernel looks at it (capabilities(7), File capability extended attribute versioning).
bool IsCapability(const std::string& value) {
  uint32_t magic = 0, root = 0;
  if (value.size() < sizeof magic) return false;
  memcpy(&magic, value.data(), sizeof magic);
  magic &= ~uint32_t{VFS_CAP_FLAGS_EFFECTIVE};
  if (magic == VFS_CAP_REVISION_2) return value.size() == XATTR_CAPS_SZ_2;
  if (magic != VFS_CAP_REVISION_3 || value.size() != XATTR_CAPS_SZ_3) return false;
  memcpy(&root, value.data() + XATTR_CAPS_SZ_2, sizeof root);
  return root != UINT32_MAX;
}

}  // namespace

int XattrRefusal(mode_t kind, const std::string& name, const std::string& value) {
  if (name.starts_with("user.") && !S_ISREG(kind) && !S_ISDIR(kind)) return EPERM;
  if (name.ends_with('.') && name.find('.') == name.size() - 1) return EINVAL;  // nothing behind the prefix
  bool damaged = name == "security.capability" && !value.empty() && !IsCapability(value);
  return damaged ? EINVAL : 0;
}

}  // namespace berth
