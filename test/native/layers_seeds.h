// What the fuzz drivers begin with: well-formed archives and streams, and ways to damage them.
#pragma once

#include <cstdint>
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

/// Archives with every kind of entry and extension that the reader knows.
std::vector<std::string> SeedArchives();

/// A few changed, lost, doubled or swapped bytes or blocks. Header checksums are made right again most of the
/// time, since nothing behind a wrong one is ever read.
std::string MutateArchive(const std::string& archive, Random* random);
std::string MutateBytes(const std::string& bytes, Random* random);

std::string Gzip(const std::string& data);
std::string Zstd(const std::string& data);

/// Blocks until the pipeline takes more.
Result WaitForRoom(Pipeline* pipeline);

}  // namespace berth::fuzz
