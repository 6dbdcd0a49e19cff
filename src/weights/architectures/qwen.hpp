#pragma once
#include "weights/architectures/architecture.hpp"

namespace shardrift {
extern const Architecture kQwen2;
extern const Architecture kQwen3;
}  // namespace shardrift
