#include <napi.h>

namespace berth::binding {

void RegisterNetns(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
