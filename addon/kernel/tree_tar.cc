#include "tree_tar.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "overlay_view.h"
#include "tar.h"
#include "tar_write.h"
#include "tree_walk.h"

namespace berth {

namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr size_t kXattrBytes = 64 << 10;  // XATTR_SIZE_MAX
constexpr char kZeros[kTarBlock] = {};

class TreeTar : public TreeVisitor {
 public:
  explicit TreeTar(int out) : out_(out), buffer_(kBufferBytes, '\0') {}

  Result Visit(int directory, const char* name, unsigned char, bool* descend) override {
    Fd entry(openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!entry.valid()) return errno == ENOENT ? Result::success() : Result::last("open entry", name);
    std::string path = prefix_ + name;
    struct stat status;
    Result result = Entry(entry.get(), path, &status);
    *descend = result.ok() && S_ISDIR(status.st_mode);
    if (*descend) prefix_ = path + "/";
    return result;
  }

  Result Leave(int, const char* name) override {
    prefix_.resize(prefix_.size() - strlen(name) - 1);
    return Result::success();
  }

  /// It was a directory a moment ago: whatever it is now is not looked at.
  Result Blocked(const char* name, int error) override {
    prefix_.resize(prefix_.size() - strlen(name) - 1);
    bool fine = error == ENOENT || error == EXDEV || error == ENOTDIR || error == ELOOP;
    return fine ? Result::success() : Result::failure("open directory", error, name);
  }

  /// `entry` is an O_PATH descriptor.
  Result Entry(int entry, const std::string& path, struct stat* status) {
    if (fstat(entry, status) != 0) return Result::last("fstat", path.c_str());
    TarHeader header;
    header.name = S_ISDIR(status->st_mode) ? path + "/" : path;
    header.mode = status->st_mode;
    header.uid = status->st_uid;
    header.gid = status->st_gid;
    header.mtime = status->st_mtim.tv_sec;
    if (!S_ISDIR(status->st_mode) && status->st_nlink > 1) {
      auto [first, added] = links_.insert({{status->st_dev, status->st_ino}, path});
      if (!added) {
        header.type = '1';
        header.link = first->second;
        return Write(header, *status, "");
      }
    }
    switch (status->st_mode & S_IFMT) {
      case S_IFREG:
        return File(entry, header, *status);
      case S_IFDIR:
        header.type = '5';
        break;
      case S_IFLNK: {
        std::string target(PATH_MAX, '\0');
        ssize_t length = readlinkat(entry, "", target.data(), target.size());
        if (length < 0) return Result::last("readlink", path.c_str());
        header.link = target.substr(0, static_cast<size_t>(length));
        header.type = '2';
        break;
      }
      case S_IFCHR:
      case S_IFBLK:
        header.type = S_ISCHR(status->st_mode) ? '3' : '4';
        header.major = major(status->st_rdev);
        header.minor = minor(status->st_rdev);
        break;
      case S_IFIFO:
        header.type = '6';
        break;
      default:
        return Result::success();
    }
    return Write(header, *status, Xattrs(entry, status->st_mode));
  }

  Result Finish() {
    Result result = Put(kZeros, sizeof kZeros);
    return result.ok() ? Put(kZeros, sizeof kZeros) : result;
  }

