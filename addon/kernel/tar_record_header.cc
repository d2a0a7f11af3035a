// The record's header: fixed fields, little endian, with a checksum of its own.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sha256.h"
#include "tar_record_header.h"

namespace berth {

namespace {

constexpr char kMagic[] = "berth layer record 1\n";
constexpr size_t kMagicSize = sizeof kMagic - 1;
constexpr size_t kDigestText = 71;  // "sha256:" and 64 digits
constexpr size_t kMaxLost = 255;

void PutWord(uint8_t* at, uint64_t value) {
  for (int i = 0; i < 8; i++) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

uint64_t GetWord(const uint8_t* at) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; i--) value = value << 8 | at[i];
  return value;
}

bool IsDigest(const std::string& text) {
  return text.starts_with("sha256:") &&
         text.find_first_not_of("0123456789abcdef", 7) == std::string::npos && text.size() == kDigestText;
}

std::string HashOf(const uint8_t* block, size_t size) {
  Sha256 hash;
  hash.Update(block, size);
  return hash.Digest().substr(7, 16);
}

}  // namespace

// Offsets: magic 0, tar bytes 24, blob bytes 32, entries 40, diff ID 48, blob digest 120, size of lost 192,
// lost 193, the first 16 digits of the hash of all before at the end.
void EncodeRecordHeader(const RecordSummary& summary, uint8_t* block) {
  std::fill(block, block + kRecordHeaderBytes, uint8_t{0});
  memcpy(block, kMagic, kMagicSize);
  PutWord(block + 24, summary.tar_bytes);
  PutWord(block + 32, summary.blob_bytes);
  PutWord(block + 40, summary.entries);
  summary.diff_id.copy(reinterpret_cast<char*>(block + 48), kDigestText);
  summary.blob_digest.copy(reinterpret_cast<char*>(block + 120), kDigestText);
  size_t lost = std::min(summary.lost.size(), kMaxLost);
  block[192] = static_cast<uint8_t>(lost);
  memcpy(block + 193, summary.lost.data(), lost);
  const size_t end = kRecordHeaderBytes - 16;
  HashOf(block, end).copy(reinterpret_cast<char*>(block + end), 16);
}

bool DecodeRecordHeader(const uint8_t* block, RecordSummary* summary) {
  const char* text = reinterpret_cast<const char*>(block);
  const size_t end = kRecordHeaderBytes - 16;
  if (memcmp(block, kMagic, kMagicSize) != 0) return false;
  if (HashOf(block, end) != std::string(text + end, 16)) return false;
  summary->tar_bytes = GetWord(block + 24);
  summary->blob_bytes = GetWord(block + 32);
  summary->entries = GetWord(block + 40);
  summary->diff_id.assign(text + 48, kDigestText);
  summary->blob_digest.assign(text + 120, kDigestText);
  summary->lost.assign(text + 193, block[192]);
  return IsDigest(summary->diff_id) && IsDigest(summary->blob_digest);
}

}  // namespace berth
