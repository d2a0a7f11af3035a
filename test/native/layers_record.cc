#include "layers_record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "../../addon/kernel/pipeline.h"
#include "../../addon/kernel/tar_record_header.h"
#include "../../addon/kernel/tar_replay.h"
#include "../../addon/kernel/tree.h"

namespace berth::fuzz {

namespace {

constexpr TarLimits kLimits{1 << 20, 500};
constexpr char kSecret[] = "SECRET-THAT-LIES-OUTSIDE";

std::string ReadFile(const std::string& path) {
  std::string text;
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char buffer[4096];
  for (ssize_t size; (size = read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(size));
  return text;
}

void WriteFile(const std::string& path, const std::string& text) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  Require(write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()), "cannot write");
}

bool Unpack(const std::string& archive, const std::string& layer, const std::string& record,
            UnpackOutcome* outcome) {
  UnpackRequest request{layer, kLimits, "", record, {}, LayerForm::kDirectory};
  auto pipeline = std::make_shared<Pipeline>(std::move(request));
  Require(pipeline->Start().ok(), "threads cannot be started");
  const uint8_t* data = reinterpret_cast<const uint8_t*>(archive.data());
  for (size_t at = 0, taken = 0; at < archive.size(); at += taken) {
    if (!pipeline->Write(data + at, archive.size() - at, &taken).ok()) break;
    if (taken == 0 && !WaitForRoom(pipeline.get()).ok()) break;
  }
  bool sound = pipeline->Finish(outcome).ok();
  pipeline->Join();
  return sound;
}

/// Everything that a record can be asked. True when a tar came out, in `*tar`.
bool ReplayAll(const std::string& layer, const std::string& record, std::string* tar, size_t* damaged) {
  tar->clear();
  bool made = false;
  for (ReplayMode mode : {ReplayMode::kCheck, ReplayMode::kVerify, ReplayMode::kRecreate}) {
    LayerReplay replay(layer, record, mode);
    Result result = replay.Open();
    for (bool more = true; result.ok() && more;)
      result = replay.Step(mode == ReplayMode::kRecreate ? tar : nullptr, &more);
    Require(result.ok() || result.step[0] != '\0', "an error without a step");
    if (mode == ReplayMode::kVerify) *damaged = result.ok() ? replay.damage().size() : 1;
    made = result.ok();
  }
  Require(tar->find(kSecret) == std::string::npos, "something was read outside of the layer");
  return made;
}

std::string Inflated(const std::string& record) {
  const char* body = record.data() + kRecordHeaderBytes;
  size_t size = record.size() - kRecordHeaderBytes;
  std::string frames(4 << 20, '\0');
  size_t made = ZSTD_decompress(&frames[0], frames.size(), body, size);
  Require(!ZSTD_isError(made), "a record that was just written cannot be read");
  frames.resize(made);
  return frames;
}

/// A record whose head and checksums are right and whose frames are not.
std::string Forge(const std::string& record, Random* random) {
  RecordSummary summary;
  Require(DecodeRecordHeader(reinterpret_cast<const uint8_t*>(record.data()), &summary), "no header");
  std::string frames = MutateBytes(Inflated(record), random);
  if (random->Below(4) == 0) summary.tar_bytes = random->Next() >> random->Below(64);
  if (random->Below(4) == 0) summary.entries = random->Below(10);
  if (random->Below(2) == 0) summary.lost = "";
  std::string forged(kRecordHeaderBytes, '\0');
  EncodeRecordHeader(summary, reinterpret_cast<uint8_t*>(&forged[0]));
  return forged + Zstd(frames);
}

/// Puts links to the outside, or something else, where the layer has its files.
void ChangeLayer(const std::string& layer, const std::string& outside, Random* random) {
  static const char* const kNames[] = {"/d/f", "/d", "/l", "/e", "/cut", "/s", "/sparse", "/d/inside"};
  std::string path = layer + kNames[random->Below(sizeof kNames / sizeof *kNames)];
  if (random->Below(3) == 0) {
    if (truncate(path.c_str(), static_cast<off_t>(random->Below(3000))) != 0) return;
    return;
  }
  Require(RemoveTree(path).ok(), "the layer cannot be changed");
  switch (random->Below(4)) {
    case 0:
      (void)!symlink((outside + "/secret").c_str(), path.c_str());
      break;
    case 1:
      (void)!symlink(outside.c_str(), path.c_str());
      break;
    case 2:
      (void)!mkfifo(path.c_str(), 0600);
      break;
    default:
      (void)!mkdir(path.c_str(), 0700);
  }
}

}  // namespace

bool CheckRecords(const std::string& archive, const std::string& scratch, Random* random) {
  const std::string layer = scratch + "/layer", record = scratch + ".record", outside = scratch + ".outside";
  Require(mkdir(layer.c_str(), 0755) == 0 && mkdir(outside.c_str(), 0700) == 0, "cannot make directories");
  for (const char* name : {"/secret", "/f", "/inside"}) WriteFile(outside + name, kSecret);
  UnpackOutcome outcome;
  bool unpacked = Unpack(archive, layer, record, &outcome);
  if (unpacked) {
    std::string tar;
    size_t damaged = 0;
    bool made = ReplayAll(layer, record, &tar, &damaged);
    Require(made == outcome.lost.empty(), "a layer was not made again, and nothing was lost of it");
    Require(!made || tar == archive, "another tar was made than the layer's");
    Require(damaged == 0, "a layer was called damaged that was just unpacked");
    const std::string sound = ReadFile(record);
    for (int i = 0; i < 4; i++) {
      WriteFile(record, random->Below(3) == 0 ? MutateBytes(sound, random) : Forge(sound, random));
      made = ReplayAll(layer, record, &tar, &damaged);
      Require(!made || tar == archive, "a forged record made another tar");
    }
    WriteFile(record, sound);
    ChangeLayer(layer, outside, random);
    made = ReplayAll(layer, record, &tar, &damaged);
    Require(!made || tar == archive, "a changed layer made another tar");
  }
  for (const std::string& path : {layer, record, outside}) Require(RemoveTree(path).ok(), "cannot clean up");
  return unpacked;
}

}  // namespace berth::fuzz
