#include "weights/weight_source.hpp"

#include <cmath>
#include <cstring>
#include <numeric>

#include "weight_files.hpp"
#include "weights/quantize.hpp"

namespace shardrift {
namespace {

// A model of hidden 2, two KV heads of head_dim 2, each read by two query heads, one layer.
ModelConfig small(const Architecture& architecture) {
  ModelConfig model;
  model.architecture = architecture.name;
  model.hidden = 2;
  model.intermediate = 3;
  model.layers = 2;
  model.query_heads = 4;
  model.kv_heads = 2;
  model.head_dim = 2;
  model.vocabulary = 5;
  model.specs.resize(2);
  return model;
}

// float32 values 0, 1, 2, …
std::string counted(std::size_t n) {
  std::vector<float> values(n);
  std::iota(values.begin(), values.end(), 0.0F);
  std::string bytes(n * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<float> values_of(const TensorView& view) {
  std::vector<float> values(view.bytes / sizeof(float));
  std::memcpy(values.data(), view.data, view.bytes);
  return values;
}

TEST(WeightSource, TakesRowsByTheArchitecturesNames) {
  const TemporaryDirectory folder;
  folder.write("model.safetensors",
               safetensors(R"({"model.layers.1.mlp.gate_proj.weight": {"dtype": "F32", "shape": [3, 2],
                              "data_offsets": [0, 24]},
                              "model.layers.1.mlp.gate_proj.bias": {"dtype": "F32", "shape": [3],
                              "data_offsets": [24, 36]},
                              "model.norm.weight": {"dtype": "F32", "shape": [2], "data_offsets": [36, 44]}})",
                           counted(11)));
  const auto checkpoint = Checkpoint::open(folder.path());
  for (const char* name : {"LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"}) {
    const ModelConfig model = small(*find_architecture(name));
    WeightSource source(checkpoint, model);
    EXPECT_EQ(values_of(source.whole(Part::gate, 1)), (std::vector<float>{0, 1, 2, 3, 4, 5}));
    const auto some = source.rows(Part::gate, 1, {1, 3});
    EXPECT_EQ(values_of(some), (std::vector<float>{2, 3, 4, 5}));
    EXPECT_EQ(some.shape, (std::vector<std::int64_t>{2, 2}));
    EXPECT_EQ(values_of(source.rows(Part::gate_bias, 1, {2, 3})), std::vector<float>{8});
    EXPECT_EQ(values_of(source.whole(Part::final_norm)), (std::vector<float>{9, 10}));
    EXPECT_TRUE(values_of(source.rows(Part::gate, 1, {2, 2})).empty());
    expect_bad_data([&] { source.whole(Part::up, 1); }, {"model.layers.1.mlp.up_proj.weight"});
    expect_bad_data([&] { source.whole(Part::gate, 0); }, {"model.layers.0.mlp.gate_proj.weight"});
  }
}

// Queries, keys and values in one tensor, group by group: two query heads, a key head, a value head
// (InternLM2's way).
PackedRows by_group(const ModelConfig& model, Part part) {
  PackedRows packed;
  const std::int64_t dim = model.head_dim;
  const std::int64_t queries = model.query_heads / model.kv_heads * dim;
  packed.tensor_rows = model.kv_heads * (queries + 2 * dim);
  for (std::int64_t group = 0; group < model.kv_heads; ++group) {
    const std::int64_t begin = group * (queries + 2 * dim);
    if (part == Part::query) packed.rows.push_back({begin, begin + queries});
    if (part == Part::key) packed.rows.push_back({begin + queries, begin + queries + dim});
    if (part == Part::value) packed.rows.push_back({begin + queries + dim, begin + queries + 2 * dim});
  }
  return packed;
}

TEST(WeightSource, UnpacksBeforeItSlices) {
  const TemporaryDirectory folder;
  folder.write(
      "model.safetensors",
      safetensors(R"({"layers.0.wqkv": {"dtype": "F32", "shape": [16, 2], "data_offsets": [0, 128]}})",
                  counted(32)));
  const auto checkpoint = Checkpoint::open(folder.path());
  const std::vector<TensorName> names{{Part::query, "layers.{}.wqkv"}, {Part::value, "layers.{}.wqkv"}};
  const ModelConfig model = small(*architectures().front());
  const Architecture packed{"Packed", "packed", nullptr, names, by_group};
  WeightSource source(checkpoint, model, packed);
  // Rows 0-3 and 8-11 of the tensor; row r holds 2r, 2r + 1.
  EXPECT_EQ(values_of(source.whole(Part::query, 0)),
            (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23}));
  EXPECT_EQ(values_of(source.rows(Part::query, 0, {3, 5})), (std::vector<float>{6, 7, 16, 17}));
  EXPECT_EQ(values_of(source.whole(Part::value, 0)), (std::vector<float>{12, 13, 14, 15, 28, 29, 30, 31}));
  ModelConfig other = model;
  other.kv_heads = 1;
  WeightSource wrong(checkpoint, other, packed);
  expect_bad_data([&] { wrong.whole(Part::query, 0); }, {"layers.0.wqkv", "[16,2]", "[12,2]"});
}

