#include "seccomp.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "fd.h"
#include "seccomp_compact.h"

namespace berth {

namespace {

using Filter = std::unique_ptr<void, decltype(&seccomp_release)>;

struct NamedOperator {
  const char* name;
  scmp_compare value;
};
constexpr NamedOperator kOperators[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT},
    {"SCMP_CMP_LE", SCMP_CMP_LE}, {"SCMP_CMP_EQ", SCMP_CMP_EQ},
    {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
};

struct NamedArchitecture {
  const char* name;
  uint32_t token;
};
constexpr NamedArchitecture kArchitectures[] = {
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
};

Result ActionOf(const std::string& name, uint16_t error, uint32_t* action) {
  if (name == "SCMP_ACT_ALLOW") {
    *action = SCMP_ACT_ALLOW;
  } else if (name == "SCMP_ACT_ERRNO") {
    *action = SCMP_ACT_ERRNO(error);
  } else if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") {
    *action = SCMP_ACT_KILL_THREAD;
  } else if (name == "SCMP_ACT_KILL_PROCESS") {
    *action = SCMP_ACT_KILL_PROCESS;
  } else if (name == "SCMP_ACT_TRAP") {
    *action = SCMP_ACT_TRAP;
  } else if (name == "SCMP_ACT_TRACE") {
    *action = SCMP_ACT_TRACE(error);
  } else if (name == "SCMP_ACT_LOG") {
    *action = SCMP_ACT_LOG;
  } else {
    return Result::failure("seccomp action", EINVAL, name.c_str());
  }
  return Result::success();
}

Result ComparisonOf(const SeccompArgument& argument, scmp_arg_cmp* comparison) {
  for (const NamedOperator& candidate : kOperators) {
    if (argument.op != candidate.name) continue;
    *comparison = {argument.index, candidate.value, argument.value, argument.value_two};
    return Result::success();
  }
  return Result::failure("seccomp operator", EINVAL, argument.op.c_str());
}

Result AddArchitecture(void* filter, const std::string& name) {
  for (const NamedArchitecture& candidate : kArchitectures) {
    if (name != candidate.name) continue;
    int result = seccomp_arch_add(filter, candidate.token);
    if (result == 0 || result == -EEXIST) return Result::success();
    return Result::failure("seccomp_arch_add", -result, name.c_str());
  }
  return Result::failure("seccomp architecture", EINVAL, name.c_str());
}

Result SetArchitectures(void* filter, const std::vector<std::string>& architectures) {
  bool native = architectures.empty();
  for (const std::string& name : architectures) {
    Result result = AddArchitecture(filter, name);
    if (!result.ok()) return result;
    for (const NamedArchitecture& candidate : kArchitectures) {
      native = native || (name == candidate.name && candidate.token == seccomp_arch_native());
    }
  }
  if (native) return Result::success();
  int result = seccomp_arch_remove(filter, SCMP_ARCH_NATIVE);
  return result == 0 ? Result::success() : Result::failure("seccomp_arch_remove", -result);
}

Result AddRule(void* filter, const SeccompRule& rule, uint32_t default_action) {
  uint32_t action = 0;
  Result result = ActionOf(rule.action, rule.error, &action);
  if (!result.ok()) return result;
  // libseccomp refuses a rule that says what the default says.
  if (action == default_action) return Result::success();
  std::vector<scmp_arg_cmp> comparisons(rule.args.size());
  for (size_t i = 0; i < rule.args.size(); i++) {
    result = ComparisonOf(rule.args[i], &comparisons[i]);
    if (!result.ok()) return result;
  }
  for (const std::string& name : rule.names) {
    int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    int added = seccomp_rule_add_array(filter, action, number, static_cast<unsigned>(comparisons.size()),
                                       comparisons.data());
    if (added != 0) return Result::failure("seccomp_rule_add", -added, name.c_str());
  }
  return Result::success();
}

void Compact(std::vector<uint8_t>* bytes) {
  std::vector<sock_filter> program(bytes->size() / sizeof(sock_filter));
  memcpy(program.data(), bytes->data(), program.size() * sizeof(sock_filter));
  CompactSeccomp(&program);
  bytes->resize(program.size() * sizeof(sock_filter));
  memcpy(bytes->data(), program.data(), bytes->size());
}

Result Export(void* filter, std::vector<uint8_t>* program) {
  Fd memory(memfd_create("seccomp", MFD_CLOEXEC));
  if (!memory.valid()) return Result::last("memfd_create", "seccomp");
  int exported = seccomp_export_bpf(filter, memory.get());
  if (exported != 0) return Result::failure("seccomp_export_bpf", -exported);
  struct stat status;
  if (fstat(memory.get(), &status) != 0) return Result::last("fstat", "seccomp");
  size_t size = static_cast<size_t>(status.st_size);
  if (size == 0 || size > BPF_MAXINSNS * sizeof(sock_filter)) {
    return Result::failure("seccomp program of more than 4096 instructions", E2BIG);
  }
  program->resize(size);
  if (pread(memory.get(), program->data(), size, 0) != static_cast<ssize_t>(size)) {
    return Result::last("pread", "seccomp");
  }
  return Result::success();
}

}  // namespace

Result CompileSeccomp(const SeccompProfile& profile, std::vector<uint8_t>* program) {
  uint32_t default_action = 0;
  Result result = ActionOf(profile.default_action, profile.default_error, &default_action);
  if (!result.ok()) return result;
  Filter filter(seccomp_init(default_action), seccomp_release);
  if (filter == nullptr) return Result::failure("seccomp_init", ENOMEM);
  struct {
    scmp_filter_attr name;
    uint32_t value;
  } attributes[] = {
      {SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS)},
      {SCMP_FLTATR_CTL_NNP, 0},
      {SCMP_FLTATR_CTL_OPTIMIZE, 2},
  };
  for (const auto& attribute : attributes) {
    int set = seccomp_attr_set(filter.get(), attribute.name, attribute.value);
    if (set != 0) return Result::failure("seccomp_attr_set", -set);
  }
  result = SetArchitectures(filter.get(), profile.architectures);
  for (size_t i = 0; result.ok() && i < profile.rules.size(); i++) {
    result = AddRule(filter.get(), profile.rules[i], default_action);
  }
  if (result.ok()) result = Export(filter.get(), program);
  if (result.ok()) Compact(program);
  return result;
}

}  // namespace berth
