#include "erofs_check.h"

#include <isa-l/crc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "erofs_format.h"
#include "fd.h"

namespace berth {

namespace {

constexpr size_t kPieceBytes = 256 << 10;

/// CRC-32 of a range of the file, which must be there.
Result Checksum(int fd, uint64_t offset, uint64_t size, uint32_t* crc) {
  std::unique_ptr<uint8_t[]> piece(new uint8_t[kPieceBytes]);
  *crc = 0;
  for (uint64_t end = offset + size; offset < end;) {
    size_t want = static_cast<size_t>(std::min<uint64_t>(end - offset, kPieceBytes));
    ssize_t got = pread(fd, piece.get(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Result::last("layer image: its index cannot be read");
    if (got == 0) return Result::failure("layer image: it is shorter than it was", EBADMSG);
    *crc = crc32_gzip_refl(*crc, piece.get(), static_cast<uint64_t>(got));
    offset += static_cast<uint64_t>(got);
  }
  return Result::success();
}

Result CheckOpen(int fd) {
  ErofsHeader header;
  Result result = ReadErofsHeader(fd, &header);
  if (!result.ok()) return result;
  uint32_t crc = 0;
  result = Checksum(fd, sizeof header, kErofsDataStart - sizeof header, &crc);
  if (result.ok() && crc != header.head_crc)
    result = Result::failure("layer image: its superblock is damaged", EBADMSG);
  if (result.ok()) result = Checksum(fd, header.index_offset, header.index_size, &crc);
  if (result.ok() && crc != header.index_crc)
    result = Result::failure("layer image: its index is damaged", EBADMSG);
  return result;
}

}  // namespace

Result CheckLayerImage(const std::string& path) {
  Fd fd = OpenErofsFile(path);
  if (!fd.valid() && errno == ELOOP)
    return Result::failure("layer image: it is a link", EBADMSG, path.c_str());
  struct stat status;
  if (!fd.valid() || fstat(fd.get(), &status) != 0) return Result::last("open layer", path.c_str());
  if (S_ISDIR(status.st_mode)) return Result::success();
  Result result = CheckOpen(fd.get());
  return result.ok() ? result : Result::failure(result.step, result.error, path.c_str());
}

}  // namespace berth
