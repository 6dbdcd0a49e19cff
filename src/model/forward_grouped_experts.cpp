// A mixture's experts all at once: pairs of a row and an expert, in the order of rows, each multiplied by
// what the device finds at its expert's place in a table. The host need not know which experts rows went to.
// Only with products that give a row's bits whatever shares them: then these are the bits of each expert's
// rows by themselves.
#include <algorithm>

#include "common/error.hpp"
#include "model/forward.hpp"

namespace shardrift {
namespace {

// A matrix of a shard's experts, of `count` in all, in a table for each format.
template <typename WeightOf, typename BiasOf>
std::vector<ExpertTable> tables_by_format(Backend& backend, const ShardLayer& shard, std::int64_t count,
                                          const WeightOf& weight_of, const BiasOf& bias_of,
                                          std::vector<Buffer>& buffers) {
  std::vector<ExpertTable> tables;
  for (const ShardExpert& first : shard.experts) {
    const WeightFormat format = weight_of(first).format;
    if (std::any_of(tables.begin(), tables.end(),
                    [&](const ExpertTable& table) { return table.format == format; }))
      continue;
    std::vector<ExpertMatrix> experts(static_cast<std::size_t>(count));
    for (const ShardExpert& expert : shard.experts) {
      const Weight weight = weight_of(expert);
      if (weight.format == format)
        experts[static_cast<std::size_t>(expert.id)] = {
            weight.matrix.data, static_cast<const float*>(weight.scales.data), bias_of(expert)};
    }
    Matrix shape = weight_of(first).matrix;
    shape.data = nullptr;
    buffers.push_back(uploaded(backend, experts));
    tables.push_back({buffers.back().as<ExpertMatrix>(), count, shape, format});
  }
  return tables;
}

}  // namespace

Forward::ExpertTables Forward::tables_of(std::size_t layer, std::size_t s) {
  const ShardLayer& shard = weights_.layers[layer].shards[s];
  const std::int64_t count = spec(layer).experts.count;
  const bool bias = spec(layer)[Block::mlp].input_bias;
  auto& buffers = mixtures_.table_buffers;
  ExpertTables tables;
  tables.in = tables_by_format(
      backend_, shard, count, [](const ShardExpert& e) { return e.block.in.view(); },
      [&](const ShardExpert& e) { return bias ? e.block.in_bias.view.data : nullptr; }, buffers);
  tables.out = tables_by_format(  // down's biases are combine_experts'
      backend_, shard, count, [](const ShardExpert& e) { return e.block.out.view(); },
      [](const ShardExpert&) { return nullptr; }, buffers);
  return tables;
}

// Tables, and buffers of each hosted shard: shards may be at their experts at once. inner: columns of an
// expert.
void Forward::make_grouped_buffers(std::int64_t inner) {
  const auto pairs = static_cast<std::size_t>(mixtures_.grouped_rows * mixtures_.active);
  const std::size_t columns = static_cast<std::size_t>(inner) * size_of(plan_.dtype);
  for (std::size_t s = 0; s < static_cast<std::size_t>(place_.shards.size()); ++s)
    mixtures_.grouped.push_back({Buffer(backend_, pairs * 2 * columns),
                                 Buffer(backend_, gathers_ ? 0 : pairs * columns),
                                 Buffer(backend_, pairs * expert_output_row().bytes())});
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer) {
    if (!is_mixture(layer)) continue;
    auto& tables = mixtures_.tables.emplace_back();
    for (std::size_t s = 0; s < weights_.layers[layer].shards.size(); ++s)
      tables.push_back(tables_of(layer, s));
  }
}

// A shard's part of all experts: from the rows to the outputs, or (gather) to its columns of what the down
// products read.
void Forward::run_grouped_experts(std::size_t layer, std::size_t s, const Matrix& x) {
  const LayerSpec& what = spec(layer);
  const std::int64_t columns = weights_.layers[layer].shards[s].experts.front().block.inner;
  const GroupedBuffers& buffers = mixtures_.grouped[s];
  const Matrix gate_up{buffers.wide.data(), pairs(), 2 * columns, plan_.dtype};
  const Matrix inner{gathers_ ? slice_of_experts(layer, s) : buffers.inner.data(), pairs(), columns,
                     plan_.dtype};
  const auto mixture = static_cast<std::size_t>(mixtures_.number[layer]);
  multiply_grouped(mixtures_.tables[mixture][s].in, layer, false, x, gate_up);
  backend_.activate(gate_up, what.activation, what.activation_limit, inner);  // of pairs not here, anything
  if (!gathers_) multiply_out(layer, s, inner);
}

// (--partial rounded asks for nothing more: these products' sums are rounded once as they are stored.)
void Forward::multiply_out(std::size_t layer, std::size_t s, const Matrix& inner) {
  const auto mixture = static_cast<std::size_t>(mixtures_.number[layer]);
  Matrix outputs = expert_output_row();
  outputs.data = mixtures_.grouped[s].outputs.data();
  outputs.rows = pairs();
  multiply_grouped(mixtures_.tables[mixture][s].out, layer, true, inner, outputs);
}

void Forward::multiply_grouped(const std::vector<ExpertTable>& tables, std::size_t layer, bool settled,
                               const Matrix& x, const Matrix& out) {
  const ExpertPairs all{routed_.as<std::int32_t>() + mixtures_.number[layer] * pairs(), index_.rows,
                        mixtures_.active, settled};
  for (const ExpertTable& table : tables) backend_.linear_of_experts(x, table, all, out);
}

}  // namespace shardrift
