#include "model/shard_weights.hpp"

#include "model/weight_pieces.hpp"
#include "weights/quantize.hpp"

namespace shardrift {
namespace {

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan, Backend& backend,
         ModelWeights& weights, int threads)
      : pieces_(checkpoint, config, plan, backend, threads),
        config_(config),
        plan_(plan),
        backend_(backend),
        weights_(weights),
        stays_coded_(plan.quantize != Quantization::none && backend.multiplies_coded(plan.dtype)) {}

  // Everything that was asked for below is there.
  void load() { pieces_.run(); }
  void load(LayerWeights& layer, const ExpertsSpec& experts) {
    load();
    if (!stays_coded_) return;
    std::size_t saved = 0;
    std::size_t saved_by_experts = 0;
    for (ShardLayer& shard : layer.shards) {
      for (ShardBlock& block : shard.blocks) saved += coded(block);
      for (ShardExpert& expert : shard.experts) saved_by_experts += coded(expert.block);
    }
    weights_.bytes -= saved + saved_by_experts;
    idle_bytes_ -= idle_part(experts, saved_by_experts);
  }

  // A vector that every rank has whole.
  OwnedMatrix vector(Part part, std::int64_t layer = 0) {
    const std::int64_t count = shape_of(config_, part, layer).cols;
    OwnedMatrix matrix = zeros(1, count);
    place(part, layer, {0, shape_of(config_, part, layer).rows}, {0, count}, matrix);
    return matrix;
  }

