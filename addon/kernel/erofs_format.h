// A layer as one file: an EROFS image (Linux, fs/erofs/erofs_fs.h) whose blocks hold the contents of the
// layer's files as they came, with a header of berth's own in the 1024 bytes that EROFS leaves free at the
// beginning. In order:
//
//   0                berth's header: complete only when all the rest is written
//   1024             the superblock
//   kErofsDataStart  the contents of regular files in the order of the tar, each from a block's beginning on
//   index_offset     the index: directories, long targets of links, inodes with their extended attributes and
//                    the maps of sparse files; to the end
//
// All numbers are little endian, as the machines that berth runs on are.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fd.h"
#include "result.h"

namespace berth {

static_assert(std::endian::native == std::endian::little);

inline constexpr unsigned kErofsBlockBits = 9;
inline constexpr uint64_t kErofsBlock = uint64_t{1} << kErofsBlockBits;
/// Block numbers have 32 bits, of which the last says that there is none.
inline constexpr uint64_t kErofsMaxBytes = (uint64_t{1} << (32 + kErofsBlockBits)) - (1 << 20);
inline constexpr uint64_t kErofsSuperOffset = 1024;
inline constexpr uint64_t kErofsDataStart = 4096;

inline constexpr uint32_t kErofsMagic = 0xe0f5e1e2;
inline constexpr uint32_t kErofsCompatMtime = 2;
inline constexpr uint32_t kErofsIncompatChunkedFile = 4;
inline constexpr uint32_t kErofsNullBlock = 0xffffffff;
/// Inodes are numbered by the slots in which they begin.
inline constexpr uint64_t kErofsSlot = 32;

struct ErofsSuper {
  uint32_t magic;
  uint32_t checksum;
  uint32_t feature_compat;
  uint8_t block_bits;
  uint8_t ext_slots;
  uint16_t root_nid;
  uint64_t inodes;
  uint64_t build_time;
  uint32_t build_time_nsec;
  uint32_t blocks;
  uint32_t meta_block;
  uint32_t xattr_block;
  uint8_t uuid[16];
  char volume[16];
  uint32_t feature_incompat;
  uint8_t unused[44];
};
static_assert(sizeof(ErofsSuper) == 128);

/// The extended form. `format` is the layout in bits 1 to 3 and bit 0 for this form.
struct ErofsInode {
  uint16_t format;
  uint16_t xattr_count;  // 4-byte words of attributes, less 2 of their header's
  uint16_t mode;
  uint16_t unused;
  uint64_t size;
  uint32_t data;  // the first block, a device number, or a chunk format
  uint32_t ino;   // for 32-bit programs
  uint32_t uid;
  uint32_t gid;
  int64_t mtime;
  uint32_t mtime_nsec;
  uint32_t nlink;
  uint8_t unused_end[16];
};
static_assert(sizeof(ErofsInode) == 64);

inline constexpr uint16_t kErofsFlatPlain = 0 << 1 | 1;
/// The last, partial block follows the inode and its attributes, within one block.
inline constexpr uint16_t kErofsFlatInline = 2 << 1 | 1;
/// A map of chunks' first blocks follows the inode and its attributes.
inline constexpr uint16_t kErofsChunked = 4 << 1 | 1;

struct ErofsXattrHeader {
  uint32_t name_filter;
  uint8_t shared_count;
  uint8_t unused[7];
};
static_assert(sizeof(ErofsXattrHeader) == 12);

/// Name and value follow, then zeros up to a multiple of 4.
struct ErofsXattr {
  uint8_t name_size;  // without the prefix
  uint8_t prefix;
  uint16_t value_size;
};
static_assert(sizeof(ErofsXattr) == 4);
inline constexpr uint8_t kErofsPrefixUser = 1, kErofsPrefixTrusted = 4, kErofsPrefixSecurity = 6;

/// A block of a directory is these, then their names, without ends, in the same order.
struct __attribute__((packed)) ErofsDirent {
  uint64_t nid;
  uint16_t name_offset;
  uint8_t type;  // kErofsType*
  uint8_t unused;
};
static_assert(sizeof(ErofsDirent) == 12);
inline constexpr uint8_t kErofsTypeFile = 1, kErofsTypeDirectory = 2, kErofsTypeChar = 3, kErofsTypeBlock = 4,
                         kErofsTypeFifo = 5, kErofsTypeSymlink = 7;

/// berth's header. All checksums are CRC-32 (gzip's).
struct ErofsHeader {
  char magic[24];
  uint32_t version;
  uint32_t index_crc;
  uint64_t file_size;
  uint64_t index_offset;
  uint64_t index_size;
  uint32_t head_crc;    // of what lies between this header and kErofsDataStart, the superblock with it
  uint32_t header_crc;  // of all before
};
static_assert(sizeof(ErofsHeader) == 64);
inline constexpr char kErofsHeaderMagic[24] = "berth layer image\n";
inline constexpr uint32_t kErofsHeaderVersion = 1;

/// `head` is the image's first kErofsDataStart bytes, complete but for the header at their beginning: there
/// `header` is copied to, with what is the same in every header and with the checksums.
void SealErofsHead(ErofsHeader header, uint8_t* head);

/// Opens what should be an image, and no link: not valid, with errno, when that fails.
Fd OpenErofsFile(const std::string& path);

/// Reads the header of an open image and compares it with the file: EBADMSG for whatever is no complete
/// image. Neither the index nor the contents are read.
Result ReadErofsHeader(int fd, ErofsHeader* header);

}  // namespace berth
