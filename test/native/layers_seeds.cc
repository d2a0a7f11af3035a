#include "layers_seeds.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <future>

namespace berth::fuzz {

namespace {

constexpr size_t kBlock = 512;

void Seal(char* header) {
  memset(header + 148, ' ', 8);
  unsigned sum = 0;
  for (size_t i = 0; i < kBlock; i++) sum += static_cast<uint8_t>(header[i]);
  snprintf(header + 148, 8, "%06o", sum);
  header[155] = ' ';
}

std::string Entry(char flag, const std::string& path, const std::string& data, const std::string& link = "") {
  std::string header(kBlock, '\0');
  path.copy(&header[0], 100);
  snprintf(&header[100], 8, "%07o", 0644);
  snprintf(&header[108], 8, "%07o", 1);
  snprintf(&header[116], 8, "%07o", 2);
  snprintf(&header[124], 12, "%011zo", data.size());
  snprintf(&header[136], 12, "%011o", 1234567);
  header[156] = flag;
  link.copy(&header[157], 100);
  memcpy(&header[257], "ustar\00000", 8);
  Seal(&header[0]);
  std::string padding((kBlock - data.size() % kBlock) % kBlock, '\0');
  return header + data + padding;
}

std::string Pax(const std::string& key, const std::string& value) {
  std::string body = " " + key + "=" + value + "\n";
  size_t length = body.size() + 1;
  while (std::to_string(length).size() + body.size() != length) length++;
  return std::to_string(length) + body;
}

std::string OldSparse() {
  std::string entry = Entry('S', "sparse", std::string(600, 'x'));
  memcpy(&entry[257], "ustar  ", 8);
  memset(&entry[345], 0, 167);
  snprintf(&entry[386], 12, "%011o", 0);
  snprintf(&entry[398], 12, "%011o", 512);
  snprintf(&entry[410], 12, "%011o", 4096);
  snprintf(&entry[422], 12, "%011o", 88);
  snprintf(&entry[483], 12, "%011o", 5000);
  Seal(&entry[0]);
  return entry;
}

std::string Sparse(const std::string& records, const std::string& data) {
  return Entry('x', "p", records) + Entry('0', "s", data);
}

}  // namespace

uint64_t Random::Next() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  return state_ * 0x2545f4914f6cdd1d;
}

bool SplitSource::Next(Bytes* piece) {
  if (at_ == data_.size()) return false;
  size_t size = std::min(data_.size() - at_, 1 + random_->Below(random_->Below(2) == 0 ? 40 : 4000));
  piece_.reset(new uint8_t[size]);
  memcpy(piece_.get(), data_.data() + at_, size);
  at_ += size;
  *piece = Bytes{piece_.get(), size};
  return true;
}

std::vector<std::string> SeedArchives() {
  const std::string end(2 * kBlock, '\0');
  const std::string size = Pax("GNU.sparse.size", "5000");
  const std::string version = Pax("GNU.sparse.major", "1") + Pax("GNU.sparse.minor", "0");
  std::string one_map = "2\n0\n4\n100\n6\n";
  one_map.resize(kBlock, '\0');
  return {
      Entry('5', "d/", "") + Entry('0', "d/f", std::string(1500, 'f')) + Entry('1', "d/h", "", "d/f") +
          Entry('2', "l", "", "../../d") + Entry('0', "l/inside", "x") + Entry('6', "pipe", "") + end,
      Entry('0', "d/.wh.gone", "") + Entry('0', "e/.wh..wh..opq", "") + Entry('0', ".wh..wh.aufs", "") +
          Entry('5', "d/gone/", "") + Entry('0', "../up", "x") + end,
      Entry('g', "g", Pax("uid", "77") + Pax("comment", "c")) +
          Entry('x', "x", Pax("path", std::string(300, 'p') + "/q") + Pax("mtime", "12.5") +
                              Pax("SCHILY.xattr.user.a", "value") + Pax("size", "3")) +
          Entry('0', "cut", "abc") + end,
      Entry('L', "L", std::string(200, 'l') + '\0') + Entry('K', "K", std::string(200, 'k') + '\0') +
          Entry('2', "cut", "", "cut") + OldSparse() + end,
      Sparse(size + Pax("GNU.sparse.map", "0,4,100,6"), "0123456789") +
          Sparse(size + Pax("GNU.sparse.offset", "7") + Pax("GNU.sparse.numbytes", "3"), "abc") +
          Sparse(version + Pax("GNU.sparse.realsize", "5000"), one_map + "0123456789") +
          end,
  };
}

