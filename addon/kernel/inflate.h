// Decompression of a layer's stream, piece by piece: gzip (RFC 1952, several members), zstd (RFC 8878,
// several frames) or none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "result.h"

namespace berth {

/// What is left of a piece of input.
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

class Inflater {
 public:
  virtual ~Inflater() = default;
  /// Consumes from the front of `in` and writes at most `room` bytes to `out`. Returns with the output full
  /// or the input used up; call again with an empty `in` as long as the output came back full.
  virtual Result Inflate(Bytes* in, uint8_t* out, size_t room, size_t* produced) = 0;
  /// The input has ended: EBADMSG when it ended inside a member or frame.
  virtual Result Finish() = 0;
};

/// Bytes at the start of the stream that MakeInflater needs to see (fewer when the stream is shorter).
inline constexpr size_t kMagicBytes = 4;

/// The inflater for a stream that begins with these bytes; one that copies when they are no known magic.
/// `*plain` tells which, so that "not a tar" can be said of data that is nothing at all.
std::unique_ptr<Inflater> MakeInflater(const uint8_t* head, size_t size, bool* plain);

std::unique_ptr<Inflater> MakeCopyInflater();

/// What to say of a plain stream that begins so and turns out to be no tar: the name of its compression is in
/// it. Null when none is known. (A tar may begin with these bytes, too.)
const char* ForeignCompression(const uint8_t* head, size_t size);

std::unique_ptr<Inflater> MakeGzipInflater();
std::unique_ptr<Inflater> MakeZstdInflater();

}  // namespace berth
