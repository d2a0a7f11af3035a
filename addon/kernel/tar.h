// A streaming reader of tar archives: ustar (POSIX 1003.1), PAX, the GNU extensions for long names, large
// numbers and sparse files. It believes nothing: every length is checked before it is used.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inflate.h"
#include "result.h"

namespace berth {

struct TarLimits {
  uint64_t max_bytes = 0;    // of the archive; no entry may claim more
  uint64_t max_entries = 0;
};

/// Where the archive comes from, piece by piece.
class TarSource {
 public:
  virtual ~TarSource() = default;
  /// The next piece, valid until the next call. False at the end.
  virtual bool Next(Bytes* piece) = 0;
};

class TarRecorder;  // tar_record.h

/// A run of real data in a sparse file.
struct SparseRun {
  uint64_t offset = 0;
  uint64_t size = 0;
};
/// Files with more runs are refused.
inline constexpr size_t kMaxSparseRuns = 1 << 16;

enum class TarType { kFile, kHardLink, kSymlink, kCharDevice, kBlockDevice, kDirectory, kFifo };

struct TarEntry {
  std::string path;  // as stored
  std::string link;
  TarType type = TarType::kFile;
  mode_t mode = 0;  // permission, setuid, setgid and sticky bits
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t device = 0;
  timespec mtime{};
  uint64_t data_size = 0;  // bytes of data in the archive
  bool sparse = false;
  uint64_t file_size = 0;  // of the file to be made
  std::vector<SparseRun> runs;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

inline constexpr size_t kTarBlock = 512;
inline constexpr char kTarBadHeader[] = "tar: header is damaged";

/// The records of PAX headers by key (values may hold any byte). GNU.sparse 0.0 repeats two keys: they are
/// gathered in `runs` instead.
struct PaxRecords {
  std::map<std::string, std::string> values;
  std::vector<uint64_t> sparse_numbers;  // offset, size, offset, size, …
  size_t bytes = 0;
};

/// Adds the records of one PAX header ("<length> <key>=<value>\n", POSIX pax, Extended Header).
Result ParsePaxRecords(const std::string& data, PaxRecords* records);

/// Drops what a global header may not say: a name or a size for every entry after it. What is left is little,
/// because it is gone through for each of them.
void KeepSharedRecords(PaxRecords* records);

/// What PAX records say of an entry, over what its header said.
Result ApplyPaxRecords(const PaxRecords& global, const PaxRecords& local, TarEntry* entry);

/// "GNU.sparse.*" of the formats 0.0, 0.1 and 1.0. For 1.0 `*map_in_data` tells that the map precedes the
/// data.
Result ApplyPaxSparse(const PaxRecords& records, TarEntry* entry, bool* map_in_data);

/// Checks the order and bounds of an entry's runs against its sizes.
Result CheckSparseRuns(const TarEntry& entry);

/// Fields of a header block. A number is octal digits, or base-256 when the first byte's top bit is set.
bool ParseTarNumber(const uint8_t* field, size_t size, int64_t* value);
std::string TarString(const uint8_t* field, size_t size);
bool TarChecksumMatches(const uint8_t* block);
/// Decimal digits only, up to INT64_MAX.
bool ParseDecimal(const std::string& text, uint64_t* value);

/// Result of a header block's fields, extensions not considered. `*flag` is the type flag.
Result ParseTarHeader(const uint8_t* block, TarEntry* entry, char* flag);

class TarReader {
 public:
  /// `recorder` is told of all that is read, in order; it may be null.
  TarReader(TarSource* source, TarLimits limits, TarRecorder* recorder = nullptr)
      : source_(source), limits_(limits), recorder_(recorder) {}

  /// Skips what is left of the current entry and reads the next; `*more` is false after the last.
  Result Next(TarEntry* entry, bool* more);
  /// The next piece of the entry's data, empty after the last. Valid until the next call.
  Result Data(Bytes* piece);
  /// Reads what follows the archive's end, which belongs to the digests and to nothing else.
  Result SkipRest();
  /// The same, one piece; `*more` is false when there was none.
  Result SkipPiece(bool* more);

 private:
  Result Fill();
  void Use(size_t size);
  Result ReadBlock(uint8_t* block, bool* end);
  Result ReadText(uint64_t size, size_t limit, const char* too_long, std::string* text);
  Result Skip(uint64_t size);
  Result ReadEnd(bool* more);
  Result ReadExtension(char flag, uint64_t size, bool* known);
  Result FinishEntry(const uint8_t* block, char flag, TarEntry* entry);
  Result ReadOldSparse(const uint8_t* block, TarEntry* entry);
  Result ReadSparseMap(TarEntry* entry);
  Result SparseNumber(std::string* buffered, size_t* at, uint64_t* number);

  TarSource* const source_;
  const TarLimits limits_;
  TarRecorder* const recorder_;
  Bytes piece_;
  bool at_end_ = false;
  uint64_t left_ = 0;     // of the entry's data
  uint64_t padding_ = 0;  // to the next block
  uint64_t entries_ = 0;
  PaxRecords global_;
  PaxRecords local_;
  std::string long_path_;
  std::string long_link_;
  bool extended_ = false;  // an extension header came and its entry has not
};

}  // namespace berth
