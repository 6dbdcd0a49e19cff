// A mixture of experts in place of a layer's MLP. The router runs unsharded, on bits that all ranks share, so
// all ranks route alike. Each expert multiplies exactly the rows routed to it, in row order, shard by shard:
// the same shapes wherever a shard lives.
#include <algorithm>

#include "common/error.hpp"
#include "common/progress.hpp"
#include "model/forward.hpp"

namespace shardrift {
using record::Operation;

namespace {

// Where one mixture's [rows, active] begins among all.
template <typename T>
T* of_mixture(const Buffer& buffer, std::int64_t mixture, std::int64_t pairs) {
  return buffer.as<T>() + mixture * pairs;
}

}  // namespace

void Forward::stage_routes(const Pass& pass) {
  given_routes_ = !pass.routes.empty() && mixtures_.count > 0;
  if (!given_routes_) return;
  const std::int64_t pairs = pass.rows() * mixtures_.active;
  const auto first = static_cast<std::size_t>(mixtures_.first * pairs);
  const auto count = static_cast<std::size_t>(mixtures_.count * pairs);
  if (pass.routes.size() < first + count)
    throw failure("routes of {} pairs for a stage that needs {}: this is a bug", pass.routes.size(),
                  first + count);
  backend_.upload(routed_.data(), pass.routes.data() + first, count * sizeof(std::int32_t));
}

// The router's choice for each row, and the rows sorted by it.
void Forward::route(std::size_t layer, const Matrix& x) {
  const ExpertsSpec& experts = spec(layer).experts;
  const LayerWeights& weights = weights_.layers[layer];
  const std::int64_t mixture = mixtures_.number[layer];
  const std::int64_t pairs = x.rows * experts.active;
  const Matrix logits{router_logits_.data(), x.rows, experts.count, plan_.dtype};
  backend_.linear(x, weights.router.view(), logits);
  if (experts.router_bias) backend_.add(logits, weights.router_bias.view);
  output(Operation::router, layer, 0, logits);
  auto* chosen = of_mixture<std::int32_t>(routed_, mixture, pairs);
  backend_.route(logits, experts, given_routes_, chosen,
                 of_mixture<std::byte>(route_weights_, mixture,
                                       pairs * static_cast<std::int64_t>(size_of(route_dtype()))));

  // Products have as many rows as an expert got: the host has to know.
  auto& ids = pass_routes_.experts;
  ids.resize(static_cast<std::size_t>(mixtures_.count * pairs));
  const auto ids_here =
      std::span(ids).subspan(static_cast<std::size_t>(mixture * pairs), static_cast<std::size_t>(pairs));
  backend_.download(ids_here.data(), chosen, ids_here.size_bytes());
  sort_by_expert(experts, ids_here);
  for (const auto& expert : expert_rows_) {
    const RowIndex rows{.tokens = device_pair_rows_.as<std::int32_t>() + expert.pairs.begin,
                        .rows = expert.pairs.size()};
    backend_.embed(x, {0, x.rows}, rows, input_of(expert));
  }
  if (!plan_.expert_parallel) place_outputs({0, experts.count});
}

void Forward::sort_by_expert(const ExpertsSpec& spec, std::span<const std::int32_t> ids) {
  std::vector<std::int64_t> count(static_cast<std::size_t>(spec.count), 0);
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= spec.count)
      throw failure("a row was routed to expert {} of {}: this is a bug", id, spec.count);
    ++count[static_cast<std::size_t>(id)];
  }
  const std::size_t element = size_of(plan_.dtype);
  const Matrix output = expert_output_row();
  expert_rows_.clear();
  std::vector<std::int64_t> next(count.size(), 0);  // pair of each expert's next row
  std::int64_t pair = 0;
  std::size_t input = 0, output_bytes = 0;
  for (std::size_t id = 0; id < count.size(); ++id) {
    next[id] = pair;
    if (count[id] == 0) continue;
    expert_rows_.push_back({static_cast<std::int64_t>(id),
                            {pair, pair + count[id]},
                            input,
                            static_cast<std::int64_t>(output_bytes / size_of(output.dtype))});
    pair += count[id];
    const auto rows = static_cast<std::size_t>(count[id]);
    input += aligned(rows * static_cast<std::size_t>(config_.hidden) * element);
    output_bytes += aligned(rows * output.bytes());
  }
  pair_rows_.resize(ids.size());
  pair_places_.resize(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t at = next[static_cast<std::size_t>(ids[i])]++;
    pair_rows_[static_cast<std::size_t>(at)] =
        static_cast<std::int32_t>(static_cast<std::int64_t>(i) / spec.active);
    pair_places_[i] = at;
  }
  backend_.upload(device_pair_rows_.data(), pair_rows_.data(), pair_rows_.size() * sizeof(std::int32_t));
}

