// The contents of files in an EROFS image.

#include <algorithm>

#include "erofs_writer.h"

namespace berth {

namespace {

/// Chunks of a sparse file are as small as its map allows: 64 KiB of it.
constexpr uint64_t kMaxChunks = 16 << 10;
constexpr unsigned kMinChunkBits = 12, kMaxChunkBits = kErofsBlockBits + 31;

uint32_t BlockOf(uint64_t position) { return static_cast<uint32_t>(position >> kErofsBlockBits); }

}  // namespace

Result ErofsWriter::WriteData(const TarEntry& entry, ErofsTree::Node* file) {
  file->data = BlockOf(image_->position());
  for (;;) {
    Bytes piece;
    Result result = reader_->Data(&piece);
    if (result.ok() && piece.size > 0) result = image_->Append(piece);
    if (!result.ok()) return Named(result, entry.path);
    if (piece.size == 0) break;
    file->size += piece.size;
  }
  return Named(image_->Align(kErofsBlock), entry.path);
}

/// A chunk is whole or a hole. What it has beside its runs is a hole of the image itself.
Result ErofsWriter::WriteRuns(const TarEntry& entry, ErofsTree::Node* file) {
  file->size = entry.file_size;
  if (file->size == 0) return Result::success();
  unsigned bits = kMinChunkBits;
  while (bits <= kMaxChunkBits && (file->size - 1) >> bits >= kMaxChunks) bits++;
  if (bits > kMaxChunkBits)
    return Result::failure("layer image: sparse file is too large for it", EOVERFLOW, entry.path.c_str());
  file->chunk_bits = static_cast<uint8_t>(bits);
  file->count = static_cast<uint32_t>(((file->size - 1) >> bits) + 1);
  Result result = tree_.AddText(file->count * sizeof(uint32_t), &file->first);
  if (!result.ok()) return Named(result, entry.path);
  memset(tree_.TextAt(file->first), 0xff, file->count * sizeof(uint32_t));  // kErofsNullBlock
  super_.feature_incompat |= kErofsIncompatChunkedFile;
  Bytes piece;
  uint64_t end = image_->position();
  for (const SparseRun& run : entry.runs) {
    result = WriteRun(entry, run, &piece, file, &end);
    if (!result.ok()) return Named(result, entry.path);
  }
  return Named(image_->SkipTo(end), entry.path);
}

/// `end` is that of the last chunk in the image.
Result ErofsWriter::WriteRun(const TarEntry& entry, const SparseRun& run, Bytes* piece, ErofsTree::Node* file,
                             uint64_t* end) {
  const uint64_t chunk = uint64_t{1} << file->chunk_bits;
  uint64_t offset = run.offset;
  for (uint64_t left = run.size; left > 0;) {
    Result result;
    if (piece->size == 0) result = reader_->Data(piece);
    if (result.ok() && piece->size == 0) result = Result::failure("tar: archive is truncated", EBADMSG);
    if (!result.ok()) return result;
    uint64_t number = offset >> file->chunk_bits, inside = offset & (chunk - 1);
    uint64_t rest = entry.file_size - (offset - inside);
    uint64_t size = std::min(chunk, (rest + kErofsBlock - 1) & ~(kErofsBlock - 1));
    char* at = tree_.TextAt(file->first) + number * sizeof(uint32_t);
    uint32_t block;
    memcpy(&block, at, sizeof block);
    if (block == kErofsNullBlock) {
      if (*end + size > kErofsMaxBytes) return ErofsImage::TooLarge(entry.path);
      block = BlockOf(*end);
      memcpy(at, &block, sizeof block);
      *end += size;
    }
    result = image_->SkipTo((uint64_t{block} << kErofsBlockBits) + inside);
    Bytes part{piece->data, static_cast<size_t>(std::min<uint64_t>({piece->size, left, chunk - inside}))};
    if (result.ok()) result = image_->Append(part);
    if (!result.ok()) return result;
    piece->data += part.size;
    piece->size -= part.size;
    offset += part.size;
    left -= part.size;
  }
  return Result::success();
}

}  // namespace berth
