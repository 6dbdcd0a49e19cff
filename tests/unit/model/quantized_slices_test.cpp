// --quantize rounds the unsharded matrix: what a shard gets is a slice of it, to the bit, in every number of
// shards.
#include <gtest/gtest.h>

#include <cstring>

#include "model/shard_weights.hpp"

namespace shardrift {
namespace {

struct Loaded {
  ModelConfig config;
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  ModelWeights weights;
};

Loaded loaded(const std::string& name, int shards, Quantization quantize, DType dtype,
              RowLinear row_linear = RowLinear::reduce) {
  const auto directory = std::filesystem::path(SHARDRIFT_BINARY_DIR) / "fixtures" / name;
  Loaded result;
  result.config = read_model_config(directory);
  Plan plan;
  plan.shards = shards;
  plan.quantize = quantize;
  plan.row_linear = row_linear;
  if (shards > 1 && row_linear != RowLinear::gather) plan.reduction = reduction_from_text("linear");
  plan.dtype = plan.logits_dtype = dtype;
  plan = validated(plan, static_cast<int>(result.config.layers), 1);
  result.weights = load_weights(Checkpoint::open(directory), result.config, plan, place_of(plan, 0),
                                *result.backend, [](double) {});
  return result;
}

// Of one block of one layer: rows of `matrix`, columns [cols), as bytes.
std::string cut(const Matrix& matrix, Range rows, Range cols) {
  const auto* data = static_cast<const char*>(matrix.data);
  const auto element = static_cast<std::int64_t>(size_of(matrix.dtype));
  std::string bytes;
  for (auto row = rows.begin; row < rows.end; ++row)
    bytes.append(data + (row * matrix.cols + cols.begin) * element,
                 static_cast<std::size_t>(cols.size() * element));
  return bytes;
}

// The rows of one device's `in` matrix that are this shard's, one range below the other.
std::vector<Range> in_rows(const ModelConfig& config, Block block, int shards, int s) {
  if (block == Block::mlp) {
    const Range columns = deal_columns(config.intermediate, shards, s);
    const auto ups = config.intermediate;
    return {columns, {ups + columns.begin, ups + columns.end}};
  }
  const auto heads = deal_heads(config.query_heads, config.kv_heads, shards, s);
  const auto dim = config.head_dim;
  const auto keys = config.query_heads * dim;
  const auto values = keys + config.kv_heads * dim;
  return {{heads.query.begin * dim, heads.query.end * dim},
          {keys + heads.kv.begin * dim, keys + heads.kv.end * dim},
          {values + heads.kv.begin * dim, values + heads.kv.end * dim}};
}

Range out_columns(const ModelConfig& config, Block block, int shards, int s) {
  if (block == Block::mlp) return deal_columns(config.intermediate, shards, s);
  const auto heads = deal_heads(config.query_heads, config.kv_heads, shards, s);
  return {heads.query.begin * config.head_dim, heads.query.end * config.head_dim};
}

// What a shard has of a block against the same rows and columns of what one device has of it.
void expect_slice(const ShardBlock& whole, const ShardBlock& slice, const std::vector<Range>& in_rows,
                  Range out_columns, const std::string& where) {
  std::string in;
  for (const Range& rows : in_rows) in += cut(whole.in.matrix.view, rows, {0, whole.in.matrix.view.cols});
  const Matrix& mine = slice.in.matrix.view;
  EXPECT_EQ(in, cut(mine, {0, mine.rows}, {0, mine.cols})) << where;
  const Matrix& out = slice.out.matrix.view;
  EXPECT_EQ(cut(whole.out.matrix.view, {0, out.rows}, out_columns), cut(out, {0, out.rows}, {0, out.cols}))
      << where;
}

void expect_slices(const std::string& name, int shards, Quantization quantize, DType dtype) {
  const Loaded one = loaded(name, 1, quantize, dtype);
  const Loaded many = loaded(name, shards, quantize, dtype);
  for (std::size_t index = 0; index < one.weights.layers.size(); ++index) {
    const ExpertsSpec& experts = one.config.specs[index].experts;
    for (int s = 0; s < shards; ++s) {
      const ShardLayer& whole = one.weights.layers[index].shards[0];
      const ShardLayer& slice = many.weights.layers[index].shards[static_cast<std::size_t>(s)];
      const auto where = name + ", " + std::string(name_of(quantize)) + ", layer " + std::to_string(index) +
                         ", shard " + std::to_string(s) + " of " + std::to_string(shards);
      for (const Block block : kBlocks)
        if (block == Block::attention || experts.count == 0)
          expect_slice(whole[block], slice[block], in_rows(one.config, block, shards, s),
                       out_columns(one.config, block, shards, s), where);
      ASSERT_EQ(static_cast<std::int64_t>(slice.experts.size()), experts.count) << where;
      const Range columns = deal_columns(experts.intermediate, shards, s);
      const Range ups{experts.intermediate + columns.begin, experts.intermediate + columns.end};
      for (std::size_t e = 0; e < slice.experts.size(); ++e)
        expect_slice(whole.experts[e].block, slice.experts[e].block, {columns, ups}, columns,
                     where + ", expert " + std::to_string(e));
    }
  }
}

TEST(QuantizedSlices, AreThoseOfOneShard) {
  for (const auto quantize : {Quantization::none, Quantization::int8, Quantization::int4, Quantization::nf4,
                              Quantization::fp8, Quantization::fp8_block})
    for (const auto* name :
         {"tiny-llama", "tiny-llama-mixed", "tiny-phi3", "tiny-internlm2", "tiny-mixtral", "tiny-qwen3-moe"})
      for (const int shards : {3, 4}) {
        expect_slices(name, shards, quantize, DType::float32);
        expect_slices(name, shards, quantize, DType::bfloat16);
      }
}

// Rows of the output over all of K, as --row-linear gather deals them.
TEST(QuantizedSlices, OfRowsToo) {
  for (const auto quantize : {Quantization::int4, Quantization::fp8_block}) {
    const Loaded one = loaded("tiny-llama", 1, quantize, DType::float32);
    const Loaded four = loaded("tiny-llama", 4, quantize, DType::float32, RowLinear::gather);
    for (int s = 0; s < 4; ++s) {
      const auto rows = deal_vocabulary(one.config.hidden, 4, s).rows;
      const Matrix& whole = one.weights.layers[1].shards[0][Block::mlp].out.matrix.view;
      const Matrix& slice =
          four.weights.layers[1].shards[static_cast<std::size_t>(s)][Block::mlp].out.matrix.view;
      EXPECT_EQ(cut(whole, rows, {0, whole.cols}), cut(slice, {0, rows.size()}, {0, slice.cols})) << s;
    }
  }
}

// Control, and what is quantized: the linears of layers, nothing else.
TEST(QuantizedSlices, OnlyLayersLinearsChange) {
  const Loaded plain = loaded("tiny-qwen2", 1, Quantization::none, DType::float32);
  for (const auto quantize : {Quantization::int8, Quantization::int4, Quantization::nf4, Quantization::fp8,
                              Quantization::fp8_block}) {
    const Loaded other = loaded("tiny-qwen2", 1, quantize, DType::float32);
    const auto same = [](const Matrix& a, const Matrix& b) {
      return cut(a, {0, a.rows}, {0, a.cols}) == cut(b, {0, b.rows}, {0, b.cols});
    };
    for (const Block block : kBlocks) {
      const ShardBlock& a = plain.weights.layers[0].shards[0][block];
      const ShardBlock& b = other.weights.layers[0].shards[0][block];
      EXPECT_FALSE(same(a.in.matrix.view, b.in.matrix.view)) << name_of(quantize);
      EXPECT_FALSE(same(a.out.matrix.view, b.out.matrix.view)) << name_of(quantize);
      if (block == Block::attention) {
        EXPECT_TRUE(same(a.in_bias.view, b.in_bias.view));
      }
      EXPECT_TRUE(same(plain.weights.layers[0][block].norm_before.view,
                       other.weights.layers[0][block].norm_before.view));
    }
    EXPECT_TRUE(
        same(plain.weights.embedding[0].rows.matrix.view, other.weights.embedding[0].rows.matrix.view));
    EXPECT_TRUE(same(plain.weights.final_norm.view, other.weights.final_norm.view));
    if (!plain.config.tied_head) {
      EXPECT_TRUE(same(plain.weights.head[0].rows.matrix.view, other.weights.head[0].rows.matrix.view));
    }
  }
}

TEST(QuantizedSlices, ExpertsChangeAndTheirRouterDoesNot) {
  const auto bytes = [](const Matrix& m) { return cut(m, {0, m.rows}, {0, m.cols}); };
  const Loaded plain = loaded("tiny-mixtral", 1, Quantization::none, DType::float32);
  const Loaded other = loaded("tiny-mixtral", 1, Quantization::int8, DType::float32);
  const LayerWeights& a = plain.weights.layers[0];
  const LayerWeights& b = other.weights.layers[0];
  EXPECT_EQ(bytes(a.router.matrix.view), bytes(b.router.matrix.view));
  for (std::size_t e = 0; e < a.shards[0].experts.size(); ++e) {
    EXPECT_NE(bytes(a.shards[0].experts[e].block.in.matrix.view),
              bytes(b.shards[0].experts[e].block.in.matrix.view));
    EXPECT_NE(bytes(a.shards[0].experts[e].block.out.matrix.view),
              bytes(b.shards[0].experts[e].block.out.matrix.view));
  }
}

}  // namespace
}  // namespace shardrift
