#pragma once
#include "weights/architectures/architecture.hpp"

namespace shardrift {
extern const Architecture kOlmo2;
extern const Architecture kOlmo3;
}  // namespace shardrift
