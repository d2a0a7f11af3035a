#include <napi.h>

namespace berth::binding {

void RegisterSeccomp(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