// Two groups of two query heads, a key and a value, each of two rows.
TEST(WeightSource, InternLm2PacksByKvHead) {
  const TemporaryDirectory folder;
  folder.write("model.safetensors",
               safetensors(R"({"model.layers.1.attention.wqkv.weight": {"dtype": "F32", "shape": [16, 2],
                              "data_offsets": [0, 128]}})",
                           counted(32)));
  const auto checkpoint = Checkpoint::open(folder.path());
  const ModelConfig model = small(*find_architecture("InternLM2ForCausalLM"));
  WeightSource source(checkpoint, model);
  const auto firsts = [](const TensorView& view) {
    std::vector<float> all;
    const auto values = values_of(view);
    for (std::size_t i = 0; i < values.size(); i += 2) all.push_back(values[i] / 2);  // the row in the tensor
    return all;
  };
  EXPECT_EQ(firsts(source.whole(Part::query, 1)), (std::vector<float>{0, 1, 2, 3, 8, 9, 10, 11}));
  EXPECT_EQ(firsts(source.whole(Part::key, 1)), (std::vector<float>{4, 5, 12, 13}));
  EXPECT_EQ(firsts(source.whole(Part::value, 1)), (std::vector<float>{6, 7, 14, 15}));
  const auto some = source.rows(Part::query, 1, {3, 6});
  EXPECT_EQ(firsts(some), (std::vector<float>{3, 8, 9}));
  EXPECT_EQ(some.stored_at(0, 1), "[3, 1]");  // errors name rows of the stored tensor
  EXPECT_EQ(some.stored_at(2, 0), "[9, 0]");
}

// Two experts of two rows each for gate and up, [experts, in, out], a gate's row beside its up's.
PackedRows interleaved(const ModelConfig&, Part part) {
  PackedRows packed;
  packed.experts = 2;
  if (part == Part::expert_down_bias) return packed;
  packed.tensor_rows = 4;
  packed.stride = 2;
  packed.rows = {{part == Part::expert_gate || part == Part::expert_gate_bias ? 0 : 1, 4}};
  packed.transposed = part == Part::expert_gate || part == Part::expert_up;
  return packed;
}

