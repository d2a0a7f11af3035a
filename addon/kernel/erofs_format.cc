#include "erofs_format.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <sys/stat.h>
#include <unistd.h>

namespace berth {

namespace {

uint32_t HeaderCrc(const ErofsHeader& header) {
  return crc32_gzip_refl(0, reinterpret_cast<const uint8_t*>(&header), offsetof(ErofsHeader, header_crc));
}

}  // namespace

void SealErofsHead(ErofsHeader header, uint8_t* head) {
  memcpy(header.magic, kErofsHeaderMagic, sizeof header.magic);
  header.version = kErofsHeaderVersion;
  header.head_crc = crc32_gzip_refl(0, head + sizeof header, kErofsDataStart - sizeof header);
  header.header_crc = HeaderCrc(header);
  memcpy(head, &header, sizeof header);
}

Fd OpenErofsFile(const std::string& path) {
  // Nonblocking: a FIFO in its place would keep the caller waiting.
  return Fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

Result ReadErofsHeader(int fd, ErofsHeader* header) {
  struct stat status;
  if (fstat(fd, &status) != 0) return Result::last("layer image: fstat");
  if (!S_ISREG(status.st_mode)) return Result::failure("layer image: it is no regular file", EBADMSG);
  ssize_t size = 0;
  do {
    size = pread(fd, header, sizeof *header, 0);
  } while (size < 0 && errno == EINTR);
  if (size < 0) return Result::last("layer image: read the header");
  if (size != sizeof *header || memcmp(header->magic, kErofsHeaderMagic, sizeof header->magic) != 0)
    return Result::failure("layer image: it was not written to its end", EBADMSG);
  if (header->header_crc != HeaderCrc(*header))
    return Result::failure("layer image: its header is damaged", EBADMSG);
  if (header->version != kErofsHeaderVersion)
    return Result::failure("layer image: a version of berth that this one does not know wrote it", EBADMSG);
  if (header->file_size != static_cast<uint64_t>(status.st_size) || header->index_offset < kErofsDataStart ||
      header->index_offset > header->file_size ||
      header->index_size != header->file_size - header->index_offset)
    return Result::failure("layer image: it has another size than its header says", EBADMSG);
  return Result::success();
}

}  // namespace berth
