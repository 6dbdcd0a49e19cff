// /prompts/<id>/hidden, /prompts/<id>/checksums and /prompts/<id>/sketches: what a pass computed before its
// logits.
#include <algorithm>
#include <array>
#include <sstream>

#include "common/error.hpp"
#include "record/hdf5_types.hpp"
#include "record/hdf5_write.hpp"
#include "record/schema.hpp"

namespace shardrift::record {
namespace {

constexpr std::int64_t kChunkBytes = 256 << 10;
constexpr std::int64_t kMaxLayers = 1 << 16;
constexpr std::int64_t kMaxWidth = 1 << 24;
constexpr std::uint64_t kMaxSums = 1 << 28;  // of one prompt: 2 GiB

std::string description(Operation operation) {
  return per_shard(operation)
             ? "sum of mix64(shard · hidden + column, bits) over all shards' products, [layers, steps]"
             : "sum of mix64(column of the unsharded row, bits), [layers or 1, steps]";
}

constexpr const char* kOperationsAttribute = "operations";
constexpr const char* kShardsAttribute = "shards";
constexpr std::int64_t kMaxShards = 64;

std::string names_joined(const std::vector<Operation>& operations) {
  std::string names;
  for (const Operation operation : operations)
    names.append(names.empty() ? "" : " ").append(name_of(operation));
  return names;
}

// In running order. A name this version does not know is a newer version's operation: left out, as other
// objects that readers do not know. A record of before the list has the first operations, --row-linear
// gather's without partials.
std::vector<Operation> listed_operations(const h5::Group& group) {
  std::vector<Operation> operations;
  if (!group.has_attribute(kOperationsAttribute)) {
    operations = first_operations();
    if (!group.has(std::string(name_of(Operation::attention_partials)))) std::erase_if(operations, per_shard);
    return operations;
  }
  std::istringstream names(group.text(kOperationsAttribute));
  for (std::string name; names >> name;)
    if (const auto operation = operation_from_name(name)) operations.push_back(*operation);
  return operations;
}

}  // namespace

void write_hidden(hid_t prompt, const Hidden& hidden, int compression) {
  const auto rows = static_cast<hsize_t>(hidden.rows());
  const auto row_bytes = hidden.width * static_cast<std::int64_t>(size_of(hidden.dtype));
  h5::write_dataset(
      prompt, "hidden", h5::float_type(hidden.dtype),
      std::array<hsize_t, 3>{static_cast<hsize_t>(hidden.streams), rows, static_cast<hsize_t>(hidden.width)},
      hidden.words.data(),
      "residual stream after the embedding and after each layer, [layers + 1, steps, hidden]",
      {.chunk_rows = 1,
       .chunk_columns = static_cast<hsize_t>(std::max<std::int64_t>(1, kChunkBytes / row_bytes)),
       .deflate = compression});
}

std::optional<HiddenDataset> open_hidden(const h5::Group& prompt, std::optional<std::uint64_t> steps) {
  if (!prompt.has("hidden")) return std::nullopt;
  auto words = prompt.dataset("hidden");
  const auto& dims = words.dims();
  if (dims.size() != 3)
    throw h5::Hdf5Error(fmt::format("{}: has {} dimensions, not 3", words.path(), dims.size()));
  words.require_dims({dims[0], steps.value_or(dims[1]), dims[2]});
  if (dims[0] < 2 || dims[0] > kMaxLayers + 1 || dims[2] < 1 || dims[2] > kMaxWidth)
    throw h5::Hdf5Error(
        fmt::format("{}: {} streams of width {} are no model's", words.path(), dims[0], dims[2]));
  words.require_stored();
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    if (words.has_type(h5::float_type(dtype))) return HiddenDataset{std::move(words), dtype};
  throw h5::Hdf5Error(words.path() + ": is of no type that models have");
}

void write_checksums(hid_t prompt, const Checksums& checksums) {
  const auto group = h5::create_group(prompt, "checksums",
                                      "of every operation's output, in running order (docs/file-format.md)");
  const auto rows = static_cast<hsize_t>(checksums.rows);
  std::vector<std::uint64_t> sums;
  h5::write_attribute(group, kOperationsAttribute, names_joined(checksums.operations));
  for (const Operation operation : checksums.operations) {
    const std::int64_t layers = in_layer(operation) ? checksums.layers : 1;
    sums.clear();
    for (std::int64_t layer = 0; layer < layers; ++layer)
      for (std::int64_t row = 0; row < checksums.rows; ++row)
        sums.push_back(checksums.at({operation, layer}, row));
    h5::write_dataset(group, std::string(name_of(operation)), h5::uint64_type(),
                      std::array<hsize_t, 2>{static_cast<hsize_t>(layers), rows}, sums.data(),
                      description(operation));
  }
}

Checksums read_checksums(const h5::Group& group, std::uint64_t steps) {
  const auto type = h5::uint64_type();
  Checksums checksums;
  checksums.rows = static_cast<std::int64_t>(steps);
  checksums.operations = listed_operations(group);
  // How many layers: any operation that runs once a layer says it.
  const auto a_layers = std::find_if(checksums.operations.begin(), checksums.operations.end(), in_layer);
  if (a_layers == checksums.operations.end())
    throw h5::Hdf5Error(group.path() + ": lists no operation of a layer");
  const auto first = group.dataset(std::string(name_of(*a_layers)));
  if (first.dims().size() != 2 || first.dims()[0] < 1 || first.dims()[0] > kMaxLayers)
    throw h5::Hdf5Error(first.path() + ": is not [layers, steps]");
  first.require_dims({first.dims()[0], steps});
  first.require_readable();
  checksums.layers = static_cast<std::int64_t>(first.dims()[0]);
  const auto points = static_cast<std::uint64_t>(point_count(checksums.layers));
  if (steps > kMaxSums / points)
    throw h5::Hdf5Error(
        fmt::format("{}: {} layers of {} rows are too large", group.path(), checksums.layers, steps));
  checksums.sums.resize(points * steps);
  std::vector<std::uint64_t> sums;
  for (const Operation operation : checksums.operations) {
    const auto dataset = group.dataset(std::string(name_of(operation)));
    const std::int64_t layers = in_layer(operation) ? checksums.layers : 1;
    dataset.require_dims({static_cast<hsize_t>(layers), steps});
    dataset.require_type(type, "uint64");
    dataset.require_readable();
    sums.resize(static_cast<std::size_t>(layers) * steps);
    dataset.read(type, sums.data());
    for (std::int64_t layer = 0; layer < layers; ++layer)
      std::copy_n(sums.begin() + layer * checksums.rows, checksums.rows,
                  checksums.sums.begin() + index_of({operation, layer}, checksums.layers) * checksums.rows);
  }
  return checksums;
}

void write_sketches(hid_t prompt, const Sketches& sketches) {
  const auto group = h5::create_group(
      prompt, "sketches",
      "random projections of every operation's output, in running order (docs/file-format.md)");
  h5::write_attribute(group, kOperationsAttribute, names_joined(sketches.operations));
  h5::write_attribute(group, kShardsAttribute, sketches.shards);
  std::vector<double> values;
  for (const Operation operation : sketches.operations) {
    const std::int64_t layers = in_layer(operation) ? sketches.layers : 1;
    const std::int64_t shards = on_shards(operation) ? sketches.shards : 1;
    values.clear();
    for (std::int64_t layer = 0; layer < layers; ++layer) {
      const auto* first = sketches.values.data() + sketches.index_of_row({operation, layer}, 0, 0);
      values.insert(values.end(), first, first + shards * sketches.rows * kSketches);
    }
    h5::write_dataset(group, std::string(name_of(operation)), h5::float_type(DType::float64),
                      std::array<hsize_t, 4>{static_cast<hsize_t>(layers), static_cast<hsize_t>(shards),
                                             static_cast<hsize_t>(sketches.rows), kSketches},
                      values.data(),
                      "sums of elements by signs of their column, [layers or 1, shards or 1, steps, 8]");
  }
}

Sketches read_sketches(const h5::Group& group, std::uint64_t steps, bool values) {
  const auto type = h5::float_type(DType::float64);
  Sketches sketches;
  sketches.rows = static_cast<std::int64_t>(steps);
  sketches.operations = listed_operations(group);
  sketches.shards = group.integer(kShardsAttribute);
  const auto a_layers = std::find_if(sketches.operations.begin(), sketches.operations.end(), in_layer);
  if (a_layers == sketches.operations.end())
    throw h5::Hdf5Error(group.path() + ": lists no operation of a layer");
  if (sketches.shards < 1 || sketches.shards > kMaxShards)
    throw h5::Hdf5Error(fmt::format("{}: {} shards", group.path(), sketches.shards));
  const auto first = group.dataset(std::string(name_of(*a_layers)));
  if (first.dims().size() != 4 || first.dims()[0] < 1 || first.dims()[0] > kMaxLayers)
    throw h5::Hdf5Error(first.path() + ": is not [layers, shards, steps, 8]");
  sketches.layers = static_cast<std::int64_t>(first.dims()[0]);
  const auto per_row = static_cast<std::uint64_t>(point_count(sketches.layers) * sketches.shards * kSketches);
  if (steps > kMaxSums / per_row)
    throw h5::Hdf5Error(
        fmt::format("{}: {} layers of {} rows are too large", group.path(), sketches.layers, steps));
  if (values) sketches.values.resize(per_row * steps);
  for (const Operation operation : sketches.operations) {
    const auto dataset = group.dataset(std::string(name_of(operation)));
    const std::int64_t layers = in_layer(operation) ? sketches.layers : 1;
    const std::int64_t shards = on_shards(operation) ? sketches.shards : 1;
    dataset.require_dims({static_cast<hsize_t>(layers), static_cast<hsize_t>(shards), steps, kSketches});
    dataset.require_type(type, "float64");
    dataset.require_readable();
    if (!values) continue;
    std::vector<double> of_operation(static_cast<std::size_t>(layers * shards) * steps * kSketches);
    dataset.read(type, of_operation.data());
    const std::int64_t of_layer = shards * sketches.rows * kSketches;
    for (std::int64_t layer = 0; layer < layers; ++layer)
      std::copy_n(of_operation.begin() + layer * of_layer, of_layer,
                  sketches.values.begin() +
                      static_cast<std::ptrdiff_t>(sketches.index_of_row({operation, layer}, 0, 0)));
  }
  return sketches;
}

}  // namespace shardrift::record
