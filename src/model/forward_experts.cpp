// A mixture of experts in place of a layer's MLP. The router runs unsharded, on bits that all ranks share, so
// all ranks route alike. Each expert multiplies exactly the rows routed to it, in row order, shard by shard:
// the same shapes wherever a shard lives. (Where products give a row's bits whatever its neighbours, passes
// of few rows take all experts at once: forward_grouped_experts.cpp.)
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
  if (grouped_) return;

  // Products have as many rows as an expert got: the host has to know.
  host_experts_.resize(static_cast<std::size_t>(pairs));
  backend_.download(host_experts_.data(), chosen, host_experts_.size() * sizeof(std::int32_t));
  sort_by_expert(experts, host_experts_);
  for (const auto& expert : expert_rows_) {
    const RowIndex rows{.tokens = device_pair_rows_.as<std::int32_t>() + expert.pairs.begin,
                        .rows = expert.pairs.size()};
    backend_.embed(x, {0, x.rows}, rows, input_of(expert));
  }
  place_outputs();
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

// Where the outputs of each row's experts are.
void Forward::place_outputs() {
  const std::int64_t cols = expert_output_row().cols;
  std::vector<std::int64_t> by_pair(pair_places_.size());
  for (const auto& expert : expert_rows_)
    for (std::int64_t i = expert.pairs.begin; i < expert.pairs.end; ++i)
      by_pair[static_cast<std::size_t>(i)] = expert.output + (i - expert.pairs.begin) * cols;
  places_.resize(by_pair.size());
  for (std::size_t i = 0; i < places_.size(); ++i)
    places_[i] = by_pair[static_cast<std::size_t>(pair_places_[i])];
  backend_.upload(device_places_.data(), places_.data(), places_.size() * sizeof(std::int64_t));
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

// One expert after the other, shards take turns at the buffers; grouped, each has its own.
void Forward::each_shards_experts(const std::function<void(std::size_t)>& work) {
  if (grouped_) return each_shard(work);
  for (std::size_t s = 0; s < static_cast<std::size_t>(place_.shards.size()); ++s) work(s);
}

// A shard's experts: its partial of the sum, or (gather) its columns of all experts' inner matrices.
void Forward::run_experts(std::size_t layer, std::size_t s, const Matrix& x) {
  const auto& shard = weights_.layers[layer].shards[s];
  const bool empty = shard.experts.empty() || shard.experts.front().block.inner == 0;
  if (!empty) grouped_ ? run_grouped_experts(layer, s, x) : run_sorted_experts(layer, s);
  if (gathers_) return;
  const Matrix out = partial(static_cast<std::int64_t>(s), x.rows);
  if (empty) {
    backend_.fill_negative_zero(out);
  } else {
    combine(layer, s, out);
  }
  output(Operation::mlp_partials, layer, s, out);
}

// One expert after the other, each with its rows.
void Forward::run_sorted_experts(std::size_t layer, std::size_t s) {
  const auto& shard = weights_.layers[layer].shards[s];
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

// Ids of the experts of which a shard has something.
Range Forward::experts_here(std::size_t layer, std::size_t s) const {
  const auto& experts = weights_.layers[layer].shards[s].experts;
  return {experts.front().id, experts.back().id + 1};
}

void Forward::combine(std::size_t layer, std::size_t s, const Matrix& out) {
  const ExpertsSpec& experts = spec(layer).experts;
  const std::int64_t mixture = mixtures_.number[layer];
  const std::int64_t pairs = out.rows * experts.active;
  ExpertOutputs outputs;
  outputs.outputs = grouped_ ? mixtures_.grouped[s].outputs.data() : expert_outputs_.data();
  outputs.places = grouped_ ? nullptr : device_places_.as<std::int64_t>();
  outputs.experts = of_mixture<std::int32_t>(routed_, mixture, pairs);
  outputs.weights = of_mixture<std::byte>(route_weights_, mixture,
                                          pairs * static_cast<std::int64_t>(size_of(route_dtype())));
  outputs.active = experts.active;
  outputs.bias = weights_.layers[layer].shards[s].expert_out_bias.view;
  outputs.bias.dtype = plan_.dtype;
  outputs.sum = plan_.expert_sum;
  outputs.here = experts_here(layer, s);
  backend_.combine_experts(outputs, out);
}

std::byte* Forward::slice_of_experts(std::size_t layer, std::size_t s) const {
  const Columns& columns = mixtures_.inner[static_cast<std::size_t>(mixtures_.number[layer])];
  return expert_slices_.as<std::byte>() + s * columns.stride(pairs(), plan_.dtype);
}

// As gathered_product: the inner matrices of all pairs -> [pairs, K]; each shard multiplies its rows of each
// expert's output over all of K, and sums them -> [rows, hidden].
Matrix Forward::gathered_experts(std::size_t layer, std::int64_t rows) {
  const Columns& columns = mixtures_.inner[static_cast<std::size_t>(mixtures_.number[layer])];
  const Matrix joined{expert_joined_.data(), pairs(), columns.count, plan_.dtype};
  backend_.join_columns(all_slices(expert_slices_.data(), columns.stride(pairs(), plan_.dtype), columns, 0),
                        joined);
  const Matrix out{partials_.data(), rows, hidden_columns_.width, plan_.dtype};
  each_shards_experts([&](std::size_t s) {
    grouped_ ? multiply_out(layer, s, joined) : multiply_sorted(weights_.layers[layer].shards[s], joined);
    Matrix own = out;
    own.data = partials_.as<std::byte>() + s * stride_of(out);
    combine(layer, s, own);
  });
  const Matrix sum = reduced_.view.first_rows(rows);
  backend_.join_columns(all_slices(partials_.data(), stride_of(out), hidden_columns_, out.cols), sum);
  return sum;
}

// Each expert's rows of what was gathered, from a boundary of their own.
void Forward::multiply_sorted(const ShardLayer& shard, const Matrix& joined) {
  for (const auto& routed : expert_rows_) {
    const Matrix x{expert_inner_.data(), routed.pairs.size(), joined.cols, plan_.dtype};
    Matrix from = x;
    from.data = static_cast<std::byte*>(joined.data) +
                static_cast<std::size_t>(routed.pairs.begin * joined.cols) * size_of(plan_.dtype);
    backend_.copy_columns(from, {0, joined.cols}, x, 0);
    const auto& expert = shard.experts[static_cast<std::size_t>(routed.id)];
    backend_.linear(x, expert.block.out.view(), output_of(routed));
  }
}

void Forward::observe_expert(Operation operation, std::size_t layer, std::size_t s, const ExpertRows& rows,
                             const Matrix& matrix) {
  if (trace_ == nullptr) return;
  trace_->observe_expert(
      {operation, model_layer(layer)}, s, rows.id, matrix,
      std::span(pair_rows_)
          .subspan(static_cast<std::size_t>(rows.pairs.begin), static_cast<std::size_t>(rows.pairs.size())));
}

void Forward::fetch_routes(Landing& landing) {
  landing.pairs = static_cast<std::size_t>(mixtures_.count * pairs());
  if (landing.pairs == 0) return;
  const std::size_t ids = landing.pairs * sizeof(std::int32_t);
  const std::size_t weights = landing.pairs * size_of(route_dtype());
  landing.routes.hold(aligned(ids) + weights);
  backend_.download_later(landing.routes.as<std::byte>(), routed_.data(), ids);
  backend_.download_later(landing.routes.as<std::byte>() + aligned(ids), route_weights_.data(), weights);
}

PassRoutes Forward::fetched_routes(Landing& landing) const {
  if (landing.pairs == 0) return {};
  const std::byte* weights = landing.routes.as<std::byte>() + aligned(landing.pairs * sizeof(std::int32_t));
  PassRoutes routes{{landing.routes.as<std::int32_t>(), landing.pairs},
                    {reinterpret_cast<const float*>(weights), landing.pairs}};
  if (route_dtype() == DType::float64) {
    const auto* wide = reinterpret_cast<const double*>(weights);
    landing.route_weights.assign(wide, wide + landing.pairs);
    routes.weights = landing.route_weights;
  }
  return routes;
}

}  // namespace shardrift
