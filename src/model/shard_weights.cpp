#include "model/shard_weights.hpp"

#include <cstring>

#include "model/scalar.hpp"

namespace shardrift {
namespace {

template <typename From, typename To>
void convert_elements(const std::byte* from, std::byte* to, std::int64_t count) {
  const auto* source = reinterpret_cast<const From*>(from);
  auto* target = reinterpret_cast<To*>(to);
  for (std::int64_t i = 0; i < count; ++i) target[i] = static_cast<To>(static_cast<Compute<From>>(source[i]));
}

void convert(const std::byte* from, DType from_type, std::byte* to, DType to_type, std::int64_t count) {
  if (storage_of(from_type) == storage_of(to_type)) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * size_of(to_type));
    return;
  }
  visit_dtype(from_type, [&]<typename From>() {
    visit_dtype(to_type, [&]<typename To>() { convert_elements<From, To>(from, to, count); });
  });
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan, Backend& backend,
         ModelWeights& weights)
      : checkpoint_(checkpoint), config_(config), plan_(plan), backend_(backend), weights_(weights) {}

  OwnedMatrix zeros(std::int64_t rows, std::int64_t cols) {
    weights_.bytes += static_cast<std::size_t>(rows * cols) * size_of(plan_.dtype);
    return {backend_, rows, cols, plan_.dtype};
  }

  // A block of a checkpoint tensor, to rows [to_row, …) of a matrix as wide as the block.
  void copy(const TensorView& tensor, Range rows, Range cols, const OwnedMatrix& to, std::int64_t to_row) {
    const std::int64_t count = rows.size() * cols.size();
    if (count == 0) return;
    raw_.resize(static_cast<std::size_t>(count) * size_of(tensor.dtype));
    copy_block(tensor, rows.begin, rows.size(), cols.begin, cols.size(), raw_.data());
    const std::byte* source = raw_.data();
    if (storage_of(tensor.dtype) != storage_of(plan_.dtype)) {
      converted_.resize(static_cast<std::size_t>(count) * size_of(plan_.dtype));
      convert(raw_.data(), tensor.dtype, converted_.data(), plan_.dtype, count);
      source = converted_.data();
    }
    auto* target = static_cast<std::byte*>(to.view.data) +
                   to_row * cols.size() * static_cast<std::int64_t>(size_of(plan_.dtype));
    backend_.upload(target, source, static_cast<std::size_t>(count) * size_of(plan_.dtype));
  }

  OwnedMatrix vector(const std::string& name) {
    OwnedMatrix matrix = zeros(1, config_.hidden);
    copy(checkpoint_.tensor(name, {config_.hidden}), {0, 1}, {0, config_.hidden}, matrix, 0);
    return matrix;
  }

  std::vector<ShardVocabulary> vocabulary(const std::string& name, Range shards) {
    const auto tensor = checkpoint_.tensor(name, {config_.vocabulary, config_.hidden});
    std::vector<ShardVocabulary> slices;
    for (auto s = shards.begin; s < shards.end; ++s) {
      ShardVocabulary slice{deal_vocabulary(config_.vocabulary, plan_.shards, static_cast<int>(s)), {}};
      slice.rows = zeros(slice.share.width, config_.hidden);
      copy(tensor, slice.share.rows, {0, config_.hidden}, slice.rows, 0);
      slices.push_back(std::move(slice));
    }
    return slices;
  }

  ShardLayer shard(const std::string& prefix, int s) {
    const std::int64_t hidden = config_.hidden;
    const std::int64_t dim = config_.head_dim;
    const Range all{0, hidden};
    const auto heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s);
    const Range query{heads.query.begin * dim, heads.query.end * dim};
    const Range kv{heads.kv.begin * dim, heads.kv.end * dim};
    const Range columns = deal_columns(config_.intermediate, plan_.shards, s);

    // Row-parallel weights: all rows of these columns of K, or (gather) these rows over all of K.
    const bool gather = plan_.row_linear == RowLinear::gather;
    const VocabShare rows = deal_vocabulary(hidden, plan_.shards, s);  // padded alike, as the vocabulary is
    const auto row_parallel = [&](const std::string& name, std::int64_t inputs, Range columns_of_k) {
      const auto tensor = checkpoint_.tensor(name, {hidden, inputs});
      OwnedMatrix weight = gather ? zeros(rows.width, inputs) : zeros(hidden, columns_of_k.size());
      copy(tensor, gather ? rows.rows : all, gather ? Range{0, inputs} : columns_of_k, weight, 0);
      return weight;
    };

    ShardLayer layer;
    layer.query_heads = heads.query.size();
    layer.kv_heads = heads.kv.size();
    layer.columns = columns.size();
    const std::int64_t query_rows = config_.query_heads * dim;
    const std::int64_t kv_rows = config_.kv_heads * dim;
    const auto attention = prefix + "self_attn.";
    layer.qkv = zeros(query.size() + 2 * kv.size(), hidden);
    copy(checkpoint_.tensor(attention + "q_proj.weight", {query_rows, hidden}), query, all, layer.qkv, 0);
    copy(checkpoint_.tensor(attention + "k_proj.weight", {kv_rows, hidden}), kv, all, layer.qkv,
         query.size());
    copy(checkpoint_.tensor(attention + "v_proj.weight", {kv_rows, hidden}), kv, all, layer.qkv,
         query.size() + kv.size());
    layer.output = row_parallel(attention + "o_proj.weight", query_rows, query);
    layer.gate_up = zeros(2 * columns.size(), hidden);
    copy(checkpoint_.tensor(prefix + "mlp.gate_proj.weight", {config_.intermediate, hidden}), columns, all,
         layer.gate_up, 0);
    copy(checkpoint_.tensor(prefix + "mlp.up_proj.weight", {config_.intermediate, hidden}), columns, all,
         layer.gate_up, columns.size());
    layer.down = row_parallel(prefix + "mlp.down_proj.weight", config_.intermediate, columns);
    layer.local_kv = Buffer(backend_, heads.local_kv.size() * sizeof(std::int32_t));
    if (!heads.local_kv.empty())
      backend_.upload(layer.local_kv.data(), heads.local_kv.data(),
                      heads.local_kv.size() * sizeof(std::int32_t));
    return layer;
  }

 private:
  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const Plan& plan_;
  Backend& backend_;
  ModelWeights& weights_;
  std::vector<std::byte> raw_;
  std::vector<std::byte> converted_;
};

}  // namespace

ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                          const Place& place, Backend& backend, const std::function<void(double)>& progress) {
  ModelWeights weights;
  Loader loader(checkpoint, config, plan, backend, weights);
  for (auto index = place.layers.begin; index < place.layers.end; ++index) {
    const auto prefix = "model.layers." + std::to_string(index) + ".";
    LayerWeights layer;
    layer.attention_norm = loader.vector(prefix + "input_layernorm.weight");
    layer.mlp_norm = loader.vector(prefix + "post_attention_layernorm.weight");
    for (auto s = place.shards.begin; s < place.shards.end; ++s)
      layer.shards.push_back(loader.shard(prefix, static_cast<int>(s)));
    weights.layers.push_back(std::move(layer));
    progress(static_cast<double>(index + 1 - place.layers.begin) /
             static_cast<double>(place.layers.size() + 1));
  }
  weights.bytes_per_token = weights.bytes;
  const std::size_t before = weights.bytes;
  if (place.first_stage || (place.last_stage && config.tied_head))
    weights.embedding = loader.vocabulary("model.embed_tokens.weight", place.shards);
  if (place.last_stage && config.tied_head) weights.bytes_per_token += weights.bytes - before;
  if (place.last_stage) {
    weights.final_norm = loader.vector("model.norm.weight");
    if (!config.tied_head) {
      const std::size_t without_head = weights.bytes;
      weights.head = loader.vocabulary("lm_head.weight", place.shards);
      weights.bytes_per_token += weights.bytes - without_head;
    }
  }
  progress(1.0);
  return weights;
}

}  // namespace shardrift
