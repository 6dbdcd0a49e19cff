#pragma once
#include "weights/architectures/architecture.hpp"

namespace shardrift {
extern const Architecture kMixtral;
}
