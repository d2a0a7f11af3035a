#include "seccomp_compact.h"

#include <linux/seccomp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace berth {

namespace {

using Program = std::vector<sock_filter>;

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint16_t kJump = BPF_JMP | BPF_JA;
constexpr uint16_t kIfEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kIfGreater = BPF_JMP | BPF_JGT | BPF_K;
constexpr uint16_t kIfNotLess = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint16_t kIfAnyBit = BPF_JMP | BPF_JSET | BPF_K;
constexpr uint32_t kNumber = offsetof(seccomp_data, nr);
constexpr uint32_t kArchitecture = offsetof(seccomp_data, arch);
constexpr size_t kFarthest = 255;

bool Compares(uint16_t code) { return code == kIfEqual || code == kIfGreater || code == kIfNotLess; }

/// What a program decides from architecture and number alone: an answer, or where it goes on with the
/// arguments.
struct Outcome {
  bool is_answer;
  uint32_t value;  // of the return, or the index of the instruction that loads an argument
  bool operator<(const Outcome& other) const {
    return std::pair(is_answer, value) < std::pair(other.is_answer, other.value);
  }
  bool operator==(const Outcome& other) const { return is_answer == other.is_answer && value == other.value; }
};

/// From `first` up to the next range's.
struct Range {
  uint32_t first;
  Outcome outcome;
  bool operator<(const Range& other) const {
    return std::pair(first, outcome) < std::pair(other.first, other.outcome);
  }
};
using Ranges = std::vector<Range>;

/// A program as far as it is understood.
class Original {
 public:
  explicit Original(const Program& program) : program_(program) {}

  /// Finds the values at which a decision may change. False for a program that is not understood.
  bool Survey() {
    std::set<std::pair<size_t, uint32_t>> seen;
    std::vector<std::pair<size_t, uint32_t>> todo = {{0, kNothing}};
    while (!todo.empty()) {
      auto at = todo.back();
      todo.pop_back();
      if (!seen.insert(at).second) continue;
      auto [pc, loaded] = at;
      if (pc >= program_.size()) return false;
      const sock_filter& step = program_[pc];
      if (step.code == kReturn) continue;
      if (step.code == kLoad && step.k != kNumber && step.k != kArchitecture) {
        if (!SurveyArguments(pc)) return false;
      } else if (step.code == kLoad) {
        todo.push_back({pc + 1, step.k});
      } else if (step.code == kJump) {
        todo.push_back({pc + 1 + step.k, loaded});
      } else if (Compares(step.code) && loaded != kNothing) {
        std::set<uint32_t>& points = loaded == kNumber ? numbers_ : architectures_;
        points.insert(step.k);
        if (step.k != UINT32_MAX) points.insert(step.k + 1);
        todo.push_back({pc + 1 + step.jt, loaded});
        todo.push_back({pc + 1 + step.jf, loaded});
      } else {
        return false;
      }
    }
    return true;
  }

  const std::set<uint32_t>& architectures() const { return architectures_; }

  Ranges NumbersOf(uint32_t architecture) const {
    Ranges ranges;
    for (uint32_t number : numbers_) {
      Outcome outcome = Decide(architecture, number);
      if (ranges.empty() || !(ranges.back().outcome == outcome)) ranges.push_back({number, outcome});
    }
    return ranges;
  }

  /// Instructions that may follow the one at `start`, and that one.
  void Follow(size_t start, std::set<size_t>* found) const {
    std::vector<size_t> todo = {start};
    while (!todo.empty()) {
      size_t pc = todo.back();
      todo.pop_back();
      if (!found->insert(pc).second) continue;
      const sock_filter& step = program_[pc];
      if (step.code == kReturn) continue;
      if (step.code == kJump) {
        todo.push_back(pc + 1 + step.k);
      } else if (BPF_CLASS(step.code) == BPF_JMP) {
        todo.push_back(pc + 1 + step.jt);
        todo.push_back(pc + 1 + step.jf);
      } else {
        todo.push_back(pc + 1);
      }
    }
  }

 private:
  static constexpr uint32_t kNothing = UINT32_MAX;

  /// It may do whatever needs no memory but the accumulator, which its first step sets.
  bool SurveyArguments(size_t start) {
    std::set<size_t> found;
    Follow(start, &found);
    return std::all_of(found.begin(), found.end(), [this](size_t pc) {
      uint16_t code = program_[pc].code;
      return code == kLoad || code == kAnd || code == kReturn || code == kJump || code == kIfAnyBit ||
             Compares(code);
    });
  }

  Outcome Decide(uint32_t architecture, uint32_t number) const {
    uint32_t loaded = 0;
    for (size_t pc = 0;;) {
      const sock_filter& step = program_[pc++];
      if (step.code == kReturn) return {true, step.k};
      if (step.code == kJump) {
        pc += step.k;
      } else if (step.code == kLoad) {
        if (step.k != kNumber && step.k != kArchitecture) return {false, static_cast<uint32_t>(pc - 1)};
        loaded = step.k == kNumber ? number : architecture;
      } else {
        bool holds = step.code == kIfEqual     ? loaded == step.k
                     : step.code == kIfGreater ? loaded > step.k
                                               : loaded >= step.k;
        pc += holds ? step.jt : step.jf;
      }
    }
  }

