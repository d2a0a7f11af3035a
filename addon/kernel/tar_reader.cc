#include <limits.h>

#include <algorithm>

#include "tar.h"
#include "tar_record.h"

namespace berth {

namespace {

constexpr size_t kMaxPaxHeader = 1 << 20;

uint64_t PaddingOf(uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

Result Truncated(const std::string& path = "") {
  return Result::failure("tar: archive is truncated", EBADMSG, path.c_str());
}

bool IsZero(const uint8_t* block) {
  return std::all_of(block, block + kTarBlock, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

/// Makes at least one byte available; at_end_ when there is none.
Result TarReader::Fill() {
  while (piece_.size == 0 && !at_end_) at_end_ = !source_->Next(&piece_);
  if (at_end_) piece_ = Bytes{};
  return Result::success();
}

/// Goes on behind bytes that are no file's content.
void TarReader::Use(size_t size) {
  if (recorder_ != nullptr) recorder_->Literal(Bytes{piece_.data, size});
  piece_.data += size;
  piece_.size -= size;
}

/// A whole block, or `*end` when the archive ends exactly here.
Result TarReader::ReadBlock(uint8_t* block, bool* end) {
  size_t have = 0;
  *end = false;
  while (have < kTarBlock) {
    Result result = Fill();
    if (!result.ok()) return result;
    if (at_end_) {
      *end = have == 0;
      return have == 0 ? Result::success() : Truncated();
    }
    size_t take = std::min(piece_.size, kTarBlock - have);
    memcpy(block + have, piece_.data, take);
    Use(take);
    have += take;
  }
  return Result::success();
}

Result TarReader::Skip(uint64_t size) {
  while (size > 0) {
    Result result = Fill();
    if (!result.ok()) return result;
    if (at_end_) return Truncated();
    uint64_t take = std::min<uint64_t>(piece_.size, size);
    Use(take);
    size -= take;
  }
  return Result::success();
}

Result TarReader::ReadText(uint64_t size, size_t limit, const char* too_long, std::string* text) {
  text->clear();
  if (size > limit) return Result::failure(too_long, E2BIG);
  uint64_t left = size;
  while (left > 0) {
    Result result = Fill();
    if (!result.ok()) return result;
    if (at_end_) return Truncated();
    uint64_t take = std::min<uint64_t>(piece_.size, left);
    text->append(reinterpret_cast<const char*>(piece_.data), take);
    Use(take);
    left -= take;
  }
  return Skip(PaddingOf(size));
}

Result TarReader::Data(Bytes* piece) {
  *piece = Bytes{};
  if (left_ == 0) return Result::success();
  Result result = Fill();
  if (!result.ok()) return result;
  if (at_end_) return Truncated();
  size_t take = static_cast<size_t>(std::min<uint64_t>(piece_.size, left_));
  *piece = Bytes{piece_.data, take};
  if (recorder_ != nullptr) recorder_->Content(*piece);
  piece_.data += take;
  piece_.size -= take;
  left_ -= take;
  return Result::success();
}

Result TarReader::SkipPiece(bool* more) {
  Result result = Fill();
  *more = result.ok() && !at_end_;
  if (*more) Use(piece_.size);
  return result;
}

Result TarReader::SkipRest() {
  Result result;
  for (bool more = true; result.ok() && more;) result = SkipPiece(&more);
  return result;
}

/// After a zero block: the archive has ended when a second one follows, or nothing.
Result TarReader::ReadEnd(bool* more) {
  uint8_t block[kTarBlock];
  bool end = false;
  *more = false;
  Result result = ReadBlock(block, &end);
  if (!result.ok() || end || IsZero(block)) return result;
  return Result::failure(kTarBadHeader, EBADMSG);
}

/// Headers that only say something of the entry after them.
Result TarReader::ReadExtension(char flag, uint64_t size, bool* known) {
  *known = true;
  std::string text;
  Result result;
  switch (flag) {
    case 'x':
    case 'X':
    case 'g':
      extended_ = extended_ || flag != 'g';
      result = ReadText(size, kMaxPaxHeader, "tar: PAX headers are too large", &text);
      if (result.ok()) result = ParsePaxRecords(text, flag == 'g' ? &global_ : &local_);
      if (flag == 'g') KeepSharedRecords(&global_);
      return result;
    case 'L':
    case 'K':
      extended_ = true;
      result = ReadText(size, PATH_MAX, "tar: name is too long", &text);
      (flag == 'L' ? long_path_ : long_link_) = text.c_str();  // ends at its zero byte
      return result;
    case 'V':  // a volume's label, a list of names: nothing to unpack
    case 'N':
      if (size > kMaxPaxHeader) return Result::failure("tar: volume header is too large", E2BIG);
      return Skip(size + PaddingOf(size));
    default:
      *known = false;
      return result;
  }
}

Result TarReader::FinishEntry(const uint8_t* block, char flag, TarEntry* entry) {
  if (!long_path_.empty()) entry->path = long_path_;
  if (!long_link_.empty()) entry->link = long_link_;
  bool data = false;
  switch (flag) {
    case '\0':
    case '0':
    case '7':
    case 'S':
      data = entry->type == TarType::kFile;
      break;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
      break;
    default:
      return Result::failure("tar: unknown type of entry", EBADMSG, entry->path.c_str());
  }
  Result result = ApplyPaxRecords(global_, local_, entry);
  bool map_in_data = false;
  // Links, directories and devices have no data whatever their size says, as every reader holds it.
  if (!data) entry->data_size = entry->file_size = 0;
  if (result.ok() && entry->data_size > limits_.max_bytes)
    return Result::failure("tar: entry is larger than the limit", EFBIG, entry->path.c_str());
  left_ = entry->data_size;
  padding_ = PaddingOf(left_);
  if (result.ok() && flag == 'S') {
    result = ReadOldSparse(block, entry);
  } else if (result.ok()) {
    result = ApplyPaxSparse(local_, entry, &map_in_data);
  }
  if (result.ok() && map_in_data) result = ReadSparseMap(entry);
  if (entry->path.size() >= PATH_MAX || entry->link.size() >= PATH_MAX)
    return Result::failure("tar: name is too long", ENAMETOOLONG, entry->path.c_str());
  if (extended_) {
    local_ = PaxRecords{};
    long_path_.clear();
    long_link_.clear();
    extended_ = false;
  }
  return result;
}

Result TarReader::Next(TarEntry* entry, bool* more) {
  Result result = Skip(left_ + padding_);
  left_ = padding_ = 0;
  uint8_t block[kTarBlock];
  *more = true;
  while (result.ok()) {
    *entry = TarEntry{};
    bool end = false;
    result = ReadBlock(block, &end);
    if (!result.ok()) return result;
    if ((end || IsZero(block)) && extended_) return Truncated();
    if (end) {
      *more = false;
      return result;
    }
    if (IsZero(block)) return ReadEnd(more);
    char flag = 0;
    result = ParseTarHeader(block, entry, &flag);
    // Headers count as entries: a stream of nothing else must end, too.
    if (result.ok() && ++entries_ > limits_.max_entries)
      return Result::failure("tar: more entries than the limit", E2BIG, entry->path.c_str());
    bool extension = false;
    if (result.ok()) result = ReadExtension(flag, entry->data_size, &extension);
    if (result.ok() && !extension) return FinishEntry(block, flag, entry);
  }
  return result;
}

}  // namespace berth