namespace {

std::string RandomPath(Random* random, bool entry) {
  static const char* const kNames[] = {"a", "b", "c", "d", "-", "..", "."};
  static const char* const kMarks[] = {".wh.a", ".wh.b", ".wh.c", ".wh..wh..opq", ".wh..wh.x"};
  std::string path = random->Below(8) == 0 ? "/" : "";
  for (uint64_t left = random->Below(4); left > 0; left--) {
    // One that leads out ends the archive, so seldom.
    uint64_t names = random->Below(6) == 0 ? 7 : 5;
    path += std::string(kNames[random->Below(names)]) + "/";
  }
  if (entry && random->Below(8) == 0) return path + kMarks[random->Below(5)];
  if (random->Below(40) == 0) return path + std::string(90, 'n');
  return path + kNames[random->Below(5)];
}

}  // namespace

std::string RandomArchive(Random* random) {
  static const char kFlags[] = "00011122255536";
  std::string archive;
  for (uint64_t left = 1 + random->Below(30); left > 0; left--) {
    char flag = kFlags[random->Below(sizeof kFlags - 1)];
    std::string data(flag == '0' ? random->Below(3) * random->Below(700) : 0, static_cast<char>(left));
    if (flag != '3' && flag != '6' && random->Below(8) == 0) {
      const char* name = random->Below(2) == 0 ? "SCHILY.xattr.user.a" : "SCHILY.xattr.trusted.b";
      bool refused = flag == '2' || flag == '1';
      // Around what a file system has room for.
      if (random->Below(30) == 0) data.resize(3600 + random->Below(600), 'v');
      archive += Entry('x', "x", Pax(refused ? "SCHILY.xattr.security.c" : name, data + "value") +
                                     Pax("mtime", std::to_string(random->Below(1u << 31)) + ".25"));
    }
    std::string entry = Entry(flag, RandomPath(random, true), data, RandomPath(random, false));
    snprintf(&entry[100], 8, "%07o", static_cast<unsigned>(random->Below(010000)));
    snprintf(&entry[116], 8, "%07o", static_cast<unsigned>(random->Below(3)));
    snprintf(&entry[329], 8, "%07o", static_cast<unsigned>(random->Below(2)));
    snprintf(&entry[337], 8, "%07o", static_cast<unsigned>(random->Below(2)));
    Seal(&entry[0]);
    archive += entry;
  }
  return archive + std::string(2 * kBlock, '\0');
}

std::string MutateBytes(const std::string& bytes, Random* random) {
  static const char* const kInteresting[] = {"../", "\xff\xff\xff\xff", "999999999", "=",
                                             "\n",  "/",                "-1",        ".wh."};
  std::string result = bytes;
  for (uint64_t left = random->Below(6) + 1; left > 0 && !result.empty(); left--) {
    size_t at = random->Below(result.size());
    switch (random->Below(6)) {
      case 0:
        result[at] = static_cast<char>(random->Next());
        break;
      case 1:
        result[at] = static_cast<char>(result[at] ^ 1 << random->Below(8));
        break;
      case 2:
        result.erase(at, random->Below(20));
        break;
      case 3:
        result.insert(at, result.substr(random->Below(result.size()), random->Below(600)));
        break;
      case 4: {
        const std::string text = kInteresting[random->Below(sizeof kInteresting / sizeof *kInteresting)];
        result.replace(at, text.size(), text);
        break;
      }
      default:
        if (random->Below(8) == 0) result.resize(at);
    }
  }
  return result;
}

std::string MutateArchive(const std::string& archive, Random* random) {
  std::string result = archive;
  // In place most of the time: what moves the blocks makes nonsense of all that follows.
  for (uint64_t left = random->Below(5) + 1; left > 0; left--) {
    size_t block = random->Below(result.size() / kBlock) * kBlock;
    size_t at = block + (random->Below(2) == 0 ? random->Below(kBlock) : 100 + random->Below(60));
    if (at < result.size()) result[at] = random->Below(2) == 0 ? '7' : static_cast<char>(random->Next());
  }
  if (random->Below(4) == 0) result = MutateBytes(result, random);
  for (size_t at = 0; at + kBlock <= result.size(); at += kBlock) {
    if (memcmp(&result[at + 257], "ustar", 5) == 0 && random->Below(20) != 0) Seal(&result[at]);
  }
  return result;
}

std::string Gzip(const std::string& data) {
  std::string result(data.size() + 4096, '\0');
  isal_zstream stream;
  isal_deflate_stateless_init(&stream);
  stream.gzip_flag = IGZIP_GZIP;
  stream.end_of_stream = 1;
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uint32_t>(data.size());
  stream.next_out = reinterpret_cast<uint8_t*>(&result[0]);
  stream.avail_out = static_cast<uint32_t>(result.size());
  isal_deflate_stateless(&stream);
  result.resize(stream.total_out);
  return result;
}

std::string Zstd(const std::string& data) {
  std::string result(ZSTD_compressBound(data.size()), '\0');
  result.resize(ZSTD_compress(&result[0], result.size(), data.data(), data.size(), 3));
  return result;
}

Result WaitForRoom(Pipeline* pipeline) {
  std::promise<Result> room;
  pipeline->WhenRoom([&room](Result result) { room.set_value(std::move(result)); });
  return room.get_future().get();
}

}  // namespace berth::fuzz
