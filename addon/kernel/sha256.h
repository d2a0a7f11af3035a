// SHA-256 as digests of the image-spec. nettle picks SHA-NI at run time and has no symbol in common with
// the OpenSSL that node exports.
#pragma once

#include <nettle/sha2.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace berth {

class Sha256 {
 public:
  Sha256() { nettle_sha256_init(&context_); }
  void Update(const uint8_t* data, size_t size) { nettle_sha256_update(&context_, size, data); }
  /// "sha256:" and 64 hexadecimal digits; the object is spent afterwards.
  std::string Digest();

 private:
  sha256_ctx context_;
};

}  // namespace berth
