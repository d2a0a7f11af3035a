#include <napi.h>

namespace berth::binding {

void RegisterCgroup(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
