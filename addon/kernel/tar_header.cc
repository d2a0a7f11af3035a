#include <sys/sysmacros.h>

#include <cstdint>

#include "tar.h"

namespace berth {

namespace {

/// The header's fields: offset and size (POSIX 1003.1, ustar Interchange Format).
struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kLink{157, 100}, kMagic{257, 6}, kMajor{329, 8}, kMinor{337, 8}, kPrefix{345, 155};

bool Number(const uint8_t* block, Field field, int64_t* value) {
  return ParseTarNumber(block + field.offset, field.size, value);
}

bool ParseBase256(const uint8_t* field, size_t size, int64_t* value) {
  // Two's complement; the first byte's top bit is the mark, the next one the sign.
  bool negative = (field[0] & 0x40) != 0;
  uint64_t number = negative ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < size; i++) {
    uint8_t byte = i == 0 ? static_cast<uint8_t>(negative ? field[0] | 0x80 : field[0] & 0x7f) : field[i];
    uint8_t lost = static_cast<uint8_t>(number >> 56);
    if (lost != (negative ? 0xff : 0)) return false;
    number = number << 8 | byte;
  }
  *value = static_cast<int64_t>(number);
  return (*value < 0) == negative;
}

TarType TypeOfFlag(char flag) {
  switch (flag) {
    case '1':
      return TarType::kHardLink;
    case '2':
      return TarType::kSymlink;
    case '3':
      return TarType::kCharDevice;
    case '4':
      return TarType::kBlockDevice;
    case '5':
      return TarType::kDirectory;
    case '6':
      return TarType::kFifo;
    default:
      return TarType::kFile;
  }
}

Result BadField(const TarEntry& entry, const char* step) {
  return Result::failure(step, EBADMSG, entry.path.c_str());
}

}  // namespace

bool ParseTarNumber(const uint8_t* field, size_t size, int64_t* value) {
  *value = 0;
  if ((field[0] & 0x80) != 0) return ParseBase256(field, size, value);
  size_t at = 0;
  while (at < size && (field[at] == ' ' || field[at] == 0)) at++;
  uint64_t number = 0;
  for (; at < size && field[at] != ' ' && field[at] != 0; at++) {
    if (field[at] < '0' || field[at] > '7') return false;
    number = number << 3 | static_cast<uint64_t>(field[at] - '0');
  }
  *value = static_cast<int64_t>(number);  // at most 12 digits of 3 bits
  return true;
}

std::string TarString(const uint8_t* field, size_t size) {
  const char* text = reinterpret_cast<const char*>(field);
  return std::string(text, strnlen(text, size));
}

bool TarChecksumMatches(const uint8_t* block) {
  int64_t stored = 0;
  if (!Number(block, kChecksum, &stored)) return false;
  // The checksum counts as blanks. Simple loops, which the compiler makes vectors of.
  uint32_t plain = ' ' * kChecksum.size, high = 0;
  for (size_t i = 0; i < kTarBlock; i++) {
    plain += block[i];
    high += block[i] >> 7;
  }
  for (size_t i = kChecksum.offset; i < kChecksum.offset + kChecksum.size; i++) {
    plain -= block[i];
    high -= block[i] >> 7;
  }
  // Some old writers summed signed bytes.
  return stored == plain || stored == int64_t{plain} - 256 * int64_t{high};
}

Result ParseTarHeader(const uint8_t* block, TarEntry* entry, char* flag) {
  *flag = static_cast<char>(block[156]);
  entry->path = TarString(block + kName.offset, kName.size);
  entry->link = TarString(block + kLink.offset, kLink.size);
  bool ustar = memcmp(block + kMagic.offset, "ustar", 6) == 0;
  bool gnu = memcmp(block + kMagic.offset, "ustar ", 6) == 0;
  if (ustar && block[kPrefix.offset] != 0) {
    bool star = memcmp(block + 508, "tar", 4) == 0;  // star keeps times behind a shorter prefix
    entry->path = TarString(block + kPrefix.offset, star ? 131 : kPrefix.size) + "/" + entry->path;
  }
  // A block that is no header has no name worth showing.
  if (!TarChecksumMatches(block)) return Result::failure(kTarBadHeader, EBADMSG);
  int64_t mode = 0, uid = 0, gid = 0, size = 0, mtime = 0, major = 0, minor = 0;
  if (!Number(block, kMode, &mode) || !Number(block, kUid, &uid) || !Number(block, kGid, &gid) ||
      !Number(block, kSize, &size) || !Number(block, kMtime, &mtime))
    return BadField(*entry, "tar: bad number in header");
  bool device = *flag == '3' || *flag == '4';
  if (device && (ustar || gnu) && (!Number(block, kMajor, &major) || !Number(block, kMinor, &minor)))
    return BadField(*entry, "tar: bad number in header");
  if (size < 0) return BadField(*entry, "tar: negative size");
  if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
    return BadField(*entry, "tar: owner is out of range");
  if (major < 0 || minor < 0 || major > 0xfff || minor > 0xfffff)
    return BadField(*entry, "tar: device number is out of range");
  entry->type = TypeOfFlag(*flag);
  // Archives older than ustar mark a directory by its name only.
  if (*flag == '\0' && !entry->path.empty() && entry->path.back() == '/') entry->type = TarType::kDirectory;
  entry->mode = static_cast<mode_t>(mode) & 07777;
  entry->uid = static_cast<uid_t>(uid);
  entry->gid = static_cast<gid_t>(gid);
  entry->device = makedev(static_cast<unsigned>(major), static_cast<unsigned>(minor));
  entry->mtime = timespec{mtime, 0};
  entry->data_size = static_cast<uint64_t>(size);
  entry->file_size = entry->data_size;
  return Result::success();
}

}  // namespace berth
