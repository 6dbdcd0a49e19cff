// Weights are loaded in pieces, by several threads: every byte is where one copy of all would have put it,
// the first fault is the one that is told, and the host never holds a whole matrix.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "common/error.hpp"
#include "model/shard_weights.hpp"
#include "tests/unit/weights/weight_files.hpp"
#include "weights/convert.hpp"
#include "weights/weight_source.hpp"

// Counts what the program holds on the host: device memory is not made by operator new.
namespace {
std::atomic<std::size_t> held = 0, most_held = 0;
constexpr std::size_t kBefore = 16;  // the size stands before what is given

void* counted(std::size_t bytes) {
  auto* const block = static_cast<char*>(std::malloc(bytes + kBefore));
  if (block == nullptr) throw std::bad_alloc();
  std::memcpy(block, &bytes, sizeof(bytes));
  const std::size_t now = held += bytes;
  for (std::size_t most = most_held; now > most && !most_held.compare_exchange_weak(most, now);) {
  }
  return block + kBefore;
}

void uncounted(void* data) noexcept {
  if (data == nullptr) return;
  char* const block = static_cast<char*>(data) - kBefore;
  std::size_t bytes = 0;
  std::memcpy(&bytes, block, sizeof(bytes));
  held -= bytes;
  std::free(block);
}
}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
void operator delete(void* data) noexcept {
  uncounted(data);
}
void operator delete(void* data, std::size_t /*bytes*/) noexcept {
  uncounted(data);
}

