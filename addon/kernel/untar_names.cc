#include "untar_names.h"

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

}  // namespace berth
