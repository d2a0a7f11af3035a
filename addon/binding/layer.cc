#include <napi.h>

namespace berth::binding {

void RegisterLayer(Napi::Env, Napi::Object) {}

}  // namespace berth::binding
