#include <zstd.h>
#include <zstd_errors.h>

#include "inflate.h"

namespace berth {

namespace {

class ZstdInflater : public Inflater {
 public:
  ZstdInflater() : stream_(ZSTD_createDStream()) {}
  ~ZstdInflater() override { ZSTD_freeDStream(stream_); }
  ZstdInflater(const ZstdInflater&) = delete;
  ZstdInflater& operator=(const ZstdInflater&) = delete;

  /// Windows above 128 MiB (libzstd's own default limit) are refused by it.
  Result Inflate(Bytes* in, uint8_t* out, size_t room, size_t* produced) override {
    *produced = 0;
    if (stream_ == nullptr) return Result::failure("zstd: create stream", ENOMEM);
    ZSTD_outBuffer output{out, room, 0};
    ZSTD_inBuffer input{in->data, in->size, 0};
    bool flushing = in->size == 0 && in_frame_;
    while (output.pos < output.size && (input.pos < input.size || flushing)) {
      flushing = false;
      if (!in_frame_ && Padding(&input)) break;
      size_t before = input.pos + output.pos;
      size_t hint = ZSTD_decompressStream(stream_, &output, &input);
      if (ZSTD_isError(hint)) return Damaged(hint);
      in_frame_ = hint != 0;
      if (input.pos + output.pos == before && input.pos < input.size) return Damaged(0);
    }
    in->data += input.pos;
    in->size -= input.pos;
    *produced = output.pos;
    if (padding_ && in->size > 0)
      return Result::failure("zstd: garbage after the end of the stream", EBADMSG);
    return Result::success();
  }

  Result Finish() override {
    return in_frame_ ? Result::failure("zstd: stream is truncated", EBADMSG) : Result::success();
  }

 private:
  /// Skips zero bytes after the last frame; true when the input is padding from here on.
  bool Padding(ZSTD_inBuffer* input) {
    const uint8_t* data = static_cast<const uint8_t*>(input->src);
    if (!padding_ && (!begun_ || data[input->pos] != 0)) {
      begun_ = true;
      return false;
    }
    padding_ = true;
    while (input->pos < input->size && data[input->pos] == 0) input->pos++;
    return true;
  }

  static Result Damaged(size_t code) {
    unsigned kind = ZSTD_isError(code) ? ZSTD_getErrorCode(code) : 0;
    if (kind == ZSTD_error_frameParameter_windowTooLarge)
      return Result::failure("zstd: window is larger than 128 MiB", EFBIG);
    if (kind == ZSTD_error_memory_allocation) return Result::failure("zstd: decompress", ENOMEM);
    if (kind == ZSTD_error_checksum_wrong) return Result::failure("zstd: checksum does not match", EBADMSG);
    return Result::failure("zstd: compressed data is damaged", EBADMSG);
  }

  ZSTD_DStream* stream_;
  bool in_frame_ = false;
  bool begun_ = false;
  bool padding_ = false;
};

}  // namespace

std::unique_ptr<Inflater> MakeZstdInflater() { return std::make_unique<ZstdInflater>(); }

}  // namespace berth
