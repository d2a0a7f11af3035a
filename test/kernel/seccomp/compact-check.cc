// compact-check SEED ROUNDS: compiles random profiles by libseccomp, makes them compact, and compares what
// the two programs answer, interpreted here. Prints how many of them became smaller.

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "kernel/seccomp_compact.h"

using Program = std::vector<sock_filter>;

static std::mt19937_64 random_bits;

static uint64_t Below(uint64_t bound) { return random_bits() % bound; }

static uint32_t Run(const Program& program, const seccomp_data& data) {
  uint32_t value = 0;
  for (size_t pc = 0; pc < program.size();) {
    const sock_filter& step = program[pc++];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS: memcpy(&value, reinterpret_cast<const char*>(&data) + step.k, 4); break;
      case BPF_ALU | BPF_AND | BPF_K: value &= step.k; break;
      case BPF_RET | BPF_K: return step.k;
      case BPF_JMP | BPF_JA: pc += step.k; break;
      case BPF_JMP | BPF_JEQ | BPF_K: pc += value == step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JGT | BPF_K: pc += value > step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JGE | BPF_K: pc += value >= step.k ? step.jt : step.jf; break;
      case BPF_JMP | BPF_JSET | BPF_K: pc += (value & step.k) != 0 ? step.jt : step.jf; break;
      default: fprintf(stderr, "instruction %x\n", step.code); exit(1);
    }
  }
  fprintf(stderr, "the program has no end\n");
  exit(1);
}

static uint32_t RandomAction() {
  const uint32_t actions[] = {SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(1), SCMP_ACT_ERRNO(38), SCMP_ACT_KILL_PROCESS,
                              SCMP_ACT_LOG};
  return actions[Below(5)];
}

static uint64_t RandomArgument() {
  const uint64_t some[] = {0, 1, 2, 38, 40, 0xffffffff, 0x100000001, 0x7e020000, ~0ULL};
  return Below(3) == 0 ? random_bits() : some[Below(9)];
}

static Program RandomProfile() {
  uint32_t standard = RandomAction();
  scmp_filter_ctx filter = seccomp_init(standard);
  seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(38));
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, Below(4) == 0 ? 1 : 2);
  const uint32_t more[] = {SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM};
  for (uint32_t architecture : more) {
    if (Below(3) == 0) seccomp_arch_add(filter, architecture);
  }
  // Few calls, most of them, and everything between.
  uint64_t share = 50 + Below(51), with_arguments = Below(8);
  uint32_t action = RandomAction();
  int calls = 20 + static_cast<int>(Below(440));
  for (int number = 0; number < calls; number++) {
    if (Below(25) == 0) action = RandomAction();
    if (Below(100) >= share) continue;
    if (action == standard) continue;
    if (Below(100) >= with_arguments) {
      seccomp_rule_add(filter, action, number, 0);
      continue;
    }
    for (uint64_t rules = 1 + Below(3); rules > 0; rules--) {
      auto compare = static_cast<scmp_compare>(SCMP_CMP_NE + Below(7));
      scmp_arg_cmp argument = {static_cast<unsigned>(Below(6)), compare, RandomArgument(), RandomArgument()};
      // Some contradict others and are refused.
      seccomp_rule_add_array(filter, action, number, 1, &argument);
    }
  }
  int memory = memfd_create("filter", 0);
  seccomp_export_bpf(filter, memory);
  seccomp_release(filter);
  Program program(static_cast<size_t>(lseek(memory, 0, SEEK_END)) / sizeof(sock_filter));
  ssize_t size = pread(memory, program.data(), program.size() * sizeof(sock_filter), 0);
  close(memory);
  if (size > 0) return program;
  fprintf(stderr, "nothing was exported\n");
  exit(1);
}

static bool SameAnswers(const Program& before, const Program& after) {
  const uint32_t known[] = {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_AARCH64, SCMP_ARCH_ARM, 0, ~0U};
  for (int step = 0; step < 20000; step++) {
    seccomp_data data;
    memset(&data, 0, sizeof data);
    data.arch = Below(50) == 0 ? static_cast<uint32_t>(random_bits()) : known[Below(6)];
    // At the edges of what any instruction compares with, too.
    const sock_filter& some = before[Below(before.size())];
    uint32_t number = Below(3) == 0 ? some.k + static_cast<uint32_t>(Below(3)) - 1
                                    : static_cast<uint32_t>(Below(500)) | (Below(10) == 0 ? 0x40000000 : 0);
    data.nr = static_cast<int>(number);
    for (__u64& argument : data.args) argument = RandomArgument();
    if (Run(before, data) == Run(after, data)) continue;
    fprintf(stderr, "arch %x number %u: %x before, %x after\n", data.arch, number, Run(before, data),
            Run(after, data));
    return false;
  }
  return true;
}

int main(int, char** arguments) {
  random_bits.seed(strtoull(arguments[1], nullptr, 10));
  int smaller = 0;
  for (long round = 0; round < strtol(arguments[2], nullptr, 10); round++) {
    Program before = RandomProfile(), after = before;
    berth::CompactSeccomp(&after);
    if (!SameAnswers(before, after)) return 1;
    smaller += after.size() < before.size() ? 1 : 0;
  }
  printf("%d\n", smaller);
}
