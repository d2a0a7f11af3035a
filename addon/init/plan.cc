#include "plan.h"

#include <cstring>

namespace berth {

namespace {

Result Bad() { return Result::failure("plan", EINVAL); }

/// Counts the NUL-terminated strings in a text of `length` bytes that is itself followed by a NUL.
uint64_t CountStrings(const char* text, uint32_t length) {
  if (length == 0) return 0;
  uint64_t count = 1;
  for (uint32_t i = 0; i < length; i++) count += text[i] == '\0' ? 1 : 0;
  return count;
}

bool CountsMatch(const Plan& plan, const PlanStep& step) {
  // A count of one with an empty text is one empty string.
  auto holds = [&](uint64_t count, int index) {
    uint64_t found = CountStrings(plan.text(step, index), plan.length(step, index));
    return count <= kPlanArgumentsMax && (count == found || (count == 1 && found == 0));
  };
  switch (static_cast<Op>(step.op)) {
    case Op::kExec: return step.a > 0 && holds(step.a, 0) && holds(step.b, 1);
    case Op::kMount: return holds(step.b, 3);
    case Op::kOverlayRoot:
      return step.a > 0 && holds(step.a, 1) && CountStrings(plan.text(step, 2), plan.length(step, 2)) == 2;
    case Op::kImageTree: return step.a > 0 && holds(step.a, 1);
    case Op::kSetGroups: return step.a <= kPlanArgumentsMax && step.a * 4 == plan.length(step, 0);
    case Op::kSeccomp: return plan.length(step, 0) % 8 == 0 && plan.length(step, 0) > 0;
    default: return true;
  }
}

}  // namespace

Result Plan::Parse(const uint8_t* data, size_t size, Plan* plan) {
  if (size < sizeof(PlanHeader)) return Bad();
  plan->data_ = data;
  const PlanHeader& header = plan->header();
  if (header.magic != kPlanMagic || header.version != kPlanVersion) return Bad();
  if (header.total_size != size || header.step_count > kPlanStepsMax) return Bad();
  size_t records_end = sizeof(PlanHeader) + size_t{header.step_count} * sizeof(PlanStep);
  if (header.blob_offset < records_end || header.blob_offset > size) return Bad();
  size_t blob_size = size - header.blob_offset;
  for (uint16_t i = 0; i < header.step_count; i++) {
    const PlanStep& step = plan->step(i);
    if (step.op < 1 || step.op > static_cast<uint16_t>(Op::kLast) || step.slot >= kPlanSlots) return Bad();
    for (const PlanString& string : step.s) {
      if (string.length == 0) continue;
      if (string.offset >= blob_size || string.length >= blob_size - string.offset) return Bad();
      if (data[header.blob_offset + string.offset + string.length] != '\0') return Bad();
    }
    if (!CountsMatch(*plan, step)) return Bad();
  }
  return Result::success();
}

uint16_t Plan::Find(Op op) const {
  uint16_t index = 0;
  while (index < header().step_count && static_cast<Op>(step(index).op) != op) index++;
  return index;
}

uint64_t Plan::exec_arguments(bool environment) const {
  for (uint16_t i = 0; i < header().step_count; i++) {
    if (step(i).op == static_cast<uint16_t>(Op::kExec)) return environment ? step(i).b : step(i).a;
  }
  return 0;
}

void SplitStrings(const char* text, uint64_t count, const char** pointers) {
  for (uint64_t i = 0; i < count; i++) {
    pointers[i] = text;
    text += strlen(text) + 1;
  }
  pointers[count] = nullptr;
}

}  // namespace berth
