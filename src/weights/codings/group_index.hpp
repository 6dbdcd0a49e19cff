// Act-order: columns were quantized by falling activation, so a group's columns do not lie together, and a
// tensor says which group each belongs to.
#pragma once
#include <cstdint>
#include <vector>

#include "weights/codings/coded_tensors.hpp"

namespace shardrift {

// Each column's group; empty where they lie together after all, groups of `size` columns. Throws bad_data for
// an index that is no group.
std::vector<std::int32_t> group_index(const CodedTensors& tensors, const StoredTensor& index,
                                      std::int64_t groups, std::int64_t size);

}  // namespace shardrift