namespace shardrift {
namespace {

constexpr std::int64_t kHidden = 256, kColumns = 5000, kVocabulary = 5000;  // matrices of 2.5 MB: 3 pieces

// A llama of one layer, bfloat16 or fp8 with a scale for each row, on disk for all tests of this file.
class Model {
 public:
  explicit Model(bool coded = false) {
    if (coded) config_ = R"("quantization_config": {"quant_method": "fp8", "fmt": "e4m3"},)";
    add("model.embed_tokens.weight", kVocabulary, kHidden);
    add("model.layers.0.input_layernorm.weight", 0, kHidden);
    add("model.layers.0.post_attention_layernorm.weight", 0, kHidden);
    for (const auto* name : {"q", "o"}) add_linear(coded, name_of("self_attn", name), kHidden, kHidden);
    for (const auto* name : {"k", "v"}) add_linear(coded, name_of("self_attn", name), kHidden / 2, kHidden);
    for (const auto* name : {"gate", "up"}) add_linear(coded, name_of("mlp", name), kColumns, kHidden);
    add_linear(coded, name_of("mlp", "down"), kHidden, kColumns);
    add("model.norm.weight", 0, kHidden);
    add("lm_head.weight", kVocabulary, kHidden);
    folder_.write("config.json", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 256,)" + config_ +
                                     R"( "intermediate_size": 5000, "num_hidden_layers": 1,
      "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 5000, "rms_norm_eps": 1e-5,
      "max_position_embeddings": 64, "torch_dtype": "bfloat16", "tie_word_embeddings": false})");
    write();
  }
  // A NaN instead of the tensor's element.
  void damage(const std::string& tensor, std::size_t element) {
    const std::uint16_t nan = 0x7FC1;
    std::memcpy(data_.data() + begins_.at(tensor) + element * sizeof(nan), &nan, sizeof(nan));
    write();
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  static std::string name_of(const std::string& block, const std::string& name) {
    return "model.layers.0." + block + "." + name + "_proj.weight";
  }
  void add(const std::string& name, std::int64_t rows, std::int64_t cols, const char* dtype = "BF16") {
    const std::string type = dtype;
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(rows, 1) * cols);
    begins_[name] = data_.size();
    for (std::size_t i = 0; i < count; ++i) {
      random_ = random_ * 6364136223846793005U + 1442695040888963407U;
      const auto word = static_cast<std::uint16_t>(random_ >> 48);
      if (type == "BF16") append<std::uint16_t>((word & 0x80FFU) | 0x3E80U);
      if (type == "F8_E4M3") append<std::uint8_t>(word & 0xF7U);  // no NaN
      if (type == "F32") append<float>(0.5F + static_cast<float>(word & 255U) / 256);
    }
    header_ += fmt::format(R"({}"{}": {{"dtype": "{}", "shape": [{}{}], "data_offsets": [{}, {}]}})",
                           header_.empty() ? "" : ", ", name, type,
                           rows == 0 ? "" : fmt::format("{}, ", rows), cols, begins_[name], data_.size());
  }
  void add_linear(bool coded, const std::string& name, std::int64_t rows, std::int64_t cols) {
    add(name, rows, cols, coded ? "F8_E4M3" : "BF16");
    if (coded) add(name + "_scale_inv", 0, rows, "F32");
  }
  template <typename Word>
  void append(Word word) {
    data_.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  void write() { folder_.write("model.safetensors", safetensors("{" + header_ + "}", data_)); }

  TemporaryDirectory folder_;
  std::string config_, header_, data_;
  std::map<std::string, std::size_t> begins_;
  std::uint64_t random_ = 1;
};

struct Loaded {
  ModelConfig config;
  std::unique_ptr<Backend> backend = make_cpu_backend(1);
  ModelWeights weights;
};

Plan plan_of(int shards, Quantization quantize, DType dtype) {
  Plan plan;
  plan.shards = shards;
  plan.quantize = quantize;
  if (shards > 1) plan.reduction = reduction_from_text("linear");
  plan.dtype = plan.logits_dtype = dtype;
  return validated(plan, 1, 1);
}

Loaded loaded(const std::filesystem::path& model, const Plan& plan, int threads) {
  Loaded result;
  result.config = read_model_config(model);
  result.weights = load_weights(
      Checkpoint::open(model), result.config, plan, place_of(plan, 0), *result.backend, [](double) {},
      threads);
  return result;
}

std::string bytes_of(const Matrix& matrix) {
  return {static_cast<const char*>(matrix.data), matrix.bytes()};
}

// Columns of rows, all at once, out of the unsharded matrix.
std::string expected(WeightSource& source, Part part, Range rows, Range cols, DType dtype) {
  const TensorView view = source.whole(part);
  std::string bytes;
  std::vector<std::byte> row(static_cast<std::size_t>(cols.size()) * size_of(dtype));
  for (auto r = rows.begin; r < rows.end; ++r) {
    convert(view.data + static_cast<std::size_t>(r * view.shape[1] + cols.begin) * size_of(view.dtype),
            view.dtype, row.data(), dtype, static_cast<std::size_t>(cols.size()));
    bytes.append(reinterpret_cast<const char*>(row.data()), row.size());
  }
  return bytes;
}

void expect_loaded(const Model& model, int shards, Quantization quantize, DType dtype, int threads) {
  const Plan plan = plan_of(shards, quantize, dtype);
  const Loaded result = loaded(model.path(), plan, threads);
  const auto checkpoint = Checkpoint::open(model.path());
  WeightSource source(checkpoint, result.config);
  source.quantize(quantize);
  const auto where =
      fmt::format("{} shards, {}, {}, {} threads", shards, name_of(quantize), name_of(dtype), threads);
  for (int s = 0; s < shards; ++s) {
    const ShardLayer& shard = result.weights.layers[0].shards[static_cast<std::size_t>(s)];
    const Range columns = deal_columns(kColumns, shards, s);
    const Range hidden{0, kHidden};
    EXPECT_TRUE(expected(source, Part::gate, columns, hidden, dtype) +
                    expected(source, Part::up, columns, hidden, dtype) ==
                bytes_of(shard[Block::mlp].in.matrix.view))
        << where;
    EXPECT_TRUE(expected(source, Part::down, hidden, columns, dtype) ==
                bytes_of(shard[Block::mlp].out.matrix.view))
        << where;
    const auto& head = result.weights.head[static_cast<std::size_t>(s)];
    EXPECT_TRUE(expected(source, Part::head, head.share.rows, hidden, dtype) ==
                bytes_of(head.rows.matrix.view.first_rows(head.share.rows.size())))
        << where;
  }
}

TEST(WeightPieces, JoinToWhatOneCopyGives) {
  const Model plain, coded(true);
  for (const int shards : {1, 3})
    for (const int threads : {1, 3}) {
      expect_loaded(plain, shards, Quantization::none, DType::bfloat16, threads);
      expect_loaded(plain, shards, Quantization::none, DType::float32, threads);
      expect_loaded(plain, shards, Quantization::int4, DType::bfloat16, threads);
      expect_loaded(plain, shards, Quantization::fp8_block, DType::float32, threads);
      expect_loaded(coded, shards, Quantization::none, DType::bfloat16, threads);
      expect_loaded(coded, shards, Quantization::none, DType::float32, threads);
    }
}

// Of several faults in several pieces the first, whichever thread meets which.
TEST(WeightPieces, TellTheFirstFault) {
  Model model;
  model.damage("lm_head.weight", 7);
  model.damage("model.layers.0.mlp.up_proj.weight", 4999 * kHidden + 3);
  model.damage("model.layers.0.mlp.up_proj.weight", 2500 * kHidden + 9);
  for (const int threads : {1, 4})
    for (int repeat = 0; repeat < 10; ++repeat)
      expect_bad_data([&] { loaded(model.path(), plan_of(1, Quantization::none, DType::bfloat16), threads); },
                      {"model.layers.0.mlp.up_proj.weight", "[2500, 9]", "infinite or NaN"});
}

// What the host holds beside the mapped file and the device's memory: a few pieces a thread, not a matrix.
// The bound is four of 128 rows (the least) or 1 MiB, in float32; what one matrix takes is beyond it.
TEST(WeightPieces, BoundWhatTheHostHolds) {
  const Model plain, coded(true);
  constexpr std::size_t kPiece = std::size_t{128} * kColumns * sizeof(float);
  const auto most = [&](const Model& model, Quantization quantize, DType dtype, int threads) {
    const Plan plan = plan_of(1, quantize, dtype);
    const std::size_t before = held;
    most_held = before;
    const Loaded result = loaded(model.path(), plan, threads);
    return most_held - before;
  };
  constexpr std::size_t kSmall = 1 << 20;  // the configuration, names, what threads need
  for (const int threads : {1, 2}) {
    const auto bound = static_cast<std::size_t>(threads) * 2 * kPiece + kSmall;
    EXPECT_LT(most(plain, Quantization::none, DType::bfloat16, threads), kSmall);
    EXPECT_LT(most(plain, Quantization::none, DType::float32, threads), kSmall);
    EXPECT_LT(most(plain, Quantization::fp8_block, DType::float32, threads), bound);
    EXPECT_LT(most(coded, Quantization::none, DType::bfloat16, threads), bound);
  }
}

}  // namespace
}  // namespace shardrift
