#include "weights/codings/group_index.hpp"

namespace shardrift {

std::vector<std::int32_t> group_index(const CodedTensors& tensors, const StoredTensor& index,
                                      std::int64_t groups, std::int64_t size) {
  const std::int64_t columns = elements(index.shape);
  std::vector<std::int32_t> group_of;
  bool together = true;
  for (std::int64_t column = 0; column < columns; ++column) {
    const std::int64_t group = integer_at(index, static_cast<std::size_t>(column));
    if (group < 0 || group >= groups)
      throw tensors.wrong(index.name, "puts column {} into group {}, there are groups 0 to {}", column, group,
                          groups - 1);
    together = together && group == column / size;
    group_of.push_back(static_cast<std::int32_t>(group));
  }
  if (together) group_of.clear();
  return group_of;
}

}  // namespace shardrift
