#include "model/shard_weights.hpp"

#include <cstring>

#include "common/error.hpp"
#include "common/not_finite.hpp"
#include "model/scalar.hpp"
#include "weights/weight_source.hpp"

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
      : source_(checkpoint, config), config_(config), plan_(plan), backend_(backend), weights_(weights) {
    source_.quantize(plan.quantize);
  }

  // A vector that every rank has whole.
  OwnedMatrix vector(Part part, std::int64_t layer = 0) {
    const std::int64_t count = shape_of(config_, part, layer).cols;
    OwnedMatrix matrix = zeros(1, count);
    place(source_.whole(part, layer), {0, count}, matrix, 0);
    return matrix;
  }

  std::vector<ShardVocabulary> vocabulary(Part part, Range shards) {
    std::vector<ShardVocabulary> slices;
    for (auto s = shards.begin; s < shards.end; ++s) {
      ShardVocabulary slice{deal_vocabulary(config_.vocabulary, plan_.shards, static_cast<int>(s)), {}};
      slice.rows.matrix = zeros(slice.share.width, config_.hidden);
      place(source_.rows(part, 0, slice.share.rows), {0, config_.hidden}, slice.rows.matrix, 0);
      slices.push_back(std::move(slice));
    }
    return slices;
  }

  LayerWeights layer(std::int64_t index, Range shards) {
    const LayerSpec& spec = config_.specs[static_cast<std::size_t>(index)];
    LayerWeights layer;
    for (const Block block : kBlocks) {
      const BlockParts& parts = parts_of(block);
      auto& vectors = layer.blocks[static_cast<std::size_t>(block)];
      if (spec[block].norm_before) vectors.norm_before = vector(parts.norm_before, index);
      if (spec[block].norm_after) vectors.norm_after = vector(parts.norm_after, index);
      const bool experts = block == Block::mlp && spec.experts.count > 0;
      if (spec[block].output_bias && !experts) vectors.out_bias = vector(parts.out_bias, index);
    }
    if (spec.experts.count > 0) {
      layer.router.matrix = zeros(spec.experts.count, config_.hidden);
      place(source_.whole(Part::router, index), {0, config_.hidden}, layer.router.matrix, 0);
      if (spec.experts.router_bias) layer.router_bias = vector(Part::router_bias, index);
    }
    if (spec.query_key_norm != QueryKeyNorm::none) {
      layer.query_norm = vector(Part::query_norm, index);
      layer.key_norm = vector(Part::key_norm, index);
    }
    for (auto s = shards.begin; s < shards.end; ++s)
      layer.shards.push_back(shard(index, spec, static_cast<int>(s)));
    load_outs(index, spec, shards, layer);
    return layer;
  }

  // Of the experts, those that one row does not go to (dealt whole: on average).
  std::size_t idle_bytes() const { return idle_bytes_; }

 private:
  // What a block is made of; `in`: its column-parallel matrices, one below the other.
  struct BlockParts {
    Part norm_before, norm_after;
    std::vector<Part> in, in_bias;
    Part out, out_bias;
  };
  static const BlockParts& parts_of(Block block) {
    static const BlockParts attention{Part::attention_norm,
                                      Part::attention_norm_after,
                                      {Part::query, Part::key, Part::value},
                                      {Part::query_bias, Part::key_bias, Part::value_bias},
                                      Part::attention_output,
                                      Part::attention_output_bias};
    static const BlockParts mlp{
        Part::mlp_norm, Part::mlp_norm_after, {Part::gate, Part::up}, {Part::gate_bias, Part::up_bias},
        Part::down,     Part::down_bias};
    return block == Block::attention ? attention : mlp;
  }
  static const BlockParts& parts_of_expert() {
    static const BlockParts parts{Part::mlp_norm,
                                  Part::mlp_norm_after,
                                  {Part::expert_gate, Part::expert_up},
                                  {Part::expert_gate_bias, Part::expert_up_bias},
                                  Part::expert_down,
                                  Part::expert_down_bias};
    return parts;
  }

  OwnedMatrix zeros(std::int64_t rows, std::int64_t cols) {
    weights_.bytes += static_cast<std::size_t>(rows * cols) * size_of(plan_.dtype);
    return {backend_, rows, cols, plan_.dtype};
  }

  // Columns `cols` of all of a tensor's rows, from element to_element of a matrix on, in the run's dtype.
  void place(const TensorView& tensor, Range cols, const OwnedMatrix& to, std::int64_t to_element) {
    const std::int64_t rows = tensor.shape.front();
    const std::int64_t count = rows * cols.size();
    if (count == 0) return;
    raw_.resize(static_cast<std::size_t>(count) * size_of(tensor.dtype));
    copy_block(tensor, 0, rows, cols.begin, cols.size(), raw_.data());
    const std::byte* source = raw_.data();
    if (storage_of(tensor.dtype) != storage_of(plan_.dtype)) {
      converted_.resize(static_cast<std::size_t>(count) * size_of(plan_.dtype));
      convert(raw_.data(), tensor.dtype, converted_.data(), plan_.dtype, count);
      source = converted_.data();
    }
    require_finite(tensor, cols, source);
    const std::size_t element = size_of(plan_.dtype);
    backend_.upload(static_cast<std::byte*>(to.view.data) + static_cast<std::size_t>(to_element) * element,
                    source, static_cast<std::size_t>(count) * element);
  }

  // Of what is computed with: a finite weight may overflow in the run's dtype.
  void require_finite(const TensorView& tensor, Range cols, const std::byte* words) const {
    const auto count = static_cast<std::size_t>(tensor.shape.front() * cols.size());
    const auto at =
        static_cast<std::int64_t>(first_not_finite({words, count * size_of(plan_.dtype)}, plan_.dtype));
    if (at < 0) return;
    const bool stored = storage_of(tensor.dtype) == storage_of(plan_.dtype) ||
                        first_not_finite({raw_.data() + static_cast<std::size_t>(at) * size_of(tensor.dtype),
                                          size_of(tensor.dtype)},
                                         tensor.dtype) == 0;
    const auto where = tensor.stored_at(at / cols.size(), cols.begin + at % cols.size());
    if (stored)
      throw bad_data("tensor {}: the weight at {} is infinite or NaN: the checkpoint is damaged", tensor.name,
                     where);
    throw bad_data("tensor {}: the weight at {} overflows in {}: use --dtype {}", tensor.name, where,
                   name_of(plan_.dtype),
                   plan_.dtype == DType::float16    ? "bfloat16 or float32"
                   : plan_.dtype == DType::bfloat16 ? "float32 or float64"
                                                    : "float64");
  }

  // The shard's rows of the block's column-parallel matrices, one below the other, with their biases.
  void load_in(std::int64_t layer, const BlockParts& parts, bool bias, const std::vector<Range>& rows,
               ShardBlock& block, std::int64_t expert = 0) {
    std::int64_t count = 0;
    for (const Range& range : rows) count += range.size();
    block.in.matrix = zeros(count, config_.hidden);
    if (bias) block.in_bias = zeros(1, count);
    std::int64_t row = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      place(source_.rows(parts.in[i], layer, rows[i], expert), {0, config_.hidden}, block.in.matrix,
            row * config_.hidden);
      if (bias) place(source_.rows(parts.in_bias[i], layer, rows[i], expert), {0, 1}, block.in_bias, row);
      row += rows[i].size();
    }
  }

  // The row-parallel matrix: all rows of the shard's columns of K, or (gather) its rows over all of K.
  void load_out(std::int64_t layer, Part part, int s, Range inner, ShardBlock& block,
                std::int64_t expert = 0) {
    const PartShape shape = shape_of(config_, part, layer);
    block.inner = inner.size();
    if (plan_.row_linear == RowLinear::gather) {
      const VocabShare rows =
          deal_vocabulary(shape.rows, plan_.shards, s);  // padded alike, as the vocabulary is
      block.out.matrix = zeros(rows.width, shape.cols);
      place(source_.rows(part, layer, rows.rows, expert), {0, shape.cols}, block.out.matrix, 0);
    } else {
      block.out.matrix = zeros(shape.rows, inner.size());
      place(source_.whole(part, layer, expert), inner, block.out.matrix, 0);
    }
  }

  // Matrix by matrix, all shards of one before the next: a matrix that is decoded or quantized is asked for
  // whole by each of them, and the source keeps the last.
  void load_outs(std::int64_t index, const LayerSpec& spec, Range shards, LayerWeights& layer) {
    const auto each_shard = [&](const auto& load) {
      for (std::size_t i = 0; i < layer.shards.size(); ++i)
        load(static_cast<int>(shards.begin) + static_cast<int>(i), layer.shards[i]);
    };
    for (const Block block : kBlocks) {
      if (block == Block::mlp && spec.experts.count > 0) continue;
      each_shard([&](int s, ShardLayer& shard) {
        load_out(index, parts_of(block).out, s,
                 block == Block::attention ? query_columns(s)
                                           : deal_columns(config_.intermediate, plan_.shards, s),
                 shard.blocks[static_cast<std::size_t>(block)]);
      });
    }
    const std::size_t before = weights_.bytes;
    for (std::int64_t id = 0; id < spec.experts.count; ++id)
      each_shard([&](int s, ShardLayer& shard) {
        for (ShardExpert& expert : shard.experts)
          if (expert.id == id)
            load_out(index, parts_of_expert().out, s, expert_columns(spec.experts, s), expert.block, id);
      });
    add_idle(spec.experts, before);
  }

  Range query_columns(int s) const {
    const Range heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s).query;
    return {heads.begin * config_.head_dim, heads.end * config_.head_dim};
  }
  Range expert_columns(const ExpertsSpec& experts, int s) const {
    return plan_.expert_parallel ? Range{0, experts.intermediate}
                                 : deal_columns(experts.intermediate, plan_.shards, s);
  }
  // Of what experts have been given since.
  void add_idle(const ExpertsSpec& experts, std::size_t before) {
    if (experts.count > 0)
      idle_bytes_ += (weights_.bytes - before) / static_cast<std::size_t>(experts.count) *
                     static_cast<std::size_t>(experts.count - experts.active);
  }

  void load_experts(std::int64_t index, const LayerSpec& spec, int s, ShardLayer& layer) {
    const BlockParts& parts = parts_of_expert();
    const ExpertsSpec& experts = spec.experts;
    const Range here = plan_.expert_parallel ? deal(experts.count, plan_.shards, s) : Range{0, experts.count};
    const Range columns = expert_columns(experts, s);
    const std::size_t before = weights_.bytes;
    for (auto id = here.begin; id < here.end; ++id) {
      ShardExpert& expert = layer.experts.emplace_back();
      expert.id = id;
      load_in(index, parts, spec[Block::mlp].input_bias, {columns, columns}, expert.block, id);
    }
    add_idle(experts, before);
    const bool gathers = plan_.row_linear == RowLinear::gather;
    if (!spec[Block::mlp].output_bias || !(plan_.expert_parallel || gathers || s == 0)) return;
    const VocabShare own = deal_vocabulary(config_.hidden, plan_.shards, s);
    const Range added = gathers ? own.rows : Range{0, config_.hidden};
    const std::int64_t width = gathers ? own.width : config_.hidden;
    layer.expert_out_bias = zeros(experts.count, width);
    for (std::int64_t id = 0; id < experts.count; ++id)
      place(source_.whole(parts.out_bias, index, id), added, layer.expert_out_bias, id * width);
  }

  // All but its row-parallel matrices.
  ShardLayer shard(std::int64_t index, const LayerSpec& spec, int s) {
    const std::int64_t dim = config_.head_dim;
    const auto heads = deal_heads(config_.query_heads, config_.kv_heads, plan_.shards, s);
    const Range query = query_columns(s);
    const Range kv{heads.kv.begin * dim, heads.kv.end * dim};
    const Range columns = deal_columns(config_.intermediate, plan_.shards, s);
    ShardLayer layer;
    layer.query_heads = heads.query.size();
    layer.kv_heads = heads.kv.size();
    for (const Block block : kBlocks) {
      const bool attention = block == Block::attention;
      if (!attention && spec.experts.count > 0) {
        load_experts(index, spec, s, layer);
        continue;
      }
      const BlockParts& parts = parts_of(block);
      ShardBlock& weights = layer.blocks[static_cast<std::size_t>(block)];
      load_in(index, parts, spec[block].input_bias,
              attention ? std::vector{query, kv, kv} : std::vector{columns, columns}, weights);
    }
    if (spec.sinks) {
      layer.sinks = zeros(1, heads.query.size());
      place(source_.whole(Part::sinks, index), heads.query, layer.sinks, 0);
    }
    layer.local_kv = Buffer(backend_, heads.local_kv.size() * sizeof(std::int32_t));
    if (!heads.local_kv.empty())
      backend_.upload(layer.local_kv.data(), heads.local_kv.data(),
                      heads.local_kv.size() * sizeof(std::int32_t));
    return layer;
  }

  WeightSource source_;
  const ModelConfig& config_;
  const Plan& plan_;
  Backend& backend_;
  ModelWeights& weights_;
  std::size_t idle_bytes_ = 0;
  std::vector<std::byte> raw_;
  std::vector<std::byte> converted_;
};

}  // namespace

ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                          const Place& place, Backend& backend, const std::function<void(double)>& progress) {
  ModelWeights weights;
  Loader loader(checkpoint, config, plan, backend, weights);
  for (auto index = place.layers.begin; index < place.layers.end; ++index) {
    weights.layers.push_back(loader.layer(index, place.shards));
    progress(static_cast<double>(index + 1 - place.layers.begin) /
             static_cast<double>(place.layers.size() + 1));
  }
  weights.bytes_per_token = weights.bytes - loader.idle_bytes();
  const std::size_t before = weights.bytes;
  if (place.first_stage || (place.last_stage && config.tied_head))
    weights.embedding = loader.vocabulary(Part::embedding, place.shards);
  if (place.last_stage && config.tied_head) weights.bytes_per_token += weights.bytes - before;
  if (place.last_stage) {
    weights.final_norm = loader.vector(Part::final_norm);
    if (!config.tied_head) {
      const std::size_t without_head = weights.bytes;
      weights.head = loader.vocabulary(Part::head, place.shards);
      weights.bytes_per_token += weights.bytes - without_head;
    }
  }
  progress(1.0);
  return weights;
}

}  // namespace shardrift
