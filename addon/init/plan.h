// The plan as bytes: mirror of src/spec/encode-plan.ts. Little endian, one buffer, no pointers.
//
//   header 32 bytes | `step_count` records of 64 bytes | strings, each followed by a NUL
//
// Parse() checks every offset once, before a process is cloned; the steps then use the strings in place.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../kernel/result.h"

namespace berth {

enum class Op : uint16_t {
  kJoinNetns = 1,
  kUnshare = 2,
  kSetHostname = 3,
  kSysctl = 4,
  kCreateShm = 5,
  kPodInit = 6,
  kMountPropagation = 7,
  kOpenTree = 8,
  kOpenShm = 9,
  kOverlayRoot = 10,
  kMount = 11,
  kAttachTree = 12,
  kMakeNode = 13,
  kSymlink = 14,
  kMakeDir = 15,
  kMask = 16,
  kReadonlyPath = 17,
  kRootReadonly = 18,
  kConsole = 19,
  kPivotRoot = 20,
  kJoin = 21,
  kOomScore = 22,
  kRlimit = 23,
  kSessionKeyring = 24,
  kCapBounding = 25,
  kSetGroups = 26,
  kSetUser = 27,
  kCapSet = 28,
  kCapAmbient = 29,
  kNoNewPrivs = 30,
  kSeccomp = 31,
  kUmask = 32,
  kChdir = 33,
  kExecAttribute = 34,
  kReady = 35,
  kExec = 36,
  kPause = 37,
  kJoinPath = 38,
  kHostRoot = 39,
  kUserNamespace = 40,
  kEnterUserNamespace = 41,
  kTakeMounts = 42,
  kBecomeRoot = 43,
  kOwnStdio = 44,
  kMapSnapshots = 45,
  kFileIds = 46,
  kImageTree = 47,
  kDelegateCgroup = 48,
  kShareGroup = 49,
  kMountLabel = 50,
  kOpenUserNamespace = 51,
  kHostDirectory = 52,
  kLockMounts = 53,
  kLast = kLockMounts,
};

enum class PidNamespace : uint32_t { kOwn = 0, kPod = 1, kContainer = 2 };

struct PlanString {
  uint32_t offset;
  uint32_t length;
};

struct PlanHeader {
  uint32_t magic;
  uint16_t version;
  uint16_t step_count;
  uint32_t clone_flags;
  uint32_t pid_namespace;
  uint32_t blob_offset;
  uint32_t total_size;
  uint32_t reserved[2];
};
static_assert(sizeof(PlanHeader) == 32);

struct PlanStep {
  uint16_t op;
  uint16_t slot;
  uint32_t options;
  uint64_t a, b, c;
  PlanString s[4];
};
static_assert(sizeof(PlanStep) == 64);

constexpr uint32_t kPlanMagic = 0x4e4c5042;  // "BPLN"
constexpr uint16_t kPlanVersion = 1;
constexpr uint16_t kPlanStepsMax = 4096;
constexpr uint16_t kPlanSlots = 256;
constexpr uint64_t kPlanArgumentsMax = 65536;

/// A checked plan over a buffer that outlives it.
class Plan {
 public:
  /// Fails with EINVAL (step "plan") when anything in the buffer points outside of it.
  static Result Parse(const uint8_t* data, size_t size, Plan* plan);

  const PlanHeader& header() const { return *reinterpret_cast<const PlanHeader*>(data_); }
  const PlanStep& step(uint16_t index) const {
    return reinterpret_cast<const PlanStep*>(data_ + sizeof(PlanHeader))[index];
  }
  /// NUL-terminated.
  const char* text(const PlanStep& step, int index) const {
    if (step.s[index].length == 0) return "";
    return reinterpret_cast<const char*>(data_ + header().blob_offset + step.s[index].offset);
  }
  uint32_t length(const PlanStep& step, int index) const { return step.s[index].length; }
  /// Index of the first step of that kind, or the number of steps.
  uint16_t Find(Op op) const;
  /// argc or envc of the exec step, 0 when there is none.
  uint64_t exec_arguments(bool environment) const;

 private:
  const uint8_t* data_ = nullptr;
};

/// Sets `pointers` (room for count + 1) to the `count` NUL-separated strings at `text`, NULL at the end.
void SplitStrings(const char* text, uint64_t count, const char** pointers);

}  // namespace berth