// Where the outputs of each row's experts are, of those experts that are here.
void Forward::place_outputs(Range here) {
  const std::int64_t cols = expert_output_row().cols;
  places_.assign(pair_places_.size(), -1);
  for (const auto& expert : expert_rows_)
    if (here.contains(expert.id))
      for (std::int64_t i = expert.pairs.begin; i < expert.pairs.end; ++i)
        places_[static_cast<std::size_t>(i)] = expert.output + (i - expert.pairs.begin) * cols;
  std::vector<std::int64_t> by_row(places_.size());
  for (std::size_t i = 0; i < by_row.size(); ++i)
    by_row[i] = places_[static_cast<std::size_t>(pair_places_[i])];
  backend_.upload(device_places_.data(), by_row.data(), by_row.size() * sizeof(std::int64_t));
}

Matrix Forward::input_of(const ExpertRows& expert) const {
  return {expert_inputs_.as<std::byte>() + expert.input, expert.pairs.size(), config_.hidden, plan_.dtype};
}

Matrix Forward::output_of(const ExpertRows& expert) const {
  Matrix output = expert_output_row();
  output.rows = expert.pairs.size();
  output.data =
      expert_outputs_.as<std::byte>() + static_cast<std::size_t>(expert.output) * size_of(output.dtype);
  return output;
}

// One shard's part of an expert, from its rows to what its down product reads.
void Forward::expert_inner(std::size_t layer, std::size_t s, const ShardExpert& expert,
                           const ExpertRows& rows, const Matrix& inner) {
  const LayerSpec& what = spec(layer);
  const Matrix gate_up{expert_wide_.data(), inner.rows, 2 * inner.cols, plan_.dtype};
  backend_.linear(input_of(rows), expert.block.in.view(), gate_up);
  if (what[Block::mlp].input_bias) backend_.add(gate_up, expert.block.in_bias.view);
  observe_expert(Operation::gate_up, layer, s, rows, gate_up);
  backend_.activate(gate_up, what.activation, what.activation_limit, inner);
  observe_expert(Operation::activation, layer, s, rows, inner);
}

// A shard's experts: its partial of the sum, or (gather) its columns of all experts' inner matrices.
void Forward::run_experts(std::size_t layer, std::size_t s) {
  const auto& shard = weights_.layers[layer].shards[s];
  const std::int64_t rows = index_.rows;
  const Matrix out = gathers_ ? Matrix() : partial(static_cast<std::int64_t>(s), rows);
  const bool empty = shard.experts.empty() || shard.experts.front().block.inner == 0;
  if (!empty) {
    for (const auto& routed : expert_rows_) {
      const auto expert = std::find_if(shard.experts.begin(), shard.experts.end(),
                                       [&](const ShardExpert& e) { return e.id == routed.id; });
      if (expert == shard.experts.end()) continue;
      Matrix inner{expert_inner_.data(), routed.pairs.size(), expert->block.inner, plan_.dtype};
      if (gathers_)
        inner.data = slice_of_experts(layer, s) +
                     static_cast<std::size_t>(routed.pairs.begin * inner.cols) * size_of(plan_.dtype);
      expert_inner(layer, s, *expert, routed, inner);
      if (!gathers_) product_out(inner, expert->block.out.view(), output_of(routed));
    }
  }
  if (gathers_) return;
  if (empty) {
    backend_.fill_negative_zero(out);
  } else {
    if (plan_.expert_parallel) place_outputs({shard.experts.front().id, shard.experts.back().id + 1});
    combine(layer, s, out);
  }
  output(Operation::mlp_partials, layer, s, out);
}