  const Program& program_;
  std::set<uint32_t> numbers_ = {0};
  std::set<uint32_t> architectures_ = {0};
};

/// A binary search whose leaves lie behind it.
class Search {
 public:
  Search(Program* out, const Ranges& ranges) : out_(out), ranges_(ranges) {}

  /// What is loaded is compared. A single range needs no search: Place() its leaf at once.
  void Emit() {
    if (ranges_.size() > 1) Emit(0, ranges_.size());
  }

  /// A jump within the search would be too long.
  bool too_far() const { return too_far_; }

  /// The next instruction is the leaf `outcome`. False when it is too far away.
  bool Place(const Outcome& outcome) {
    for (const Pending& pending : pending_) {
      if (!(ranges_[pending.range].outcome == outcome)) continue;
      size_t offset = out_->size() - pending.at - 1;
      if (offset > kFarthest) return false;
      sock_filter& step = (*out_)[pending.at];
      (pending.when_less ? step.jf : step.jt) = static_cast<uint8_t>(offset);
    }
    return true;
  }

 private:
  struct Pending {
    size_t at;
    bool when_less;
    size_t range;
  };

  void Emit(size_t from, size_t to) {
    size_t middle = from + (to - from) / 2, at = out_->size();
    out_->push_back({kIfNotLess, 0, 0, ranges_[middle].first});
    if (middle - from == 1) {
      pending_.push_back({at, true, from});
    } else {
      Emit(from, middle);
    }
    if (to - middle == 1) {
      pending_.push_back({at, false, middle});
      return;
    }
    size_t offset = out_->size() - at - 1;
    too_far_ = too_far_ || offset > kFarthest;
    (*out_)[at].jt = static_cast<uint8_t>(offset);
    Emit(middle, to);
  }

  Program* out_;
  const Ranges& ranges_;
  std::vector<Pending> pending_;
  bool too_far_ = false;
};

/// Appends the search for a call's number, and what comes behind it. False when that does not work.
bool EmitNumbers(const Program& program, const Original& original, const Ranges& ranges, Program* out) {
  out->push_back({kLoad, 0, 0, kNumber});
  Search search(out, ranges);
  search.Emit();
  std::set<Outcome> outcomes;
  for (const Range& range : ranges) outcomes.insert(range.outcome);
  std::set<size_t> rest;
  bool near = !search.too_far();
  for (const Outcome& outcome : outcomes) {
    if (!outcome.is_answer) {
      original.Follow(outcome.value, &rest);
      continue;
    }
    near = near && search.Place(outcome);
    out->push_back({kReturn, 0, 0, outcome.value});
  }
  std::map<size_t, size_t> moved;
  for (size_t pc : rest) moved.emplace(pc, out->size() + moved.size());
  for (size_t pc : rest) {
    near = near && search.Place({false, static_cast<uint32_t>(pc)});
    sock_filter step = program[pc];
    // In the same order, with what lay between left out: no jump is longer than it was.
    auto offset = [&](size_t to) { return static_cast<uint32_t>(moved.at(to) - out->size() - 1); };
    if (step.code == kJump) {
      step.k = offset(pc + 1 + step.k);
    } else if (BPF_CLASS(step.code) == BPF_JMP) {
      uint32_t when_true = offset(pc + 1 + step.jt), when_false = offset(pc + 1 + step.jf);
      step.jt = static_cast<uint8_t>(when_true);
      step.jf = static_cast<uint8_t>(when_false);
    }
    out->push_back(step);
  }
  return near;
}

}  // namespace

void CompactSeccomp(Program* program) {
  Original original(*program);
  if (!original.Survey()) return;
  // Architectures with the same answers share them.
  std::map<Ranges, uint32_t> kinds;
  Ranges architectures;
  for (uint32_t architecture : original.architectures()) {
    Ranges numbers = original.NumbersOf(architecture);
    uint32_t kind = kinds.emplace(std::move(numbers), static_cast<uint32_t>(kinds.size())).first->second;
    Outcome outcome{false, kind};
    if (architectures.empty() || !(architectures.back().outcome == outcome)) {
      architectures.push_back({architecture, outcome});
    }
  }
  Program compact;
  compact.push_back({kLoad, 0, 0, kArchitecture});
  Search search(&compact, architectures);
  search.Emit();
  bool near = !search.too_far();
  std::map<size_t, const Ranges*> jumps;
  for (const auto& [numbers, kind] : kinds) {
    near = near && search.Place({false, kind});
    jumps.emplace(compact.size(), &numbers);
    compact.push_back({kJump, 0, 0, 0});
  }
  for (const auto& [at, numbers] : jumps) {
    compact[at].k = static_cast<uint32_t>(compact.size() - at - 1);
    near = near && EmitNumbers(*program, original, *numbers, &compact);
  }
  if (near && compact.size() < program->size()) *program = std::move(compact);
}

}  // namespace berth
