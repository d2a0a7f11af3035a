// The two forms of a layer, a directory and an image, made of the same archive and compared.
#pragma once

#include <string>

#include "layers_seeds.h"

namespace berth::fuzz {

/// Unpacks the archive in both forms and aborts when they differ: another failure, another tree, or an image
/// that comes out otherwise the second time. `scratch` is an existing directory, in which nothing stays.
/// Needs root, and for the trees a kernel that mounts images from files (`mounts`). True when it was
/// unpacked.
bool CompareForms(const std::string& archive, const std::string& scratch, bool mounts, Random* random);

/// Whether the kernel mounts the image of an empty layer.
bool CanMountImages(const std::string& scratch);

}  // namespace berth::fuzz