void Forward::combine(std::size_t layer, std::size_t s, const Matrix& out) {
  const ExpertsSpec& experts = spec(layer).experts;
  const std::int64_t mixture = mixtures_.number[layer];
  const std::int64_t pairs = out.rows * experts.active;
  ExpertOutputs outputs;
  outputs.outputs = expert_outputs_.data();
  outputs.places = device_places_.as<std::int64_t>();
  outputs.experts = of_mixture<std::int32_t>(routed_, mixture, pairs);
  outputs.weights = of_mixture<std::byte>(route_weights_, mixture,
                                          pairs * static_cast<std::int64_t>(size_of(route_dtype())));
  outputs.active = experts.active;
  outputs.bias = weights_.layers[layer].shards[s].expert_out_bias.view;
  outputs.bias.dtype = plan_.dtype;
  outputs.sum = plan_.expert_sum;
  backend_.combine_experts(outputs, out);
}

std::byte* Forward::slice_of_experts(std::size_t layer, std::size_t s) const {
  const Columns& columns = mixtures_.inner[static_cast<std::size_t>(mixtures_.number[layer])];
  const auto pairs = static_cast<std::int64_t>(pair_rows_.size());
  return expert_slices_.as<std::byte>() + s * columns.stride(pairs, plan_.dtype);
}

// As gathered_product: the inner matrices of all pairs -> [pairs, K]; each shard multiplies its rows of each
// expert's output over all of K, and sums them -> [rows, hidden].
Matrix Forward::gathered_experts(std::size_t layer, std::int64_t rows) {
  const Columns& columns = mixtures_.inner[static_cast<std::size_t>(mixtures_.number[layer])];
  const auto pairs = static_cast<std::int64_t>(pair_rows_.size());
  const Matrix joined{expert_joined_.data(), pairs, columns.count, plan_.dtype};
  backend_.join_columns(all_slices(expert_slices_.data(), columns.stride(pairs, plan_.dtype), columns, 0),
                        joined);
  Matrix out{partials_.data(), rows, hidden_columns_.width, plan_.dtype};
  const auto& shards = weights_.layers[layer].shards;
  for (std::size_t s = 0; s < shards.size(); ++s) {
    for (const auto& routed : expert_rows_) {
      const Matrix x{expert_inner_.data(), routed.pairs.size(), columns.count, plan_.dtype};
      Matrix from = x;
      from.data = expert_joined_.as<std::byte>() +
                  static_cast<std::size_t>(routed.pairs.begin * columns.count) * size_of(plan_.dtype);
      backend_.copy_columns(from, {0, columns.count}, x, 0);
      const auto& expert = shards[s].experts[static_cast<std::size_t>(routed.id)];
      backend_.linear(x, expert.block.out.view(), output_of(routed));
    }
    combine(layer, s, out);
    out.data = static_cast<std::byte*>(out.data) + stride_of(out);
  }
  const Matrix sum = reduced_.view.first_rows(rows);
  backend_.join_columns(all_slices(partials_.data(), stride_of(out), hidden_columns_, out.cols), sum);
  return sum;
}

void Forward::observe_expert(Operation operation, std::size_t layer, std::size_t s, const ExpertRows& rows,
                             const Matrix& matrix) {
  if (trace_ == nullptr) return;
  trace_->observe_expert(
      {operation, model_layer(layer)}, s, rows.id, matrix,
      std::span(pair_rows_)
          .subspan(static_cast<std::size_t>(rows.pairs.begin), static_cast<std::size_t>(rows.pairs.size())));
}

void Forward::fetch_routes() {
  pass_routes_.mixtures = mixtures_.count;
  pass_routes_.active = mixtures_.active;
  if (mixtures_.count == 0) return;
  const std::size_t count = pass_routes_.experts.size();
  pass_routes_.weights.resize(count);
  if (route_dtype() == DType::float32) {
    backend_.download(pass_routes_.weights.data(), route_weights_.data(), count * sizeof(float));
    return;
  }
  std::vector<double> weights(count);
  backend_.download(weights.data(), route_weights_.data(), count * sizeof(double));
  std::transform(weights.begin(), weights.end(), pass_routes_.weights.begin(),
                 [](double weight) { return static_cast<float>(weight); });
}

}  // namespace shardrift