TEST(WeightSource, TakesAnExpertOutOfAllExpertsTensor) {
  const TemporaryDirectory folder;
  folder.write(
      "model.safetensors",
      safetensors(R"({"layers.0.gate_up": {"dtype": "F32", "shape": [2, 3, 4], "data_offsets": [0, 96]},
                              "layers.0.gate_up_bias": {"dtype": "F32", "shape": [2, 4], "data_offsets": [96, 128]},
                              "layers.0.down_bias": {"dtype": "F32", "shape": [2, 3], "data_offsets": [128, 152]}})",
                  counted(38)));
  const auto checkpoint = Checkpoint::open(folder.path());
  const std::vector<TensorName> names{{Part::expert_gate, "layers.{}.gate_up"},
                                      {Part::expert_up, "layers.{}.gate_up"},
                                      {Part::expert_up_bias, "layers.{}.gate_up_bias"},
                                      {Part::expert_down_bias, "layers.{}.down_bias"}};
  ModelConfig model = small(*architectures().front());
  model.hidden = 3;
  model.specs.front().experts = {.count = 2, .active = 1, .intermediate = 2};
  const Architecture mixture{"Mixture", "mixture", nullptr, names, interleaved};
  WeightSource source(checkpoint, model, mixture);
  // Element (in i, out o) of expert e is 12 e + 4 i + o.
  EXPECT_EQ(values_of(source.whole(Part::expert_gate, 0, 1)), (std::vector<float>{12, 16, 20, 14, 18, 22}));
  EXPECT_EQ(values_of(source.rows(Part::expert_up, 0, {1, 2}, 0)), (std::vector<float>{3, 7, 11}));
  EXPECT_EQ(source.rows(Part::expert_up, 0, {1, 2}, 1).stored_at(0, 2), "[1, 2, 3]");
  EXPECT_EQ(values_of(source.whole(Part::expert_up_bias, 0, 1)), (std::vector<float>{29, 31}));
  EXPECT_EQ(source.rows(Part::expert_up_bias, 0, {1, 2}, 1).stored_at(0, 0), "[1, 3]");
  const auto bias = source.whole(Part::expert_down_bias, 0, 1);
  EXPECT_EQ(values_of(bias), (std::vector<float>{35, 36, 37}));
  EXPECT_EQ(bias.stored_at(0, 2), "[1, 2]");
}

// Whole matrices before any slice is cut: the scale of a slice's numbers is that of all that share it in the
// matrix.
TEST(WeightSource, QuantizesBeforeItSlices) {
  const TemporaryDirectory folder;
  ModelConfig model = small(*find_architecture("LlamaForCausalLM"));
  model.hidden = 130;
  model.intermediate = 150;
  std::vector<float> stored(150 * 130);
  for (std::size_t i = 0; i < stored.size(); ++i)
    stored[i] = std::ldexp(static_cast<float>(i * 37 % 101) - 50, -static_cast<int>(i % 5));
  std::string bytes(stored.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), stored.data(), bytes.size());
  folder.write("model.safetensors",
               safetensors(R"({"model.layers.0.mlp.gate_proj.weight": {"dtype": "F32", "shape": [150, 130],
                              "data_offsets": [0, 78000]}})",
                           bytes));
  const auto checkpoint = Checkpoint::open(folder.path());
  for (const auto kind : {Quantization::int8, Quantization::int4, Quantization::nf4, Quantization::fp8,
                          Quantization::fp8_block}) {
    SCOPED_TRACE(name_of(kind));
    std::vector<float> expected = stored;
    quantize_rows(kind, expected, 130);
    ASSERT_NE(expected, stored);
    WeightSource source(checkpoint, model);
    source.quantize(kind);
    EXPECT_EQ(values_of(source.whole(Part::gate, 0)), expected);
    for (const Range rows : {Range{0, 1}, {3, 130}, {127, 129}, {128, 150}, {149, 150}}) {
      const auto some = source.rows(Part::gate, 0, rows);
      EXPECT_EQ(some.shape, (std::vector<std::int64_t>{rows.size(), 130}));
      EXPECT_EQ(values_of(some),
                std::vector<float>(expected.begin() + rows.begin * 130, expected.begin() + rows.end * 130));
      EXPECT_EQ(some.stored_at(0, 7), fmt::format("[{}, 7]", rows.begin));
    }
    EXPECT_TRUE(values_of(source.rows(Part::gate, 0, {7, 7})).empty());
  }
}

