// Smaller seccomp programs. libseccomp compares the call's number with one number after another, a thousand
// instructions for a usual profile, and the kernel checks, translates and compiles all of them for every
// process that loads them. Neighbouring numbers mostly have the same answer: a search over ranges needs a
// third.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace berth {

/// Rewrites `program` so that it gives the same answer to every call. One that does more with architecture
/// and number than to compare them, or that does not get smaller, stays as it is.
void CompactSeccomp(std::vector<sock_filter>* program);

}  // namespace berth
