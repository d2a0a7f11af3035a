#include <napi.h>

namespace berth::binding {

void RegisterHost(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
