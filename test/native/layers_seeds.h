// What the fuzz drivers begin with: well-formed archives and streams, and ways to damage them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../../addon/kernel/pipeline.h"

namespace berth::fuzz {

/// xorshift64*: the same sequence for the same seed everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t Next();
  /// Below `limit`.
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : Next() % limit; }

 private:
  uint64_t state_;
};

/// Pieces of random sizes, each in memory of its own, so that ASan sees a byte too far.
class SplitSource : public TarSource {
 public:
  SplitSource(const std::string& data, Random* random) : data_(data), random_(random) {}
  bool Next(Bytes* piece) override;

 private:
  const std::string& data_;
  Random* const random_;
  size_t at_ = 0;
  std::unique_ptr<uint8_t[]> piece_;
};

/// Archives with every kind of entry and extension that the reader knows.
std::vector<std::string> SeedArchives();

/// A sound archive of a few entries that get in each other's way: the same names as files, directories,
/// links, whiteouts, one through the other.
std::string RandomArchive(Random* random);

/// A few changed, lost, doubled or swapped bytes or blocks. Header checksums are made right again most of the
/// time, since nothing behind a wrong one is ever read.
std::string MutateArchive(const std::string& archive, Random* random);
std::string MutateBytes(const std::string& bytes, Random* random);

std::string Gzip(const std::string& data);
std::string Zstd(const std::string& data);

/// Blocks until the pipeline takes more.
Result WaitForRoom(Pipeline* pipeline);

}  // namespace berth::fuzz
