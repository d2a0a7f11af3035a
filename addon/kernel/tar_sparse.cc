// GNU sparse files: the old header format and the PAX formats 0.0, 0.1 and 1.0 (GNU tar manual, appendix
// "Storing Sparse Files").

#include <algorithm>

#include "tar.h"

namespace berth {

namespace {

Result BadMap(const TarEntry& entry) {
  return Result::failure("tar: sparse map is damaged", EBADMSG, entry.path.c_str());
}

Result TooManyRuns(const TarEntry& entry) {
  return Result::failure("tar: sparse file has too many runs", E2BIG, entry.path.c_str());
}

const std::string* Find(const PaxRecords& records, const char* key) {
  auto found = records.values.find(key);
  return found == records.values.end() ? nullptr : &found->second;
}

Result AddRuns(const std::vector<uint64_t>& numbers, TarEntry* entry) {
  if (numbers.size() % 2 != 0) return BadMap(*entry);
  if (numbers.size() / 2 > kMaxSparseRuns) return TooManyRuns(*entry);
  for (size_t i = 0; i < numbers.size(); i += 2) entry->runs.push_back({numbers[i], numbers[i + 1]});
  return Result::success();
}

/// Format 0.1: "offset,size,offset,size".
Result AddCommaList(const std::string& text, TarEntry* entry) {
  std::vector<uint64_t> numbers;
  for (size_t at = 0; at < text.size();) {
    size_t comma = std::min(text.find(',', at), text.size());
    uint64_t number = 0;
    if (!ParseDecimal(text.substr(at, comma - at), &number)) return BadMap(*entry);
    numbers.push_back(number);
    at = comma + 1;
  }
  return AddRuns(numbers, entry);
}

}  // namespace

Result ApplyPaxSparse(const PaxRecords& records, TarEntry* entry, bool* map_in_data) {
  *map_in_data = false;
  const std::string* major = Find(records, "GNU.sparse.major");
  const std::string* minor = Find(records, "GNU.sparse.minor");
  const std::string* name = Find(records, "GNU.sparse.name");
  const std::string* size = Find(records, "GNU.sparse.size");
  const std::string* real_size = Find(records, "GNU.sparse.realsize");
  const std::string* map = Find(records, "GNU.sparse.map");
  bool version_one = major != nullptr && minor != nullptr && *major == "1" && *minor == "0";
  if (!version_one && size == nullptr) return Result::success();
  if (name != nullptr) {
    if (name->empty() || name->find('\0') != std::string::npos) return BadMap(*entry);
    entry->path = *name;
  }
  if (entry->type != TarType::kFile) return BadMap(*entry);
  entry->sparse = true;
  const std::string* total = version_one ? real_size : size;
  if (total == nullptr || !ParseDecimal(*total, &entry->file_size)) return BadMap(*entry);
  if (version_one) {
    *map_in_data = true;
    return Result::success();
  }
  Result result = map != nullptr ? AddCommaList(*map, entry) : AddRuns(records.sparse_numbers, entry);
  return result.ok() ? CheckSparseRuns(*entry) : result;
}

Result CheckSparseRuns(const TarEntry& entry) {
  uint64_t end = 0, data = 0;
  for (const SparseRun& run : entry.runs) {
    if (run.offset < end || run.offset > entry.file_size || run.size > entry.file_size - run.offset)
      return BadMap(entry);
    end = run.offset + run.size;
    data += run.size;
  }
  return data == entry.data_size ? Result::success() : BadMap(entry);
}

/// Old GNU format: four runs in the header (at 386), more in blocks of 21 while the flag byte is set.
Result TarReader::ReadOldSparse(const uint8_t* block, TarEntry* entry) {
  int64_t real_size = 0;
  if (!ParseTarNumber(block + 483, 12, &real_size) || real_size < 0) return BadMap(*entry);
  entry->file_size = static_cast<uint64_t>(real_size);
  entry->sparse = true;
  uint8_t extra[kTarBlock];
  const uint8_t* at = block + 386;
  size_t count = 4;
  bool more = block[482] != 0;
  for (;;) {
    for (size_t i = 0; i < count; i++, at += 24) {
      int64_t offset = 0, size = 0;
      if (at[0] == 0 && at[12] == 0) continue;
      if (!ParseTarNumber(at, 12, &offset) || !ParseTarNumber(at + 12, 12, &size) || offset < 0 || size < 0)
        return BadMap(*entry);
      if (entry->runs.size() == kMaxSparseRuns) return TooManyRuns(*entry);
      entry->runs.push_back({static_cast<uint64_t>(offset), static_cast<uint64_t>(size)});
    }
    if (!more) return CheckSparseRuns(*entry);
    bool end = false;
    Result result = ReadBlock(extra, &end);
    if (!result.ok()) return result;
    if (end) return BadMap(*entry);
    at = extra;
    count = 21;
    more = extra[504] != 0;
  }
}

/// One decimal line of a 1.0 map; blocks are read as they are needed.
Result TarReader::SparseNumber(std::string* buffered, size_t* at, uint64_t* number) {
  for (;;) {
    size_t line = buffered->find('\n', *at);
    if (line != std::string::npos) {
      bool good = ParseDecimal(buffered->substr(*at, line - *at), number);
      *at = line + 1;
      return good ? Result::success() : Result::failure("tar: sparse map is damaged", EBADMSG);
    }
    buffered->erase(0, *at);
    *at = 0;
    if (buffered->size() > 32 || left_ < kTarBlock)
      return Result::failure("tar: sparse map is damaged", EBADMSG);
    uint8_t block[kTarBlock];
    bool end = false;
    Result result = ReadBlock(block, &end);
    if (!result.ok()) return result;
    if (end) return Result::failure("tar: archive is truncated", EBADMSG);
    left_ -= kTarBlock;
    buffered->append(reinterpret_cast<const char*>(block), kTarBlock);
  }
}

/// Format 1.0: the data begins with the number of runs and their offsets and sizes, a decimal line each,
/// filled up to a whole block.
Result TarReader::ReadSparseMap(TarEntry* entry) {
  std::string buffered;
  size_t at = 0;
  uint64_t count = 0;
  Result result = SparseNumber(&buffered, &at, &count);
  if (result.ok() && count > kMaxSparseRuns) return TooManyRuns(*entry);
  for (uint64_t i = 0; result.ok() && i < count; i++) {
    SparseRun run;
    result = SparseNumber(&buffered, &at, &run.offset);
    if (result.ok()) result = SparseNumber(&buffered, &at, &run.size);
    entry->runs.push_back(run);
  }
  if (!result.ok()) return Result::failure(result.step, result.error, entry->path.c_str());
  entry->data_size = left_;
  return CheckSparseRuns(*entry);
}

}  // namespace berth
