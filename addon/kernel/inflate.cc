#include "inflate.h"

#include <algorithm>

namespace berth {

namespace {

class CopyInflater : public Inflater {
 public:
  Result Inflate(Bytes* in, uint8_t* out, size_t room, size_t* produced) override {
    size_t size = std::min(in->size, room);
    if (size > 0) memcpy(out, in->data, size);
    in->data += size;
    in->size -= size;
    *produced = size;
    return Result::success();
  }
  Result Finish() override { return Result::success(); }
};

bool StartsWith(const uint8_t* head, size_t size, const char* magic, size_t length) {
  return size >= length && memcmp(head, magic, length) == 0;
}

}  // namespace

std::unique_ptr<Inflater> MakeCopyInflater() { return std::make_unique<CopyInflater>(); }

const char* ForeignCompression(const uint8_t* head, size_t size) {
  if (StartsWith(head, size, "BZh", 3)) return "layer: compressed with bzip2; layers use gzip or zstd";
  if (StartsWith(head, size, "\xfd\x37\x7a\x58", 4))
    return "layer: compressed with xz; layers use gzip or zstd";
  if (StartsWith(head, size, "\x04\x22\x4d\x18", 4))
    return "layer: compressed with lz4; layers use gzip or zstd";
  return nullptr;
}

std::unique_ptr<Inflater> MakeInflater(const uint8_t* head, size_t size, bool* plain) {
  *plain = false;
  if (size >= 2 && head[0] == 0x1f && head[1] == 0x8b) return MakeGzipInflater();
  if (size >= 4) {
    uint32_t magic = head[0] | head[1] << 8 | head[2] << 16 | static_cast<uint32_t>(head[3]) << 24;
    // RFC 8878: a frame, or a skippable frame 0x184D2A50 to 0x184D2A5F.
    if (magic == 0xfd2fb528 || (magic & 0xfffffff0) == 0x184d2a50) return MakeZstdInflater();
  }
  *plain = true;
  return MakeCopyInflater();
}

}  // namespace berth
