#include "erofs_image.h"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <unistd.h>

#include <algorithm>

namespace berth {

Result ErofsImage::Create(const std::string& path) {
  path_ = path;
  fd_.reset(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_.valid()) return Result::last("create layer image", path.c_str());
  if (buffer_.Add(kBufferBytes) == nullptr)
    return Result::failure("create layer image", ENOMEM, path.c_str());
  return Result::success();
}

Result ErofsImage::WriteAt(const void* data, size_t size, uint64_t offset) {
  for (const char* at = static_cast<const char*>(data); size > 0;) {
    ssize_t written = pwrite(fd_.get(), at, size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Result::last("write layer image", path_.c_str());
    at += written;
    size -= static_cast<size_t>(written);
    offset += static_cast<uint64_t>(written);
  }
  return Result::success();
}

Result ErofsImage::Send() {
  if (base_ - sent_ < kSendBytes) return Result::success();
  off_t first = static_cast<off_t>(sent_), size = static_cast<off_t>(base_ - sent_);
  sent_ = base_;
  if (sync_file_range(fd_.get(), first, size, SYNC_FILE_RANGE_WRITE) == 0) return Result::success();
  return Result::last("write layer image", path_.c_str());
}

Result ErofsImage::Flush() {
  Result result = WriteAt(buffer_.data(), used_, base_);
  base_ += used_;
  if (result.ok()) result = Send();
  used_ = 0;
  room_ = kBufferBytes - base_ % kPage;
  return result;
}

Result ErofsImage::TooLarge(const std::string& path) {
  return Result::failure("layer image: larger than its block numbers reach", EOVERFLOW, path.c_str());
}

Result ErofsImage::Append(Bytes bytes) {
  if (bytes.size > kErofsMaxBytes - position()) return TooLarge(path_);
  if (index_offset_ != 0) index_crc_ = crc32_gzip_refl(index_crc_, bytes.data, bytes.size);
  while (bytes.size > 0) {
    size_t part = std::min(bytes.size, room_ - used_);
    memcpy(buffer_.data() + used_, bytes.data, part);
    used_ += part;
    bytes.data += part;
    bytes.size -= part;
    if (used_ < room_) continue;
    Result result = Flush();
    if (!result.ok()) return result;
  }
  return Result::success();
}

Result ErofsImage::SkipTo(uint64_t position) {
  static constexpr uint8_t kZeros[kPage] = {};
  if (position < this->position())
    return Result::failure("write layer image: position lies behind", EINVAL, path_.c_str());
  uint64_t gap = position - this->position();
  // The index has no holes: it is a part of its checksum.
  if (gap < kPage || index_offset_ != 0) {
    Result result;
    for (; result.ok() && gap > 0; gap -= std::min(gap, kPage))
      result = Append(Bytes{kZeros, static_cast<size_t>(std::min(gap, kPage))});
    return result;
  }
  if (position > kErofsMaxBytes) return TooLarge(path_);
  Result result = Flush();
  base_ = position;
  room_ = kBufferBytes - base_ % kPage;
  return result;
}

void ErofsImage::BeginIndex() { index_offset_ = position(); }

namespace {

/// A UUID of version 8 (RFC 9562) out of a digest's first 32 digits.
void SetUuid(const std::string& diff_id, uint8_t (&uuid)[16]) {
  auto digit = [&](size_t at) {
    char c = at < diff_id.size() ? diff_id[at] : '0';
    return static_cast<uint8_t>(c >= 'a' ? c - 'a' + 10 : c - '0');
  };
  size_t at = diff_id.find(':') + 1;
  for (uint8_t& byte : uuid) {
    byte = static_cast<uint8_t>(digit(at) << 4 | digit(at + 1));
    at += 2;
  }
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
}

}  // namespace

Result ErofsImage::Complete(ErofsSuper super, const std::string& diff_id) {
  Result result = Align(kPage);
  if (result.ok()) result = Flush();
  if (!result.ok()) return result;
  ErofsHeader header{};
  header.file_size = base_;
  header.index_offset = index_offset_;
  header.index_size = base_ - index_offset_;
  header.index_crc = index_crc_;
  super.magic = kErofsMagic;
  super.block_bits = kErofsBlockBits;
  super.feature_compat = kErofsCompatMtime;
  super.blocks = static_cast<uint32_t>(base_ >> kErofsBlockBits);
  SetUuid(diff_id, super.uuid);
  uint8_t head[kErofsDataStart] = {};
  memcpy(head + kErofsSuperOffset, &super, sizeof super);
  SealErofsHead(header, head);
  result = WriteAt(head, sizeof head, 0);
  if (result.ok() && fdatasync(fd_.get()) != 0) return Result::last("sync layer image", path_.c_str());
  return result;
}

}  // namespace berth
