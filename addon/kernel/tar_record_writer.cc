#include <fcntl.h>
#include <isa-l/crc.h>
#include <unistd.h>
#include <zstd.h>

#include "tar_record_header.h"

namespace berth {

namespace {

constexpr size_t kLiteralBytes = 64 << 10;  // a longer literal is cut into several frames
constexpr size_t kFrameBytes = 128 << 10;   // compressed at once
constexpr size_t kOutBytes = 128 << 10;
// Headers resemble each other within a few entries: a small window costs little memory and nothing in size.
constexpr int kLevel = 1, kWindowLog = 18;

}  // namespace

RecordWriter::RecordWriter() = default;

RecordWriter::~RecordWriter() { ZSTD_freeCCtx(stream_); }

Result RecordWriter::Open(const std::string& path) {
  path_ = path;
  fd_.reset(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd_.valid()) return Result::last("create layer record", path.c_str());
  if (lseek(fd_.get(), kRecordHeaderBytes, SEEK_SET) < 0)
    return Result::last("write layer record", path.c_str());
  stream_ = ZSTD_createCCtx();
  if (stream_ == nullptr) return Result::failure("create layer record", ENOMEM, path.c_str());
  ZSTD_CCtx_setParameter(stream_, ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(stream_, ZSTD_c_windowLog, kWindowLog);
  ZSTD_CCtx_setParameter(stream_, ZSTD_c_checksumFlag, 1);
  out_.reset(new uint8_t[kOutBytes]);
  literal_.reserve(kLiteralBytes);
  frames_.reserve(kFrameBytes + kLiteralBytes + 32);
  return Result::success();
}

void RecordWriter::Literal(Bytes bytes) {
  if (bytes.size == 0) return;
  EndContent();
  while (bytes.size > 0) {
    size_t part = kLiteralBytes - literal_.size();
    if (part > bytes.size) part = bytes.size;
    literal_.append(reinterpret_cast<const char*>(bytes.data), part);
    bytes.data += part;
    bytes.size -= part;
    if (literal_.size() == kLiteralBytes) EndLiteral();
  }
}

void RecordWriter::Content(Bytes bytes) {
  if (bytes.size == 0) return;
  if (content_ == 0) {
    EndLiteral();
    crc_ = 0;
  }
  crc_ = crc32_gzip_refl(crc_, bytes.data, bytes.size);
  content_ += bytes.size;
}

void RecordWriter::Lost(const std::string& path) {
  if (lost_.empty()) lost_ = path;
}

void RecordWriter::EndLiteral() {
  if (literal_.empty()) return;
  PutNumber(uint64_t{literal_.size()} << 1);
  Put(literal_.data(), literal_.size());
  literal_.clear();
}

void RecordWriter::EndContent() {
  if (content_ == 0) return;
  PutNumber(content_ << 1 | 1);
  const uint8_t crc[4] = {static_cast<uint8_t>(crc_), static_cast<uint8_t>(crc_ >> 8),
                          static_cast<uint8_t>(crc_ >> 16), static_cast<uint8_t>(crc_ >> 24)};
  Put(crc, sizeof crc);
  content_ = 0;
}

void RecordWriter::PutNumber(uint64_t number) {
  uint8_t bytes[10];
  size_t size = 0;
  for (; number >= 0x80; number >>= 7) bytes[size++] = static_cast<uint8_t>(number | 0x80);
  bytes[size++] = static_cast<uint8_t>(number);
  Put(bytes, size);
}

void RecordWriter::Put(const void* data, size_t size) {
  frames_.append(static_cast<const char*>(data), size);
  if (frames_.size() >= kFrameBytes) Compress(false);
}

void RecordWriter::Compress(bool end) {
  ZSTD_inBuffer in{frames_.data(), frames_.size(), 0};
  for (size_t left = 1; result_.ok() && (in.pos < in.size || (end && left != 0));) {
    ZSTD_outBuffer out{out_.get(), kOutBytes, 0};
    left = ZSTD_compressStream2(stream_, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left)) result_ = Result::failure("compress layer record", ENOMEM, path_.c_str());
    else WriteOut(out_.get(), out.pos);
  }
  frames_.clear();
}

void RecordWriter::WriteOut(const void* data, size_t size) {
  for (const char* at = static_cast<const char*>(data); size > 0;) {
    ssize_t written = write(fd_.get(), at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      result_ = Result::last("write layer record", path_.c_str());
      return;
    }
    at += written;
    size -= static_cast<size_t>(written);
  }
}

Result RecordWriter::Finish(RecordSummary summary) {
  EndContent();
  EndLiteral();
  Compress(true);
  summary.lost = lost_;
  uint8_t header[kRecordHeaderBytes];
  EncodeRecordHeader(summary, header);
  if (result_.ok() && lseek(fd_.get(), 0, SEEK_SET) < 0)
    result_ = Result::last("write layer record", path_.c_str());
  if (result_.ok()) WriteOut(header, sizeof header);
  return result_;
}

Result RecordWriter::Sync() {
  return fdatasync(fd_.get()) == 0 ? Result::success() : Result::last("sync layer record", path_.c_str());
}

}  // namespace berth
