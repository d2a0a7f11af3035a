#include "device_filter.h"

#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

#include "cgroup.h"
#include "fd.h"

namespace berth {

namespace {

constexpr uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
// Registers: r1 is the context, then scratch.
constexpr uint8_t kScratch = BPF_REG_1;
constexpr uint8_t kType = BPF_REG_2;
constexpr uint8_t kAccess = BPF_REG_3;
constexpr uint8_t kMajor = BPF_REG_4;
constexpr uint8_t kMinor = BPF_REG_5;

bpf_insn Instruction(int code, uint8_t destination, uint8_t source, int offset, int32_t value) {
  bpf_insn instruction;
  memset(&instruction, 0, sizeof instruction);
  instruction.code = static_cast<uint8_t>(code);
  instruction.dst_reg = destination & 0xfU;
  instruction.src_reg = source & 0xfU;
  instruction.off = static_cast<int16_t>(offset);
  instruction.imm = value;
  return instruction;
}

using Program = std::vector<bpf_insn>;

void Load(Program* program, uint8_t to, size_t offset) {
  program->push_back(Instruction(BPF_LDX | BPF_W | BPF_MEM, to, BPF_REG_1, static_cast<int>(offset), 0));
}

void Answer(Program* program, int32_t value) {
  program->push_back(Instruction(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value));
  program->push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

/// The device's facts into registers.
void Begin(Program* program) {
  Load(program, kType, offsetof(bpf_cgroup_dev_ctx, access_type));
  program->push_back(Instruction(BPF_ALU | BPF_MOV | BPF_X, kAccess, kType, 0, 0));
  program->push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff));
  program->push_back(Instruction(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16));
  Load(program, kMajor, offsetof(bpf_cgroup_dev_ctx, major));
  Load(program, kMinor, offsetof(bpf_cgroup_dev_ctx, minor));
}

/// Answers yes when the rule fits, else goes on behind it. Returns whether anything may come behind: the
/// kernel refuses what is never reached.
bool Allow(Program* program, const DeviceRule& rule) {
  Program tests;
  const auto differs = [&tests](uint8_t reg, int32_t value) {
    tests.push_back(Instruction(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, value));
  };
  if (rule.type != 'a') differs(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  if ((rule.access & kAllAccess) != kAllAccess) {
    // Everything that is wanted must be allowed.
    tests.push_back(Instruction(BPF_ALU | BPF_MOV | BPF_X, kScratch, kAccess, 0, 0));
    int32_t access = static_cast<int32_t>(rule.access & kAllAccess);
    tests.push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kScratch, 0, 0, access));
    tests.push_back(Instruction(BPF_JMP32 | BPF_JNE | BPF_X, kScratch, kAccess, 0, 0));
  }
  if (rule.major >= 0) differs(kMajor, static_cast<int32_t>(rule.major));
  if (rule.minor >= 0) differs(kMinor, static_cast<int32_t>(rule.minor));
  constexpr int kAnswer = 2;
  for (size_t i = 0; i < tests.size(); i++) {
    int rest = static_cast<int>(tests.size() - i) - 1;
    bool jumps = BPF_CLASS(tests[i].code) == BPF_JMP32;
    if (jumps) tests[i].off = static_cast<int16_t>(rest + kAnswer);
  }
  program->insert(program->end(), tests.begin(), tests.end());
  Answer(program, 1);
  return !tests.empty();
}

int Bpf(int command, bpf_attr* attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, attributes, sizeof *attributes));
}

/// The kernel opens programs close-on-exec.
Fd LoadProgram(const Program& program) {
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = reinterpret_cast<uint64_t>(program.data());
  attributes.insn_cnt = static_cast<uint32_t>(program.size());
  attributes.license = reinterpret_cast<uint64_t>("Apache-2.0");
  memcpy(attributes.prog_name, "berth_devices", sizeof "berth_devices");
  return Fd(Bpf(BPF_PROG_LOAD, &attributes));
}

}  // namespace

bool CanFilterDevices() {
  Program program;
  Answer(&program, 0);
  return LoadProgram(program).valid();
}

Result AttachDeviceFilter(const std::string& cgroup, const std::vector<DeviceRule>& rules) {
  Fd directory;
  Result result = OpenCgroup(cgroup, &directory);
  if (!result.ok()) return result;
  Program program;
  Begin(&program);
  bool more = true;
  for (size_t i = 0; more && i < rules.size(); i++) more = Allow(&program, rules[i]);
  if (more) Answer(&program, 0);
  Fd loaded = LoadProgram(program);
  if (!loaded.valid()) return Result::last("bpf load device filter", cgroup.c_str());
  bpf_attr attributes;
  memset(&attributes, 0, sizeof attributes);
  attributes.target_fd = static_cast<uint32_t>(directory.get());
  attributes.attach_bpf_fd = static_cast<uint32_t>(loaded.get());
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (Bpf(BPF_PROG_ATTACH, &attributes) != 0) return Result::last("bpf attach device filter", cgroup.c_str());
  return Result::success();
}

}  // namespace berth
