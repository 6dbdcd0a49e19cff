// The operations of a forward pass that are checksummed, in the order they run. What a checksum is of, and
// between which runs it may be compared, is docs/file-format.md's table.
#pragma once
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/sketch.hpp"

namespace shardrift::record {

enum class Operation {
  embedding,           // the residual stream before the first layer
  attention_norm,      // of each layer, from here …
  qkv,                 // queries, keys and values, before rope
  query_key_norm,      // queries and keys after their norms; only of models that have them
  rope,                // rotated queries and keys
  attention,           // heads' outputs, side by side
  attention_partials,  // each shard's o_proj product
  attention_sum,       // their sum and its bias, before a norm after it or a multiplier
  attention_residual,  // the stream after that
  mlp_norm,
  router,        // a mixture's router logits; only of models that have them
  gate_up,       // both products; of a mixture, of the experts that a row goes to
  activation,    // silu(gate) · up
  mlp_partials,  // each shard's down_proj product; of a mixture, its experts' weighted sum
  mlp_sum,
  mlp_residual,  // … to here: the layer's output
  final_norm,
  logits,
};
inline constexpr int kOperations = 18;
inline constexpr int kLayerOperations = 15;

std::string_view name_of(Operation operation);
std::optional<Operation> operation_from_name(std::string_view name);
Operation operation_at(int i);  // 0 <= i < kOperations

// True for those that run once a layer, false for those that run once a pass.
constexpr bool in_layer(Operation operation) {
  return operation > Operation::embedding && operation < Operation::final_norm;
}
// True for those that exist only per shard: comparable between runs with the same shards, dtype of partials
// and row-linear mode. All others are whole tensors, comparable across every plan of one dtype.
constexpr bool per_shard(Operation operation) {
  return operation == Operation::attention_partials || operation == Operation::mlp_partials;
}

// A place in the forward pass: an operation of a layer (0 for those outside layers), in running order.
struct Point {
  Operation operation = Operation::embedding;
  std::int64_t layer = 0;
  bool operator==(const Point&) const = default;
};
constexpr std::int64_t point_count(std::int64_t layers) {
  return kOperations - kLayerOperations + layers * kLayerOperations;
}
std::int64_t index_of(const Point& point, std::int64_t layers);  // [0, point_count(layers))
Point point_at(std::int64_t index, std::int64_t layers);

// Those that every record had before records listed their own.
std::vector<Operation> first_operations();

// Checksums of the recorded rows of one prompt.
struct Checksums {
  std::int64_t layers = 0;
  std::int64_t rows = 0;
  std::vector<Operation> operations = first_operations();  // that the run had; a record lists its own
  std::vector<std::uint64_t>
      sums;  // [point_count(layers), rows], 0 for other operations; empty: not recorded

  bool empty() const { return sums.empty(); }
  bool has(Operation operation) const {
    return std::find(operations.begin(), operations.end(), operation) != operations.end();
  }
  std::uint64_t at(const Point& point, std::int64_t row) const {
    return sums[static_cast<std::size_t>(index_of(point, layers) * rows + row)];
  }
};

// True for those whose output lies apart on the shards, each with columns of its own: they have sketches for
// every shard.
constexpr bool on_shards(Operation operation) {
  switch (operation) {
    case Operation::qkv:
    case Operation::query_key_norm:
    case Operation::rope:
    case Operation::attention:
    case Operation::attention_partials:
    case Operation::gate_up:
    case Operation::activation:
    case Operation::mlp_partials:
    case Operation::logits:
      return true;
    default:
      return false;
  }
}

// Random projections (common/sketch.hpp) of every operation's output, of the recorded rows of one prompt.
struct Sketches {
  std::int64_t layers = 0;
  std::int64_t shards = 0;
  std::int64_t rows = 0;
  std::vector<Operation> operations;  // that the run had, in running order; empty: not recorded
  // [point_count(layers), shards, rows, kSketches]: what lies on no shard has its sketches in shard 0's
  // place, and 0 elsewhere. Empty: not recorded, or not read (Reader::sketches reads them).
  std::vector<double> values;

  bool empty() const { return operations.empty(); }
  bool has(Operation operation) const {
    return std::find(operations.begin(), operations.end(), operation) != operations.end();
  }
  std::size_t index_of_row(const Point& point, std::int64_t shard, std::int64_t row) const {
    const std::int64_t place = (index_of(point, layers) * shards + shard) * rows + row;
    return static_cast<std::size_t>(place) * kSketches;
  }
  const double* at(const Point& point, std::int64_t shard, std::int64_t row) const {
    return values.data() + index_of_row(point, shard, row);
  }
};

}  // namespace shardrift::record
