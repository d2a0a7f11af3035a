#include "layers_forms.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <thread>

#include "../../addon/kernel/erofs_mount.h"
#include "../../addon/kernel/tree.h"
#include "../../addon/kernel/untar.h"
#include "layers_record.h"

namespace berth::fuzz {

namespace {

constexpr TarLimits kLimits{1 << 20, 500};
constexpr char kDiffId[] = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Remembers what was lost.
class Losses : public TarRecorder {
 public:
  void Literal(Bytes) override {}
  void Content(Bytes) override {}
  void Lost(const std::string& path) override { paths_ += path + "\n"; }
  const Result& result() const override { return result_; }
  const std::string& paths() const { return paths_; }

 private:
  std::string paths_;
  Result result_;
};

struct Unpacked {
  Result result;
  uint64_t entries = 0;
  std::string lost;
};

Unpacked UnpackDirectory(const std::string& archive, const std::string& path, Random* random) {
  Unpacked unpacked;
  Require(mkdir(path.c_str(), 0755) == 0, "cannot make the layer's directory");
  std::thread([&] {
    Fd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    SplitSource source(archive, random);
    Losses losses;
    unpacked.result = Untar(root.get(), &source, kLimits, &losses, &unpacked.entries);
    unpacked.lost = losses.paths();
  }).join();
  return unpacked;
}

Unpacked UnpackImage(const std::string& archive, const std::string& path, Random* random) {
  Unpacked unpacked;
  ErofsImage image;
  unpacked.result = image.Create(path);
  Require(unpacked.result.ok(), "cannot make the layer's image");
  SplitSource source(archive, random);
  Losses losses;
  ErofsSuper super{};
  unpacked.result = UntarImage(&image, &source, kLimits, &losses, &unpacked.entries, &super);
  unpacked.lost = losses.paths();
  if (unpacked.result.ok()) unpacked.result = image.Complete(super, kDiffId);
  ErofsHeader header;
  bool complete = ReadErofsHeader(image.fd(), &header).ok();
  Require(complete == unpacked.result.ok(), "an image is complete that failed, or is not and did not");
  return unpacked;
}

std::string Contents(int directory, const char* name) {
  Fd fd(openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t size; (size = read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(size));
  return text;
}

/// All that there is to know of one entry, but where it stands and what is beneath it.
std::string Describe(int directory, const char* name, const struct stat& status, bool timed) {
  char line[256];
  bool whiteout = S_ISCHR(status.st_mode) && status.st_rdev == 0;
  bool sized = !S_ISDIR(status.st_mode);
  snprintf(line, sizeof line, "mode %o owner %u:%u links %ju device %jx size %jd time %jd.%ld",
           status.st_mode, status.st_uid, whiteout ? 0 : status.st_gid,
           static_cast<uintmax_t>(status.st_nlink), static_cast<uintmax_t>(status.st_rdev),
           static_cast<intmax_t>(sized ? status.st_size : 0),
           static_cast<intmax_t>(timed && !whiteout ? status.st_mtim.tv_sec : 0),
           timed && !whiteout ? status.st_mtim.tv_nsec : 0);
  std::string text = line, path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
  char value[65536];
  if (S_ISLNK(status.st_mode)) {
    ssize_t size = readlinkat(directory, name, value, sizeof value);
    text += " target " + std::string(value, static_cast<size_t>(size < 0 ? 0 : size));
  }
  // What nobody sensible unpacks is compared by its size alone.
  if (S_ISREG(status.st_mode) && status.st_size < 4 << 20) text += " content " + Contents(directory, name);
  std::string names(65536, '\0');
  ssize_t size = llistxattr(path.c_str(), &names[0], names.size());
  std::map<std::string, std::string> attributes;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(strlen(&names[at])) + 1) {
    ssize_t length = lgetxattr(path.c_str(), &names[at], value, sizeof value);
    attributes[&names[at]] = std::string(value, static_cast<size_t>(length < 0 ? 0 : length));
  }
  for (const auto& [key, bytes] : attributes) text += " " + key + "=" + bytes;
  return text;
}

std::map<std::string, ino_t> Names(int directory) {
  std::map<std::string, ino_t> names;
  DIR* stream = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Require(stream != nullptr, "a directory cannot be read");
  while (const dirent* entry = readdir(stream)) names[entry->d_name] = entry->d_ino;
  closedir(stream);
  return names;
}

bool InRange(time_t time) { return time >= INT32_MIN && time < (int64_t{1} << 34) + INT32_MIN; }

void CompareEntry(int left, int right, const char* name, time_t start) {
  struct stat one, other;
  Require(fstatat(left, name, &one, AT_SYMLINK_NOFOLLOW) == 0, "an entry cannot be looked at");
  Require(fstatat(right, name, &other, AT_SYMLINK_NOFOLLOW) == 0, "an image lacks an entry");
  // A directory that no entry names has the time at which it was made; and ext4's end somewhere.
  bool timed = one.st_mtime < start && InRange(other.st_mtime);
  std::string before = Describe(left, name, one, timed), after = Describe(right, name, other, timed);
  if (before == after) return;
  fprintf(stderr, "\"%s\"\ndirectory: %s\nimage:     %s\n", name, before.c_str(), after.c_str());
  Require(false, "the forms of a layer differ");
}

void CompareTrees(int left, int right, time_t start) {
  CompareEntry(left, right, ".", start);
  auto names = Names(left);
  auto others = Names(right);
  Require(names.size() == others.size(), "an image has another number of entries");
  for (const auto& [name, inode] : names) {
    Require(others.count(name) == 1 && others[name] != 0, "an image lists other entries");
    if (name == "." || name == "..") continue;
    CompareEntry(left, right, name.c_str(), start);
    Fd one(openat(left, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    Fd other(openat(right, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    Require(one.valid() == other.valid(), "a directory cannot be opened");
    if (one.valid()) CompareTrees(one.get(), other.get(), start);
  }
}

void CompareResults(const Unpacked& directory, const Unpacked& image) {
  const Result &one = directory.result, &other = image.result;
  bool same = one.error == other.error && strcmp(one.step, other.step) == 0;
  same = same && strcmp(one.path, other.path) == 0;
  if (same && directory.entries == image.entries && directory.lost == image.lost) return;
  fprintf(stderr, "directory: %s %s \"%s\", %ju entries, lost %s\n", one.step, strerror(one.error), one.path,
          uintmax_t{directory.entries}, directory.lost.c_str());
  fprintf(stderr, "image:     %s %s \"%s\", %ju entries, lost %s\n", other.step, strerror(other.error),
          other.path, uintmax_t{image.entries}, image.lost.c_str());
  Require(false, "the forms of a layer end differently");
}

std::string Whole(const std::string& path) { return Contents(AT_FDCWD, path.c_str()); }

}  // namespace

bool CanMountImages(const std::string& scratch) {
  const std::string image = scratch + "/empty.image";
  Random random(1);
  Require(UnpackImage(std::string(1024, '\0'), image, &random).result.ok(), "an empty layer has no image");
  Fd mount;
  bool mounts = MountErofs(image, &mount).ok();
  unlink(image.c_str());
  return mounts;
}

bool CompareForms(const std::string& archive, const std::string& scratch, bool mounts, Random* random) {
  const std::string layer = scratch + "/layer", image = scratch + "/image", again = scratch + "/again";
  time_t start = time(nullptr) - 60;
  Unpacked directory = UnpackDirectory(archive, layer, random);
  Unpacked made = UnpackImage(archive, image, random);
  // Only images take such sparse files, or only directories.
  bool limits = strstr(directory.result.step, "too large for the file system") != nullptr ||
                made.result.error == EOVERFLOW;
  bool attributes = strstr(directory.result.step, "attributes are too large for the file system") != nullptr;
  Require(!attributes || made.result.error == EOVERFLOW, "an image takes attributes that no copy can have");
  if (!limits) CompareResults(directory, made);
  if (!limits && made.result.ok()) {
    UnpackImage(archive, again, random);
    struct stat status;
    Require(stat(image.c_str(), &status) == 0, "an image is gone");
    if (status.st_size < 16 << 20) Require(Whole(image) == Whole(again), "the same tar made another image");
    Fd root(open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), mount;
    if (mounts) Require(MountErofs(image, &mount).ok(), "an image cannot be mounted");
    if (mounts) CompareTrees(root.get(), mount.get(), start);
  }
  for (const std::string& path : {layer, image, again}) Require(RemoveTree(path).ok(), "cannot clean up");
  return !limits && made.result.ok();
}

}  // namespace berth::fuzz
