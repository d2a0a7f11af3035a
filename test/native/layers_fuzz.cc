// Reads damaged archives and streams, a fixed number of them and the same ones every time. Built with ASan
// and UBSan: what it looks for is their complaints, and anything written outside of the layer's directory.
//
//   layers_fuzz [rounds] [seed]      as root the archives are unpacked, too

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "../../addon/kernel/fd.h"
#include "../../addon/kernel/pipeline.h"
#include "../../addon/kernel/tar_frame.h"
#include "../../addon/kernel/tree.h"
#include "../../addon/kernel/untar.h"
#include "layers_forms.h"
#include "layers_record.h"
#include "layers_seeds.h"

namespace berth::fuzz {

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "layers_fuzz: %s\n", what);
  abort();
}

namespace {

constexpr TarLimits kLimits{1 << 20, 500};

/// True when the archive was read to its end.
bool ReadArchive(const std::string& archive, Random* random) {
  SplitSource source(archive, random);
  TarReader reader(&source, kLimits);
  TarEntry entry;
  for (;;) {
    bool more = false;
    Result result = reader.Next(&entry, &more);
    if (!result.ok() || !more) return result.ok();
    if (random->Below(4) == 0) continue;  // the data is skipped by the next Next
    uint64_t size = 0;
    for (Bytes piece;;) {
      result = reader.Data(&piece);
      if (!result.ok() || piece.size == 0) break;
      size += piece.size;
    }
    if (!result.ok()) return false;
    Require(size == entry.data_size, "an entry's data has another size than its header");
  }
}

size_t CountEntries(const std::string& path) {
  DIR* directory = opendir(path.c_str());
  Require(directory != nullptr, "scratch directory is gone");
  size_t count = 0;
  while (readdir(directory) != nullptr) count++;
  closedir(directory);
  return count;
}

void UnpackArchive(const std::string& archive, const std::string& scratch, Random* random) {
  std::string layer = scratch + "/layer";
  Require(mkdir(layer.c_str(), 0755) == 0, "cannot make the layer's directory");
  std::thread([&] {
    Fd root(open(layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    SplitSource source(archive, random);
    uint64_t entries = 0;
    Result result = Untar(root.get(), &source, kLimits, nullptr, &entries);
    Require(result.ok() || result.step[0] != '\0', "an error without a step");
  }).join();
  Require(CountEntries(scratch) == 3, "something was written outside of the layer");
  Result result = RemoveTree(layer);
  Require(result.ok(), "the layer cannot be removed");
}

/// Inflates in random pieces into `*out`; true when the stream was complete.
bool InflateAll(const std::string& stream, Random* random, std::string* out) {
  bool plain = false;
  auto inflater = MakeInflater(reinterpret_cast<const uint8_t*>(stream.data()), stream.size(), &plain);
  SplitSource source(stream, random);
  Bytes piece;
  out->clear();
  while (source.Next(&piece)) {
    bool full = false;
    while (piece.size > 0 || full) {
      size_t room = 1 + random->Below(3000);
      std::unique_ptr<uint8_t[]> buffer(new uint8_t[room]);
      size_t produced = 0;
      if (!inflater->Inflate(&piece, buffer.get(), room, &produced).ok()) return false;
      Require(produced <= room, "more was inflated than there was room for");
      out->append(reinterpret_cast<char*>(buffer.get()), produced);
      if (out->size() > 8 << 20) return false;
      full = produced == room;
    }
  }
  return inflater->Finish().ok();
}

void CheckStreams(const std::string& archive, Random* random) {
  size_t cut = random->Below(archive.size());
  std::string first = archive.substr(0, cut), second = archive.substr(cut), out;
  for (const std::string& stream : {Gzip(first) + Gzip(second), Zstd(first) + Zstd(second), archive}) {
    Require(InflateAll(stream, random, &out) && out == archive, "a sound stream was not inflated as it was");
    InflateAll(MutateBytes(stream, random), random, &out);
  }
}

/// The whole pipeline, left or aborted at any moment.
void RunPipeline(const std::string& stream, const FramedFile& file, const std::string& scratch,
                 Random* random) {
  std::string layer = scratch + "/layer";
  Require(mkdir(layer.c_str(), 0755) == 0, "cannot make the layer's directory");
  std::string blob = file.name.empty() || random->Below(2) == 0 ? "" : scratch + "/layer.blob";
  UnpackRequest request{layer, kLimits, blob, "", file, LayerForm::kDirectory};
  auto pipeline = std::make_shared<Pipeline>(std::move(request));
  Require(pipeline->Start().ok(), "threads cannot be started");
  uint64_t resume_at = 0;
  Require(pipeline->ResumeAt(&resume_at).ok() && resume_at == 0, "a new blob file holds something");
  size_t stop = random->Below(2) == 0 ? stream.size() : random->Below(stream.size());
  for (size_t at = 0; at < stop;) {
    size_t size = std::min(stop - at, 1 + random->Below(2000));
    size_t taken = 0;
    if (!pipeline->Write(reinterpret_cast<const uint8_t*>(stream.data()) + at, size, &taken).ok()) break;
    if (taken < size && !WaitForRoom(pipeline.get()).ok()) break;
    at += taken;
  }
  UnpackOutcome outcome;
  if (random->Below(3) == 0) pipeline->Abort();
  if (random->Below(3) != 0) {
    pipeline->Finish(&outcome);
  } else {
    pipeline->Abort();
    pipeline->Join();
  }
  size_t taken = 0;
  pipeline->Release();
  pipeline->Write(reinterpret_cast<const uint8_t*>(stream.data()), stream.size(), &taken);
  Require(taken == 0, "bytes were taken after the end");
  if (!blob.empty()) Require(unlink(blob.c_str()) == 0, "the blob file is gone");
  Require(CountEntries(scratch) == 3, "something was written outside of the layer");
  Require(RemoveTree(layer).ok(), "the layer cannot be removed");
}

/// A stream that is no archive but a file, of any length, which need not be the one that was told.
void RunFile(const std::string& stream, const std::string& scratch, Random* random) {
  FramedFile file{"", stream.size(), static_cast<int64_t>(random->Below(1u << 31))};
  for (size_t left = 1 + random->Below(300); left > 0; left--)
    file.name += file.name.empty() || file.name.back() == '/' || random->Below(9) != 0 ? 'n' : '/';
  if (file.name.back() == '/') file.name += 'n';
  if (random->Below(3) == 0) file.size += random->Below(3) - 1;
  std::string head = TarFrameHead(file), tail = TarFrameTail(file);
  Require(head.size() % kTarBlock == 0 && (file.size + tail.size()) % kTarBlock == 0, "a frame is no tar");
  if (file.size == stream.size())
    Require(ReadArchive(head + stream + tail, random), "a framed file is no sound archive");
  RunPipeline(stream, file, scratch, random);
}

int Main(uint64_t rounds, uint64_t seed) {
  Random random(seed);
  char scratch[] = "/tmp/berth-layers-fuzz-XXXXXX";
  Require(mkdtemp(scratch) != nullptr, "cannot make a scratch directory");
  bool root = geteuid() == 0;
  const std::vector<std::string> seeds = SeedArchives();
  for (const std::string& archive : seeds)
    Require(ReadArchive(archive, &random), "a sound archive was refused");
  bool mounts = root && CanMountImages(scratch);
  uint64_t accepted = 0, recorded = 0, alike = 0;
  for (const std::string& archive : seeds)
    if (root) CompareForms(archive, scratch, mounts, &random);
  for (uint64_t round = 0; round < rounds; round++) {
    const std::string& archive = seeds[random.Below(seeds.size())];
    std::string damaged = MutateArchive(archive, &random);
    accepted += ReadArchive(damaged, &random) ? 1 : 0;
    if (root && round % 4 == 0) UnpackArchive(damaged, scratch, &random);
    if (root && round % 8 == 2) alike += CompareForms(damaged, scratch, mounts, &random) ? 1 : 0;
    if (root && round % 4 == 1)
      alike += CompareForms(RandomArchive(&random), scratch, mounts, &random) ? 1 : 0;
    if (round % 8 == 0) CheckStreams(damaged, &random);
    if (root && round % 32 == 0) RunPipeline(Gzip(damaged), FramedFile{}, scratch, &random);
    if (root && round % 32 == 16) RunFile(damaged.substr(random.Below(damaged.size())), scratch, &random);
    if (root && round % 16 == 0)
      recorded += CheckRecords(round % 32 == 0 ? archive : damaged, scratch, &random) ? 1 : 0;
  }
  rmdir(scratch);
  Require(!root || rounds < 1000 || recorded > rounds / 64, "hardly a layer was unpacked with its record");
  printf("layers_fuzz: %ju rounds, %ju archives read to the end, %ju unpacked with a record, "
         "%ju alike in both forms%s\n",
         uintmax_t{rounds}, uintmax_t{accepted}, uintmax_t{recorded}, uintmax_t{alike},
         !root    ? " (not root)"
         : mounts ? ""
                  : " (images are not mounted here)");
  return 0;
}

}  // namespace

}  // namespace berth::fuzz

int main(int argc, char** argv) {
  uint64_t rounds = argc > 1 ? strtoull(argv[1], nullptr, 10) : 4000;
  uint64_t seed = argc > 2 ? strtoull(argv[2], nullptr, 10) : 1;
  return berth::fuzz::Main(rounds, seed);
}
