#pragma once
#include "weights/architectures/architecture.hpp"

namespace shardrift {
extern const Architecture kGemma2;
extern const Architecture kGemma3;
}  // namespace shardrift
