// The floor of a pull: inflates, hashes and writes the files of gzip layers on all cores, and nothing else.
// No network, no checks, no limits, no database; names are trusted. Prints nothing unless it fails.
//
//   pull-floor DIRECTORY BLOB...

#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <nettle/sha2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kStep = 1 << 20;

[[noreturn]] void Die(const char* what) {
  perror(what);
  exit(1);
}

/// A tar that grows in memory and is read behind by others.
class Growing {
 public:
  explicit Growing(size_t room)
      : data_(static_cast<uint8_t*>(mmap(nullptr, room, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {}
  uint8_t* data() const { return data_; }
  void Grow(size_t size, bool ended) {
    std::lock_guard lock(mutex_);
    size_ = size;
    ended_ = ended;
    changed_.notify_all();
  }
  /// What there is, once it is at least `size` or the end.
  size_t Wait(size_t size) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return size_ >= size || ended_; });
    return size_;
  }

 private:
  uint8_t* const data_;
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t size_ = 0;
  bool ended_ = false;
};

void Inflate(const uint8_t* blob, size_t size, Growing* tar) {
  auto state = std::make_unique<inflate_state>();
  isal_inflate_init(state.get());
  state->crc_flag = ISAL_GZIP;
  state->next_in = const_cast<uint8_t*>(blob);
  state->avail_in = static_cast<uint32_t>(size);
  size_t made = 0;
  while (state->block_state != ISAL_BLOCK_FINISH) {
    state->next_out = tar->data() + made;
    state->avail_out = kStep;
    if (isal_inflate(state.get()) != 0) Die("isal_inflate");
    made += kStep - state->avail_out;
    tar->Grow(made, false);
  }
  tar->Grow(made, true);
}

void Hash(const uint8_t* data, size_t size) {
  sha256_ctx hash;
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_init(&hash);
  sha256_update(&hash, size, data);
  sha256_digest(&hash, sizeof digest, digest);
}

void HashGrowing(Growing* tar) {
  sha256_ctx hash;
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_init(&hash);
  for (size_t at = 0;;) {
    size_t size = tar->Wait(at + 1);
    if (size == at) break;
    sha256_update(&hash, size - at, tar->data() + at);
    at = size;
  }
  sha256_digest(&hash, sizeof digest, digest);
}

uint64_t Octal(const uint8_t* field, size_t size) {
  return strtoull(std::string(reinterpret_cast<const char*>(field), size).c_str(), nullptr, 8);
}

void WriteEntry(int root, const uint8_t* header, const std::string& path, const std::string& link,
                size_t size, Growing* tar, size_t at) {
  mode_t mode = static_cast<mode_t>(Octal(header + 100, 8));
  timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(Octal(header + 136, 12)), 0}};
  if (header[156] == '5') {
    if (mkdirat(root, path.c_str(), mode) != 0 && errno != EEXIST) Die(path.c_str());
  } else if (header[156] == '2') {
    if (symlinkat(link.c_str(), root, path.c_str()) != 0) Die(path.c_str());
    utimensat(root, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  } else if (header[156] == '1') {
    if (linkat(root, link.c_str(), root, path.c_str(), 0) != 0) Die(path.c_str());
  } else {
    int fd = openat(root, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode & 0777);
    if (fd < 0) Die(path.c_str());
    for (size_t done = 0; done < size;) {
      size_t part = std::min(size - done, kStep);
      tar->Wait(at + done + part);
      if (write(fd, tar->data() + at + done, part) != static_cast<ssize_t>(part)) Die("write");
      done += part;
    }
    if ((mode & 07000) != 0) fchmod(fd, mode);
    futimens(fd, times);
    close(fd);
  }
}

void Write(const std::string& directory, Growing* tar) {
  if (mkdir(directory.c_str(), 0755) != 0) Die(directory.c_str());
  int root = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::string long_path, long_link;
  for (size_t at = 0;;) {
    if (tar->Wait(at + kBlock) < at + kBlock) break;
    const uint8_t* header = tar->data() + at;
    if (header[0] == 0) break;
    const char* text = reinterpret_cast<const char*>(header);
    size_t size = Octal(header + 124, 12);
    at += kBlock;
    if (header[156] == 'L' || header[156] == 'K') {
      tar->Wait(at + size);
      (header[156] == 'L' ? long_path : long_link) = reinterpret_cast<const char*>(tar->data() + at);
    } else {
      std::string path = long_path.empty() ? std::string(text, strnlen(text, 100)) : long_path;
      std::string link = long_link.empty() ? std::string(text + 157, strnlen(text + 157, 100)) : long_link;
      WriteEntry(root, header, path, link, size, tar, at);
      long_path.clear();
      long_link.clear();
    }
    at += (size + kBlock - 1) / kBlock * kBlock;
  }
  close(root);
}

}  // namespace

int main(int argc, char** argv) {
  umask(0);
  std::vector<std::thread> threads;
  std::vector<std::unique_ptr<Growing>> tars;
  for (int i = 2; i < argc; i++) {
    int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) Die(argv[i]);
    size_t size = static_cast<size_t>(status.st_size);
    void* mapped = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapped == MAP_FAILED) Die("mmap");
    const uint8_t* blob = static_cast<const uint8_t*>(mapped);
    Growing* tar = tars.emplace_back(std::make_unique<Growing>(size_t{8} << 30)).get();
    threads.emplace_back(Inflate, blob, size, tar);
    threads.emplace_back(Hash, blob, size);
    threads.emplace_back(HashGrowing, tar);
    threads.emplace_back(Write, std::string(argv[1]) + "/" + std::to_string(i), tar);
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}