 private:
  static std::string Self(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

  Result File(int entry, TarHeader header, const struct stat& status) {
    header.size = static_cast<uint64_t>(status.st_size);
    // O_PATH has told that it is a regular file: nothing else is ever opened.
    Fd reader(open(Self(entry).c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
    if (!reader.valid()) return Result::last("open file", header.name.c_str());
    std::string records = Xattrs(entry, status.st_mode);
    std::vector<SparseRun> runs;
    if (HasHoles(reader.get(), header.size, &runs))
      return SparseFile(reader.get(), header, status, records, runs);
    Result result = Write(header, status, std::move(records));
    if (result.ok()) result = Copy(reader.get(), header.name, {0, header.size});
    return result.ok() ? Pad(header.size) : result;
  }

  /// So many bytes of holes are worth a form that not every reader knows: some files are nothing else. A
  /// file's blocks do not tell: EROFS counts holes among them.
  static bool HasHoles(int fd, uint64_t size, std::vector<SparseRun>* runs) {
    constexpr uint64_t kWorth = 1 << 20;
    if (size < kWorth || !DataRuns(fd, size, runs)) return false;
    uint64_t data = 0;
    for (const SparseRun& run : *runs) data += run.size;
    return size - data >= kWorth;
  }

  /// False when the file system does not tell, or there are more than a reader takes.
  static bool DataRuns(int fd, uint64_t size, std::vector<SparseRun>* runs) {
    for (uint64_t at = 0; at < size;) {
      off_t begin = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
      if (begin < 0 && errno != ENXIO) return false;
      uint64_t first = begin < 0 ? size : static_cast<uint64_t>(begin);
      if (first >= size) {
        // Readers take the end of the last run for that of the file.
        runs->push_back({size, 0});
        return true;
      }
      off_t end = lseek(fd, begin, SEEK_HOLE);
      if (end < 0 || runs->size() + 1 == kMaxSparseRuns) return false;
      at = std::min(size, static_cast<uint64_t>(end));
      runs->push_back({first, at - first});
    }
    return true;
  }

  /// GNU's format 1.0 (GNU tar manual, "Storing Sparse Files"): a map before the data.
  Result SparseFile(int fd, TarHeader header, const struct stat& status, std::string records,
                    const std::vector<SparseRun>& runs) {
    std::string map = std::to_string(runs.size()) + "\n";
    uint64_t data = 0;
    for (const SparseRun& run : runs) {
      map += std::to_string(run.offset) + "\n" + std::to_string(run.size) + "\n";
      data += run.size;
    }
    map += TarPadding(map.size());
    records += PaxRecord("GNU.sparse.major", "1") + PaxRecord("GNU.sparse.minor", "0") +
               PaxRecord("GNU.sparse.name", header.name) +
               PaxRecord("GNU.sparse.realsize", std::to_string(header.size));
    std::string name = header.name;
    size_t slash = header.name.rfind('/');
    header.name.insert(slash == std::string::npos ? 0 : slash + 1, "GNUSparseFile.0/");
    header.size = map.size() + data;
    Result result = Write(header, status, std::move(records));
    if (result.ok()) result = Put(map.data(), map.size());
    for (const SparseRun& run : runs) {
      if (result.ok()) result = Copy(fd, name, run);
    }
    return result.ok() ? Pad(data) : result;
  }

  /// What the file has lost meanwhile is zeros: its size has been told.
  Result Copy(int fd, const std::string& name, SparseRun run) {
    Result result;
    while (result.ok() && run.size > 0) {
      size_t want = run.size < buffer_.size() ? static_cast<size_t>(run.size) : buffer_.size();
      ssize_t size = pread(fd, buffer_.data(), want, static_cast<off_t>(run.offset));
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Result::last("read file", name.c_str());
      if (size == 0) memset(buffer_.data(), 0, want);
      size_t got = size == 0 ? want : static_cast<size_t>(size);
      result = Put(buffer_.data(), got);
      run.offset += got;
      run.size -= got;
    }
    return result;
  }

  /// Records of what a container may set itself, and of file capabilities. The overlay's own stay inside.
  std::string Xattrs(int entry, mode_t mode) {
    if (S_ISLNK(mode)) return "";
    std::string self = Self(entry);
    std::string names(kXattrBytes, '\0'), value(kXattrBytes, '\0'), records;
    ssize_t length = listxattr(self.c_str(), names.data(), names.size());
    for (ssize_t at = 0; at < length;) {
      std::string name = names.c_str() + at;
      at += static_cast<ssize_t>(name.size()) + 1;
      if (name != "security.capability" && !name.starts_with("user.")) continue;
      ssize_t size = getxattr(self.c_str(), name.c_str(), value.data(), value.size());
      if (size < 0) continue;  // it was removed meanwhile
      records += PaxRecord("SCHILY.xattr." + name, value.substr(0, static_cast<size_t>(size)));
    }
    return records;
  }

  Result Write(const TarHeader& header, const struct stat& status, std::string records) {
    if (status.st_mtim.tv_nsec != 0 || header.mtime < 0 || header.mtime > static_cast<int64_t>(kTarOctal12))
      records += PaxRecord("mtime", Seconds(status.st_mtim));
    std::string blocks = TarHeaderBlocks(header, std::move(records));
    return Put(blocks.data(), blocks.size());
  }

  /// Decimal, also before the epoch: there the kernel's nanoseconds count upwards from a lower second.
  static std::string Seconds(const timespec& time) {
    bool negative = time.tv_sec < 0;
    int64_t whole = time.tv_sec, nanos = time.tv_nsec;
    if (negative && nanos != 0) {
      whole += 1;
      nanos = 1000000000 - nanos;
    }
    char text[48];
    snprintf(text, sizeof text, "%s%lld.%09lld", negative ? "-" : "",
             static_cast<long long>(negative ? -whole : whole), static_cast<long long>(nanos));
    return text;
  }

  Result Pad(uint64_t size) {
    std::string padding = TarPadding(size);
    return Put(padding.data(), padding.size());
  }

  Result Put(const char* data, size_t size) {
    while (size > 0) {
      ssize_t done = write(out_, data, size);
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return Result::last("write tar");
      data += done;
      size -= static_cast<size_t>(done);
    }
    return Result::success();
  }

  const int out_;
  std::string buffer_;
  std::string prefix_;  // of the entries of the directory that is being walked
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
};

}  // namespace

Result WriteTreeTar(const std::vector<std::string>& layers, Fd out) {
  Fd view;
  Result result = OpenOverlayView(layers, &view);
  if (!result.ok()) return result;
  Fd root(openat(view.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return Result::last("open tree", layers[0].c_str());
  TreeTar tar(out.get());
  struct stat status;
  result = tar.Entry(view.get(), ".", &status);
  if (result.ok()) result = TreeWalk(&tar).Run(std::move(root));
  return result.ok() ? tar.Finish() : result;
}

}  // namespace berth
