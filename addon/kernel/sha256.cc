#include "sha256.h"

namespace berth {

std::string Sha256::Digest() {
  static const char kHex[] = "0123456789abcdef";
  uint8_t raw[SHA256_DIGEST_SIZE];
  nettle_sha256_digest(&context_, sizeof raw, raw);
  std::string text = "sha256:";
  for (uint8_t byte : raw) {
    text.push_back(kHex[byte >> 4]);
    text.push_back(kHex[byte & 15]);
  }
  return text;
}

}  // namespace berth
