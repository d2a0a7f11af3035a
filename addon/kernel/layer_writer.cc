#include "layer_writer.h"

#include <limits.h>

#include "rootfd.h"
#include "untar_names.h"

namespace berth {

Result LayerWriter::Write(const TarEntry& entry) {
  if (entry.path.empty()) return Result::failure("tar: entry has no name", EBADMSG);
  Place place;
  if (!CleanPath(entry.path, &place.path))
    return Result::failure("tar: entry path escapes the layer", EBADMSG, entry.path.c_str());
  SplitPath(place.path, &place.parent, &place.name);
  if (place.name.size() > NAME_MAX)
    return Result::failure("tar: name is too long", ENAMETOOLONG, entry.path.c_str());
  if (place.path.empty()) {
    if (entry.type == TarType::kDirectory) return MakeRoot(entry);
    return Result::failure("tar: entry replaces the layer's root", EBADMSG, entry.path.c_str());
  }
  if (IsAufsMeta(place.path)) return Result::success();
  Result result = OpenParent(entry, place);
  if (!result.ok()) return result;
  if (place.name == kOpaque) return MakeOpaque(place);
  if (place.name.starts_with(kWhiteout)) {
    std::string name = place.name.substr(sizeof kWhiteout - 1);
    if (name.empty() || name == "." || name == "..")
      return Result::failure("tar: whiteout of no name", EBADMSG, place.path.c_str());
    return MakeWhiteout(place, name);
  }
  switch (entry.type) {
    case TarType::kFile:
      return MakeFile(entry, place);
    case TarType::kHardLink:
      return WriteHardLink(entry, place);
    case TarType::kSymlink:
      if (entry.link.empty()) return Result::failure("tar: link to nothing", EBADMSG, place.path.c_str());
      return MakeSymlink(entry, place);
    case TarType::kDirectory:
      return MakeDirectory(entry, place);
    case TarType::kCharDevice:
    case TarType::kBlockDevice:
    case TarType::kFifo:
      return MakeNode(entry, place);
  }
  return Result::failure("tar: unknown type of entry", EBADMSG, entry.path.c_str());
}

Result LayerWriter::WriteHardLink(const TarEntry& entry, const Place& place) {
  Place target;
  if (!CleanPath(entry.link, &target.path) || target.path.empty())
    return Result::failure("tar: hard link target escapes the layer", EBADMSG, place.path.c_str());
  SplitPath(target.path, &target.parent, &target.name);
  return MakeHardLink(entry, place, target);
}

Result LayerWriter::MissingTarget(const Place& place, int error) {
  bool missing = error == ENOENT || error == ENOTDIR || error == ELOOP;
  return Result::failure(
      missing ? "tar: hard link to a file that is not in this layer" : "open hard link target", error,
      place.path.c_str());
}

Result LayerWriter::DirectoryTarget(const Place& place) {
  return Result::failure("tar: hard link to a directory", EBADMSG, place.path.c_str());
}

}  // namespace berth
