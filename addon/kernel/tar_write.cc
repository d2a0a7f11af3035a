#include "tar_write.h"

#include <cstring>

#include "tar.h"

namespace berth {

namespace {

/// Zero-padded digits that fill the field but for a NUL; the value fits.
void Octal(char* field, size_t size, uint64_t value) {
  field[size - 1] = '\0';
  for (size_t at = size - 1; at > 0; at--, value >>= 3) field[at - 1] = static_cast<char>('0' + (value & 7));
}

std::string Block(const TarHeader& header) {
  char block[kTarBlock] = {};
  memcpy(block, header.name.data(), header.name.size() < 100 ? header.name.size() : 100);
  Octal(block + 100, 8, header.mode & 07777);
  Octal(block + 108, 8, header.uid > kTarOctal8 ? 0 : header.uid);
  Octal(block + 116, 8, header.gid > kTarOctal8 ? 0 : header.gid);
  Octal(block + 124, 12, header.size > kTarOctal12 ? 0 : header.size);
  bool plain = header.mtime >= 0 && static_cast<uint64_t>(header.mtime) <= kTarOctal12;
  Octal(block + 136, 12, plain ? static_cast<uint64_t>(header.mtime) : 0);
  block[156] = header.type;
  memcpy(block + 157, header.link.data(), header.link.size() < 100 ? header.link.size() : 100);
  memcpy(block + 257, "ustar\00000", 8);
  Octal(block + 329, 8, header.major);
  Octal(block + 337, 8, header.minor);
  memset(block + 148, ' ', 8);
  unsigned int sum = 0;
  for (unsigned char byte : block) sum += byte;
  Octal(block + 148, 7, sum);
  return {block, sizeof block};
}

}  // namespace

std::string PaxRecord(const std::string& key, const std::string& value) {
  std::string body = " " + key + "=" + value + "\n";
  size_t length = body.size();
  while (std::to_string(length).size() + body.size() != length)
    length = std::to_string(length).size() + body.size();
  return std::to_string(length) + body;
}

std::string TarHeaderBlocks(const TarHeader& header, std::string records) {
  if (header.name.size() > 100) records += PaxRecord("path", header.name);
  if (header.link.size() > 100) records += PaxRecord("linkpath", header.link);
  if (header.size > kTarOctal12) records += PaxRecord("size", std::to_string(header.size));
  if (header.uid > kTarOctal8) records += PaxRecord("uid", std::to_string(header.uid));
  if (header.gid > kTarOctal8) records += PaxRecord("gid", std::to_string(header.gid));
  if (records.empty()) return Block(header);
  TarHeader extended;
  extended.name = "PaxHeaders/entry";
  extended.type = 'x';
  extended.mode = 0644;
  extended.size = records.size();
  return Block(extended) + records + TarPadding(records.size()) + Block(header);
}

std::string TarPadding(uint64_t size) {
  return std::string(static_cast<size_t>((kTarBlock - size % kTarBlock) % kTarBlock), '\0');
}

}  // namespace berth
