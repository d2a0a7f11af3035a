// Reads damaged plans, frames and outputs, a fixed number of them and the same ones every time. Built with
// ASan and UBSan: what it looks for is their complaints, and logs that lose or bend a byte.
//
//   monitor_fuzz <directory of plans> [rounds] [seed]

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../addon/init/plan.h"
#include "../../addon/kernel/fd.h"
#include "../../addon/monitor/log_pump.h"
#include "../../addon/monitor/protocol.h"

namespace berth::fuzz {

namespace {

/// xorshift64*: the same sequence for the same seed everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  uint64_t Next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1dULL;
  }
  /// Below `limit`.
  uint64_t Below(uint64_t limit) { return limit == 0 ? 0 : (Next() >> 11) % limit; }

 private:
  uint64_t state_;
};

void Require(bool condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "monitor_fuzz: %s\n", what);
  abort();
}

std::string ReadFile(const std::string& path) {
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Require(file.valid(), "cannot open a file");
  std::string text;
  char buffer[65536];
  ssize_t size;
  while ((size = read(file.get(), buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<size_t>(size));
  return text;
}

std::vector<std::string> ReadPlans(const std::string& directory) {
  std::vector<std::string> names, plans;
  DIR* entries = opendir(directory.c_str());
  Require(entries != nullptr, "cannot open the directory of plans");
  while (const dirent* entry = readdir(entries)) {
    std::string name = entry->d_name;
    if (name.size() > 4 && name.substr(name.size() - 4) == ".bin") names.push_back(name);
  }
  closedir(entries);
  // The order of a directory is no one's promise.
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) plans.push_back(ReadFile(directory + "/" + name));
  Require(!plans.empty(), "there are no plans");
  return plans;
}

// -- plans ---------------------------------------------------------------------------------------

void Damage(std::string* bytes, Random* random) {
  static const uint32_t kNumbers[] = {0,      1,       2,          7,          63,         64,         255,
                                      0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff, 4096};
  if (bytes->empty()) return;
  size_t at = random->Below(bytes->size());
  switch (random->Below(6)) {
    case 0: (*bytes)[at] = static_cast<char>(random->Next()); return;
    case 1: (*bytes)[at] ^= static_cast<char>(1 << random->Below(8)); return;
    case 2: bytes->resize(at); return;
    case 3: bytes->append(random->Below(200), static_cast<char>(random->Next())); return;
    case 4: bytes->erase(at, random->Below(100)); return;
    default: {
      uint32_t number = kNumbers[random->Below(sizeof kNumbers / sizeof kNumbers[0])];
      if (random->Below(3) == 0) number = static_cast<uint32_t>(bytes->size() - random->Below(8));
      at &= ~size_t{3};
      if (at + sizeof number <= bytes->size()) memcpy(bytes->data() + at, &number, sizeof number);
    }
  }
}

/// Right again most of the time, since nothing behind a wrong size is ever looked at.
void MendHeader(std::string* bytes, Random* random) {
  if (bytes->size() < sizeof(PlanHeader) || random->Below(8) == 0) return;
  PlanHeader header;
  memcpy(&header, bytes->data(), sizeof header);
  header.magic = kPlanMagic;
  header.version = kPlanVersion;
  header.total_size = static_cast<uint32_t>(bytes->size());
  memcpy(bytes->data(), &header, sizeof header);
}

size_t WalkStrings(const char* text, uint64_t count) {
  size_t sum = 0;
  for (uint64_t i = 0; i < count; i++) {
    size_t length = strlen(text);
    sum += length;
    text += length + 1;
  }
  return sum;
}

/// Touches what the steps touch, in the way they do.
size_t UsePlan(const Plan& plan) {
  size_t sum = 0;
  for (bool environment : {false, true}) {
    std::vector<const char*> pointers(plan.exec_arguments(environment) + 1);
    for (uint16_t i = 0; i < plan.header().step_count; i++) {
      const PlanStep& step = plan.step(i);
      if (step.op != static_cast<uint16_t>(Op::kExec)) continue;
      SplitStrings(plan.text(step, environment ? 1 : 0), environment ? step.b : step.a, pointers.data());
      for (const char* text : pointers) sum += text == nullptr ? 0 : strlen(text);
      break;  // the first one executes
    }
  }
  for (uint16_t i = 0; i < plan.header().step_count; i++) {
    const PlanStep& step = plan.step(i);
    Require(step.slot < kPlanSlots, "a slot out of range was accepted");
    for (int index = 0; index < 4; index++) {
      const char* text = plan.text(step, index);
      sum += strlen(text);
      for (uint32_t at = 0; at < plan.length(step, index); at++) sum += static_cast<uint8_t>(text[at]);
    }
    if (step.op == static_cast<uint16_t>(Op::kMount)) sum += WalkStrings(plan.text(step, 3), step.b);
    if (step.op == static_cast<uint16_t>(Op::kOverlayRoot)) {
      sum += WalkStrings(plan.text(step, 1), step.a) + WalkStrings(plan.text(step, 2), 2);
    }
    if (step.op == static_cast<uint16_t>(Op::kSetGroups)) {
      Require(step.a * 4 == plan.length(step, 0), "more groups than bytes were accepted");
    }
  }
  return sum;
}

bool ReadPlan(const std::string& bytes, size_t* sum) {
  // In memory of exactly its size, so that ASan sees a byte too far.
  std::unique_ptr<uint64_t[]> buffer(new uint64_t[(bytes.size() + 7) / 8]);
  std::unique_ptr<uint8_t[]> exact(new uint8_t[bytes.size()]);
  bool aligned = reinterpret_cast<uintptr_t>(exact.get()) % 8 == 0;
  uint8_t* data = aligned ? exact.get() : reinterpret_cast<uint8_t*>(buffer.get());
  if (!bytes.empty()) memcpy(data, bytes.data(), bytes.size());
  Plan plan;
  if (!Plan::Parse(data, bytes.size(), &plan).ok()) return false;
  *sum += UsePlan(plan);
  return true;
}

// -- frames --------------------------------------------------------------------------------------

void ReadFrame(Random* random) {
  FrameWriter writer(FrameType::kPrepare, static_cast<uint32_t>(random->Next()));
  writer.Str("id").U8(7).U32(5).U64(random->Next()).Str(std::string(random->Below(400), 'x'));
  std::string frame = writer.Bytes();
  for (uint64_t round = random->Below(4); round > 0; round--) Damage(&frame, random);
  std::unique_ptr<char[]> exact(new char[frame.size()]);
  if (!frame.empty()) memcpy(exact.get(), frame.data(), frame.size());
  FieldReader reader(std::string_view(exact.get(), frame.size()));
  for (int field = 0; field < 40; field++) {
    bool was_ok = reader.ok();
    size_t size = 0;
    switch (random->Below(5)) {
      case 0: reader.U8(); break;
      case 1: reader.U16(); break;
      case 2: reader.U32(); break;
      case 3: size = reader.Str().size(); break;
      default: size = reader.Blob().size();
    }
    Require(was_ok || (!reader.ok() && size == 0), "a reader recovered");
    Require(size <= frame.size(), "a field is longer than its frame");
  }
}

// -- logs ----------------------------------------------------------------------------------------

/// What the records of one stream say, put together again.
std::string TextOf(const std::string& log, const char* stream) {
  std::string text;
  for (size_t at = 0; at < log.size();) {
    size_t end = log.find('\n', at);
    Require(end != std::string::npos, "the log's last record is not finished");
    // "2026-01-02T03:04:05.123456789Z stdout F "
    Require(end - at >= 40 && log[at + 29] == 'Z', "a record without its time");
    std::string line = log.substr(at, end - at);
    Require(line.size() - 40 <= kLogLineMax, "a record is too long");
    bool full = line[38] == 'F';
    Require(full || line[38] == 'P', "a record without its tag");
    if (line.compare(31, 6, stream) == 0) text += line.substr(40) + (full ? "\n" : "");
    at = end + 1;
  }
  return text;
}

void PumpLog(const std::string& path, Random* random) {
  unlink(path.c_str());
  LogPump pump;
  Require(pump.Open(path).ok(), "the log cannot be opened");
  std::string expected[2];
  for (uint64_t round = random->Below(30); round > 0; round--) {
    bool is_stderr = random->Below(2) == 1;
    size_t size = random->Below(random->Below(3) == 0 ? 70000 : 300);
    std::unique_ptr<char[]> piece(new char[size]);
    uint64_t lines = 1 + random->Below(2000);
    for (size_t i = 0; i < size; i++) piece[i] = random->Below(lines) == 0 ? '\n' : 'a' + char(i % 26);
    pump.Write(is_stderr, std::string_view(piece.get(), size));
    expected[is_stderr ? 1 : 0].append(piece.get(), size);
    if (random->Below(10) == 0) Require(pump.Reopen().ok(), "the log cannot be opened again");
  }
  pump.Close();
  std::string log = ReadFile(path);
  for (int stream = 0; stream < 2; stream++) {
    std::string text = TextOf(log, stream == 1 ? "stderr" : "stdout");
    // The end of the output ends its last line.
    if (text == expected[stream] + "\n") text.pop_back();
    Require(text == expected[stream], "the log is not what was written");
  }
}

int Main(const char* directory, uint64_t rounds, uint64_t seed) {
  Random random(seed);
  const std::vector<std::string> plans = ReadPlans(directory);
  size_t sum = 0;
  for (const std::string& plan : plans) Require(ReadPlan(plan, &sum), "a sound plan was refused");
  char scratch[] = "/tmp/berth-monitor-fuzz-XXXXXX";
  Require(mkdtemp(scratch) != nullptr, "cannot make a scratch directory");
  const std::string log = std::string(scratch) + "/log";
  uint64_t accepted = 0;
  for (uint64_t round = 0; round < rounds; round++) {
    std::string plan = plans[random.Below(plans.size())];
    for (uint64_t damage = 1 + random.Below(4); damage > 0; damage--) Damage(&plan, &random);
    MendHeader(&plan, &random);
    accepted += ReadPlan(plan, &sum) ? 1 : 0;
    ReadFrame(&random);
    if (round % 64 == 0) PumpLog(log, &random);
  }
  unlink(log.c_str());
  rmdir(scratch);
  printf("monitor_fuzz: %ju rounds, %ju plans accepted, sum %zx\n", uintmax_t{rounds}, uintmax_t{accepted},
         sum);
  return 0;
}

}  // namespace

}  // namespace berth::fuzz

int main(int argc, char** argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: monitor_fuzz <directory of plans> [rounds] [seed]\n");
    return 2;
  }
  uint64_t rounds = argc > 2 ? strtoull(argv[2], nullptr, 10) : 20000;
  uint64_t seed = argc > 3 ? strtoull(argv[3], nullptr, 10) : 1;
  return berth::fuzz::Main(argv[1], rounds, seed);
}
