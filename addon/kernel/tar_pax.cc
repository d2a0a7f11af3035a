#include <cstdint>

#include "tar.h"

namespace berth {

namespace {

constexpr size_t kMaxPaxBytes = 1 << 20;
constexpr size_t kMaxXattrName = 255;     // XATTR_NAME_MAX
constexpr size_t kMaxXattrValue = 65536;  // XATTR_SIZE_MAX
constexpr size_t kMaxXattrs = 256;
constexpr char kXattrPrefix[] = "SCHILY.xattr.";

Result Bad(const char* step, const std::string& what) { return Result::failure(step, EBADMSG, what.c_str()); }

/// Seconds with an optional fraction, possibly negative; the fraction is cut to nanoseconds towards the past.
bool ParseTime(const std::string& text, timespec* time) {
  bool negative = !text.empty() && text[0] == '-';
  size_t dot = text.find('.');
  size_t begin = negative ? 1 : 0;
  uint64_t seconds = 0;
  std::string whole = text.substr(begin, dot == std::string::npos ? dot : dot - begin);
  if (!ParseDecimal(whole.empty() && dot != std::string::npos ? "0" : whole, &seconds)) return false;
  int64_t nanoseconds = 0;
  int64_t unit = 100'000'000;
  for (size_t at = dot == std::string::npos ? text.size() : dot + 1; at < text.size(); at++) {
    if (text[at] < '0' || text[at] > '9') return false;
    nanoseconds += (text[at] - '0') * unit;
    unit /= 10;
  }
  time->tv_sec = negative ? -static_cast<int64_t>(seconds) : static_cast<int64_t>(seconds);
  time->tv_nsec = nanoseconds;
  if (negative && nanoseconds > 0) {
    time->tv_sec -= 1;
    time->tv_nsec = 1'000'000'000 - nanoseconds;
  }
  return true;
}

Result ApplyOwner(const std::string& value, const TarEntry& entry, uid_t* owner) {
  uint64_t number = 0;
  if (!ParseDecimal(value, &number) || number >= UINT32_MAX)
    return Bad("tar: owner is out of range", entry.path);
  *owner = static_cast<uid_t>(number);
  return Result::success();
}

Result ApplyXattr(const std::string& name, const std::string& value, TarEntry* entry) {
  if (name.empty() || name.size() > kMaxXattrName || name.find('\0') != std::string::npos)
    return Bad("tar: bad name of an extended attribute", entry->path);
  if (value.size() > kMaxXattrValue)
    return Result::failure("tar: extended attribute is too large", E2BIG, entry->path.c_str());
  for (auto& xattr : entry->xattrs) {
    if (xattr.first != name) continue;
    xattr.second = value;
    return Result::success();
  }
  if (entry->xattrs.size() == kMaxXattrs)
    return Result::failure("tar: too many extended attributes", E2BIG, entry->path.c_str());
  entry->xattrs.emplace_back(name, value);
  return Result::success();
}

/// Keys that make sense for every entry that follows as well as for one.
Result ApplyShared(const std::string& key, const std::string& value, TarEntry* entry) {
  if (key.starts_with(kXattrPrefix))
    return ApplyXattr(key.substr(sizeof kXattrPrefix - 1), value, entry);
  if (value.empty()) return Result::success();  // POSIX: back to what the header says
  if (key == "uid") return ApplyOwner(value, *entry, &entry->uid);
  if (key == "gid") return ApplyOwner(value, *entry, &entry->gid);
  if (key == "mtime" && !ParseTime(value, &entry->mtime))
    return Bad("tar: bad time in PAX header", entry->path);
  return Result::success();
}

Result ApplyLocal(const std::string& key, const std::string& value, TarEntry* entry) {
  if (value.empty()) return Result::success();
  if (key == "path" || key == "linkpath") {
    if (value.find('\0') != std::string::npos) return Bad("tar: name holds a zero byte", entry->path);
    (key == "path" ? entry->path : entry->link) = value;
  } else if (key == "size") {
    if (!ParseDecimal(value, &entry->data_size)) return Bad("tar: bad size in PAX header", entry->path);
    entry->file_size = entry->data_size;
  }
  return Result::success();
}

}  // namespace

bool ParseDecimal(const std::string& text, uint64_t* value) {
  if (text.empty()) return false;
  uint64_t number = 0;
  for (char digit : text) {
    if (digit < '0' || digit > '9') return false;
    if (number > (INT64_MAX - 9) / 10) return false;
    number = number * 10 + static_cast<uint64_t>(digit - '0');
  }
  *value = number;
  return true;
}

Result ParsePaxRecords(const std::string& data, PaxRecords* records) {
  records->bytes += data.size();
  if (records->bytes > kMaxPaxBytes) return Result::failure("tar: PAX headers are too large", E2BIG);
  for (size_t at = 0; at < data.size();) {
    size_t space = data.find(' ', at);
    uint64_t length = 0;
    if (space == std::string::npos || space - at > 10 || !ParseDecimal(data.substr(at, space - at), &length))
      return Bad("tar: PAX header is damaged", "");
    size_t end = at + length;
    if (length > data.size() - at || end < space + 3 || data[end - 1] != '\n')
      return Bad("tar: PAX header is damaged", "");
    size_t equals = data.find('=', space);
    if (equals == std::string::npos || equals >= end || equals == space + 1)
      return Bad("tar: PAX header is damaged", "");
    std::string key = data.substr(space + 1, equals - space - 1);
    std::string value = data.substr(equals + 1, end - 1 - equals - 1);
    at = end;
    if (key == "GNU.sparse.offset" || key == "GNU.sparse.numbytes") {
      uint64_t number = 0;
      bool offset = key == "GNU.sparse.offset";
      if (offset != (records->sparse_numbers.size() % 2 == 0) || !ParseDecimal(value, &number))
        return Bad("tar: sparse map is damaged", "");
      records->sparse_numbers.push_back(number);
    } else {
      records->values[key] = std::move(value);
    }
  }
  return Result::success();
}

void KeepSharedRecords(PaxRecords* records) {
  std::erase_if(records->values, [](const auto& record) {
    const std::string& key = record.first;
    return !key.starts_with(kXattrPrefix) && key != "uid" && key != "gid" && key != "mtime";
  });
  records->sparse_numbers.clear();
}

Result ApplyPaxRecords(const PaxRecords& global, const PaxRecords& local, TarEntry* entry) {
  // The path first, so that later errors name the entry.
  for (const auto& [key, value] : local.values) {
    Result result = ApplyLocal(key, value, entry);
    if (!result.ok()) return result;
  }
  for (const PaxRecords* records : {&global, &local}) {
    for (const auto& [key, value] : records->values) {
      Result result = ApplyShared(key, value, entry);
      if (!result.ok()) return result;
    }
  }
  return Result::success();
}

}  // namespace berth
