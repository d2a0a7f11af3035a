// Seccomp rules to a BPF program, by libseccomp. The rules are those of SeccompRules in src/kernel/kernel.ts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "result.h"

namespace berth {

struct SeccompArgument {
  unsigned index = 0;  // 0..5
  std::string op;      // "SCMP_CMP_EQ", ...
  uint64_t value = 0;  // the mask, for SCMP_CMP_MASKED_EQ
  uint64_t value_two = 0;
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW", ...
  uint16_t error = 0;
  std::vector<SeccompArgument> args;
};

struct SeccompProfile {
  std::string default_action;
  uint16_t default_error = 0;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64", ...; empty: the machine's own
  std::vector<SeccompRule> rules;
};

/// Compiles `profile` to an array of struct sock_filter, as a search over the call's number (CompactSeccomp).
/// Names that this libseccomp does not know are skipped. Calls of other architectures get ENOSYS.
/// Fails with EINVAL and the offending word as path, or with E2BIG when no kernel could load the program.
Result CompileSeccomp(const SeccompProfile& profile, std::vector<uint8_t>* program);

}  // namespace berth