  std::vector<ShardVocabulary> vocabulary(Part part, Range shards) {
    std::vector<ShardVocabulary> slices;
    for (auto s = shards.begin; s < shards.end; ++s) {
      ShardVocabulary slice{deal_vocabulary(config_.vocabulary, plan_.shards, static_cast<int>(s)), {}};
      slice.rows.matrix = zeros(slice.share.width, config_.hidden);
      place(part, 0, slice.share.rows, {0, config_.hidden}, slice.rows.matrix);
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
      place(Part::router, index, {0, spec.experts.count}, {0, config_.hidden}, layer.router.matrix);
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

  // Returns the bytes saved.
  std::size_t coded(ShardBlock& block) {
    std::size_t saved = 0;
    for (OwnedWeight* weight : {&block.in, &block.out})
      if (weight->scales.view.data != nullptr)
        saved += weight->matrix.view.bytes() - backend_.code(*weight, format_of(plan_.quantize));
    return saved;
  }
  static WeightFormat format_of(Quantization kind) {
    switch (kind) {
      case Quantization::int8:
        return WeightFormat::int8;
      case Quantization::int4:
        return WeightFormat::int4;
      case Quantization::nf4:
        return WeightFormat::nf4;
      case Quantization::fp8:
        return WeightFormat::fp8;
      case Quantization::fp8_block:
        return WeightFormat::fp8_block;
      case Quantization::none:
        break;
    }
    return WeightFormat::plain;
  }
  // A weight of these columns of a matrix, with room for scales where it is to stay coded: not where the cut
  // goes through a group.
  OwnedWeight quantized(std::int64_t rows, Range cols) {
    OwnedWeight weight;
    weight.matrix = zeros(rows, cols.size());
    if (stays_coded_ && (has_row_scales(plan_.quantize) || cols.begin % kScaleColumns == 0))
      weight.scales = {backend_, rows, scales_of_row(plan_.quantize, cols.size()), DType::float32};
    return weight;
  }
  // Of its row `row`; null: it has none.
  static float* scales_at(const OwnedWeight& weight, std::int64_t row) {
    auto* scales = weight.scales.buffer.as<float>();
    return scales == nullptr ? nullptr : scales + row * weight.scales.view.cols;
  }

  OwnedMatrix zeros(std::int64_t rows, std::int64_t cols) {
    weights_.bytes += static_cast<std::size_t>(rows * cols) * size_of(plan_.dtype);
    return {backend_, rows, cols, plan_.dtype};
  }

  void* element(const OwnedMatrix& matrix, std::int64_t index) const {
    return static_cast<std::byte*>(matrix.view.data) + static_cast<std::size_t>(index) * size_of(plan_.dtype);
  }

  // Columns `cols` of these rows, from element `at` of a matrix on.
  void place(Part part, std::int64_t layer, Range rows, Range cols, const OwnedMatrix& to,
             std::int64_t at = 0, std::int64_t expert = 0, float* scales = nullptr) {
    pieces_.add(part, layer, rows, {{cols, element(to, at), scales}}, expert);
  }

  // The shard's rows of the block's column-parallel matrices, one below the other, with their biases.
  void load_in(std::int64_t layer, const BlockParts& parts, bool bias, const std::vector<Range>& rows,
               ShardBlock& block, std::int64_t expert = 0) {
    std::int64_t count = 0;
    for (const Range& range : rows) count += range.size();
    block.in = quantized(count, {0, config_.hidden});
    if (bias) block.in_bias = zeros(1, count);
    std::int64_t row = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      place(parts.in[i], layer, rows[i], {0, config_.hidden}, block.in.matrix, row * config_.hidden, expert,
            scales_at(block.in, row));
      if (bias) place(parts.in_bias[i], layer, rows[i], {0, 1}, block.in_bias, row, expert);
      row += rows[i].size();
    }
  }

  // The row-parallel matrix: all rows of the shard's columns of K, which is added to `slices`; or (gather)
  // its rows over all of K.
  void load_out(std::int64_t layer, Part part, int s, Range inner, ShardBlock& block, std::int64_t expert,
                std::vector<WeightPieces::Slice>& slices) {
    const PartShape shape = shape_of(config_, part, layer);
    block.inner = inner.size();
    if (plan_.row_linear == RowLinear::gather) {
      const VocabShare rows =
          deal_vocabulary(shape.rows, plan_.shards, s);  // padded alike, as the vocabulary is
      block.out = quantized(rows.width, {0, shape.cols});
      place(part, layer, rows.rows, {0, shape.cols}, block.out.matrix, 0, expert, scales_at(block.out, 0));
    } else {
      block.out = quantized(shape.rows, inner);
      slices.push_back({inner, element(block.out.matrix, 0), scales_at(block.out, 0)});
    }
  }

  // Matrix by matrix, the slices of all shards at once: its rows are read, decoded or quantized once for all.
  void load_outs(std::int64_t index, const LayerSpec& spec, Range shards, LayerWeights& layer) {
    // load(s, shard, slices)
    const auto matrix = [&](Part part, std::int64_t expert, const auto& load) {
      std::vector<WeightPieces::Slice> slices;
      for (std::size_t i = 0; i < layer.shards.size(); ++i)
        load(static_cast<int>(shards.begin) + static_cast<int>(i), layer.shards[i], slices);
      if (!slices.empty())
        pieces_.add(part, index, {0, shape_of(config_, part, index).rows}, std::move(slices), expert);
    };
    using Slices = std::vector<WeightPieces::Slice>;
    for (const Block block : kBlocks) {
      if (block == Block::mlp && spec.experts.count > 0) continue;
      const Part part = parts_of(block).out;
      matrix(part, 0, [&](int s, ShardLayer& shard, Slices& slices) {
        load_out(index, part, s,
                 block == Block::attention ? query_columns(s)
                                           : deal_columns(config_.intermediate, plan_.shards, s),
                 shard.blocks[static_cast<std::size_t>(block)], 0, slices);
      });
    }
    const std::size_t before = weights_.bytes;
    const Part part = parts_of_expert().out;
    for (std::int64_t id = 0; id < spec.experts.count; ++id)
      matrix(part, id, [&](int s, ShardLayer& shard, Slices& slices) {
        for (ShardExpert& expert : shard.experts)
          if (expert.id == id)
            load_out(index, part, s, expert_columns(spec.experts, s), expert.block, id, slices);
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
    idle_bytes_ += idle_part(experts, weights_.bytes - before);
  }
  static std::size_t idle_part(const ExpertsSpec& experts, std::size_t bytes) {
    if (experts.count == 0) return 0;
    return bytes / static_cast<std::size_t>(experts.count) *
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
      place(parts.out_bias, index, {0, 1}, added, layer.expert_out_bias, id * width, id);
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
      place(Part::sinks, index, {0, 1}, heads.query, layer.sinks);
    }
    layer.local_kv = Buffer(backend_, heads.local_kv.size() * sizeof(std::int32_t));
    if (!heads.local_kv.empty())
      backend_.upload(layer.local_kv.data(), heads.local_kv.data(),
                      heads.local_kv.size() * sizeof(std::int32_t));
    for (const std::int32_t one : heads.local_kv)
      layer.queries_a_kv =
          std::max<std::int64_t>(layer.queries_a_kv, std::ranges::count(heads.local_kv, one));
    return layer;
  }

  WeightPieces pieces_;
  const ModelConfig& config_;
  const Plan& plan_;
  Backend& backend_;
  ModelWeights& weights_;
  bool stays_coded_;
  std::size_t idle_bytes_ = 0;
};

}  // namespace

ModelWeights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Plan& plan,
                          const Place& place, Backend& backend, const std::function<void(double)>& progress,
                          int threads) {
  ModelWeights weights;
  Loader loader(checkpoint, config, plan, backend, weights, threads);
  for (auto index = place.layers.begin; index < place.layers.end; ++index) {
    weights.layers.push_back(loader.layer(index, place.shards));
    loader.load(weights.layers.back(), config.specs[static_cast<std::size_t>(index)].experts);
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
  loader.load();
  progress(1.0);
  return weights;
}

}  // namespace shardrift
