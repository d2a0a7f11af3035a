// Headers of tars that are made here: ustar, and PAX where its fields are too small.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace berth {

struct TarHeader {
  std::string name;
  std::string link;
  char type = '0';
  mode_t mode = 0;
  uint64_t uid = 0, gid = 0, size = 0;
  int64_t mtime = 0;
  unsigned int major = 0, minor = 0;
};

/// The largest numbers in a header's fields, of 11 and of 7 octal digits.
inline constexpr uint64_t kTarOctal12 = (uint64_t{1} << 33) - 1;
inline constexpr uint64_t kTarOctal8 = (uint64_t{1} << 21) - 1;

/// "<length> <key>=<value>\n", where the length counts its own digits (POSIX pax, "Extended Header").
std::string PaxRecord(const std::string& key, const std::string& value);

/// All blocks before an entry's data: the header, and one with PAX records before it when there are any in
/// `records` or something does not fit into its field. A time that does not fit is the caller's to record.
std::string TarHeaderBlocks(const TarHeader& header, std::string records = "");

/// Zeros from the end of so many bytes to the next block.
std::string TarPadding(uint64_t size);

}  // namespace berth