TEST(WeightSource, QuantizesWhatIsStoredInAnyDtype) {
  const TemporaryDirectory folder;
  folder.write(
      "model.safetensors",
      safetensors(
          R"({"model.layers.0.mlp.gate_proj.weight": {"dtype": "F64", "shape": [3, 2], "data_offsets": [0, 48]},
                              "model.layers.1.mlp.gate_proj.weight": {"dtype": "BF16", "shape": [3, 2], "data_offsets": [48, 60]},
                              "model.norm.weight": {"dtype": "BF16", "shape": [2], "data_offsets": [60, 64]}})",
          [] {
            const std::array<double, 6> wide{7, 3.5, 0x1.0000001p0, -0.1, 0, 0};
            const std::array<std::uint16_t, 8> narrow{0x40e0, 0x4020, 0xbf80, 0, 0x7f80, 0x3f80, 0x4020, 0};
            std::string text(64, '\0');
            std::memcpy(text.data(), wide.data(), 48);
            std::memcpy(text.data() + 48, narrow.data(), 16);
            return text;
          }()));
  const auto checkpoint = Checkpoint::open(folder.path());
  const ModelConfig model = small(*find_architecture("LlamaForCausalLM"));
  WeightSource source(checkpoint, model);
  source.quantize(Quantization::int4);
  const auto wide = source.whole(Part::gate, 0);
  EXPECT_EQ(wide.dtype, DType::float32);
  EXPECT_EQ(values_of(wide), (std::vector<float>{7, 4, 1, -1.0F / 7.0F, 0, 0}));  // 3.5 to the even 4
  EXPECT_EQ(values_of(source.rows(Part::gate, 1, {0, 2})), (std::vector<float>{7, 2, -1, 0}));
  // An infinite weight has no scale; it is named, where it is stored.
  expect_bad_data([&] { source.whole(Part::gate, 1); },
                  {"model.layers.1.mlp.gate_proj.weight", "[2, 0]", "infinite"});
  EXPECT_EQ(source.whole(Part::final_norm).dtype, DType::bfloat16);  // as it is
}

TEST(WeightSource, DoesNotQuantizeTwice) {
  const TemporaryDirectory folder;
  folder.write("model.safetensors", safetensors("{}", ""));
  const auto checkpoint = Checkpoint::open(folder.path());
  ModelConfig model = small(*find_architecture("LlamaForCausalLM"));
  model.quantization =
      R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": false, "sym": true})";
  WeightSource source(checkpoint, model);
  EXPECT_NO_THROW(source.quantize(Quantization::none));
  try {
    source.quantize(Quantization::int8);
    FAIL() << "quantized twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("--quantize int8"), testing::HasSubstr("GPTQ")));
  }
}

// Of a mixture each expert's matrix by itself, where all stand in one tensor: blocks do not reach into the
// next expert.
TEST(WeightSource, QuantizesEveryExpertByItself) {
  const TemporaryDirectory folder;
  constexpr std::int64_t kRows = 130, kCols = 2, kExperts = 3;
  folder.write(
      "model.safetensors",
      safetensors(
          R"({"layers.0.experts": {"dtype": "F32", "shape": [3, 130, 2], "data_offsets": [0, 3120]}})",
          counted(static_cast<std::size_t>(kExperts * kRows * kCols))));
  const auto checkpoint = Checkpoint::open(folder.path());
  ModelConfig model = small(*architectures().front());
  model.specs[0].experts = {.count = kExperts, .active = 1, .intermediate = kRows};
  const std::vector<TensorName> names{{Part::expert_gate, "layers.{}.experts"}};
  const Architecture joined{
      "Joined", "joined", nullptr, names, [](const ModelConfig&, Part) {
        return PackedRows{.tensor_rows = kRows, .rows = {{0, kRows}}, .experts = kExperts};
      }};
  WeightSource plain(checkpoint, model, joined);
  WeightSource source(checkpoint, model, joined);
  source.quantize(Quantization::fp8_block);
  for (std::int64_t expert = 0; expert < kExperts; ++expert) {
    auto expected = values_of(plain.whole(Part::expert_gate, 0, expert));
    quantize_rows(Quantization::fp8_block, expected, kCols);
    EXPECT_EQ(values_of(source.whole(Part::expert_gate, 0, expert)), expected) << expert;
    const auto some = source.rows(Part::expert_gate, 0, {128, 130}, expert);
    EXPECT_EQ(values_of(some), std::vector<float>(expected.end() - 2 * kCols, expected.end()));
    EXPECT_EQ(some.stored_at(1, 1), fmt::format("[{}, 129, 1]", expert));
  }
}

}  // namespace
}  // namespace shardrift
