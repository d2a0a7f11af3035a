#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>

#include "tar_record_header.h"

namespace berth {

namespace {

constexpr size_t kInBytes = 64 << 10;
constexpr size_t kOutBytes = 128 << 10;
constexpr int kMaxWindowLog = 20;

}  // namespace

RecordReader::~RecordReader() { ZSTD_freeDCtx(stream_); }

Result RecordReader::Damaged() const {
  return Result::failure("layer record: it is damaged", EBADMSG, path_.c_str());
}

Result RecordReader::Open(const std::string& path, RecordSummary* summary) {
  path_ = path;
  fd_.reset(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status;
  if (!fd_.valid() || fstat(fd_.get(), &status) != 0) return Result::last("open layer record", path.c_str());
  if (!S_ISREG(status.st_mode)) return Damaged();
  uint8_t header[kRecordHeaderBytes];
  ssize_t size = read(fd_.get(), header, sizeof header);
  if (size < 0) return Result::last("read layer record", path.c_str());
  if (size != sizeof header || !DecodeRecordHeader(header, summary)) return Damaged();
  stream_ = ZSTD_createDCtx();
  if (stream_ == nullptr) return Result::failure("open layer record", ENOMEM, path.c_str());
  ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, kMaxWindowLog);
  in_.reset(new uint8_t[kInBytes]);
  out_.reset(new uint8_t[kOutBytes]);
  return Result::success();
}

/// More decompressed bytes, or ended_ when the stream is complete and the file at its end.
Result RecordReader::Refill() {
  at_ = end_ = 0;
  while (end_ == 0 && !ended_) {
    if (in_at_ == in_end_ && !flushing_) {
      ssize_t size = read(fd_.get(), in_.get(), kInBytes);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return Result::last("read layer record", path_.c_str());
      in_at_ = 0;
      in_end_ = static_cast<size_t>(size);
      ended_ = size == 0;
      if (ended_) return frame_ended_ ? Result::success() : Damaged();
      if (frame_ended_) return Damaged();  // bytes after the one frame
    }
    ZSTD_inBuffer in{in_.get(), in_end_, in_at_};
    ZSTD_outBuffer out{out_.get(), kOutBytes, 0};
    size_t left = ZSTD_decompressStream(stream_, &out, &in);
    if (ZSTD_isError(left)) return Damaged();
    in_at_ = in.pos;
    end_ = out.pos;
    flushing_ = out.pos == out.size;
    frame_ended_ = left == 0;
    if (frame_ended_) flushing_ = false;
    if (frame_ended_ && in_at_ != in_end_) return Damaged();
  }
  return Result::success();
}

Result RecordReader::GetByte(uint8_t* byte) {
  Result result = at_ == end_ ? Refill() : Result::success();
  if (result.ok() && at_ == end_) result = Damaged();
  if (result.ok()) *byte = out_[at_++];
  return result;
}

Result RecordReader::Next(RecordFrame* frame, bool* more) {
  *more = true;
  Result result = at_ == end_ ? Refill() : Result::success();
  if (!result.ok()) return result;
  if (at_ == end_) {
    *more = false;
    return result;
  }
  uint64_t number = 0;
  uint8_t byte = 0x80;
  for (int shift = 0; (byte & 0x80) != 0; shift += 7) {
    result = GetByte(&byte);
    if (!result.ok()) return result;
    if (shift == 63 && byte > 1) return Damaged();
    number |= uint64_t{byte & 0x7fu} << shift;
  }
  *frame = RecordFrame{(number & 1) != 0, number >> 1, 0};
  if (frame->size == 0) return Damaged();
  for (int i = 0; frame->content && i < 4; i++) {
    result = GetByte(&byte);
    if (!result.ok()) return result;
    frame->crc |= uint32_t{byte} << (8 * i);
  }
  return result;
}

Result RecordReader::Literal(uint64_t limit, Bytes* bytes) {
  Result result = at_ == end_ ? Refill() : Result::success();
  if (result.ok() && at_ == end_) result = Damaged();
  if (!result.ok()) return result;
  *bytes = Bytes{out_.get() + at_, static_cast<size_t>(std::min<uint64_t>(end_ - at_, limit))};
  at_ += bytes->size;
  return result;
}

}  // namespace berth
