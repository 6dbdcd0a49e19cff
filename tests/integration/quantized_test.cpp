// Quantized checkpoints run as the same model whose decoded weights are stored plainly: the same bits, on any
// number of shards and ranks. That decoding gives the packages' numbers is tests/unit/codings' part; here
// codes are made up.
#include <functional>

#include "../unit/codings/coded_files.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Shape = std::vector<std::int64_t>;

class MadeUp {
 public:
  std::uint32_t word() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  Tensors::Tensor bytes(const char* dtype, Shape shape, std::size_t of_element) {
    Tensors::Tensor tensor{dtype, std::move(shape), {}};
    tensor.bytes.resize(elements(tensor) * of_element);
    for (char& byte : tensor.bytes) byte = static_cast<char>(word() & 0xFFU);
    return tensor;
  }
  // 1, 1.25, 1.5 or 1.75 times `unit`.
  Tensors::Tensor scales(const char* dtype, Shape shape, float unit) {
    const bool wide = std::string(dtype) == "F32";
    auto tensor = bytes(dtype, std::move(shape), wide ? 4 : 2);
    for (std::size_t i = 0; i < elements(tensor); ++i) {
      const float value = unit * (1 + 0.25F * static_cast<float>(word() % 4));
      if (wide) {
        Tensors::put(tensor, i, value);
      } else {
        Tensors::put(tensor, i,
                     tensor.dtype == "F16" ? float16_from_float(value) : bfloat16_from_float(value));
      }
    }
    return tensor;
  }

 private:
  std::uint64_t state_ = 1;
};

// Puts the tensors of a linear [rows, cols] into a checkpoint.
using Code = std::function<void(Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows,
                                std::int64_t cols)>;
struct Format {
  const char* name;
  json config;
  Code code;
};

std::int64_t divided(std::int64_t count, std::int64_t by) {
  return (count + by - 1) / by;
}

void no_nan(Tensors::Tensor& e4m3) {
  for (char& byte : e4m3.bytes)
    if ((byte & 0x7F) == 0x7F) byte ^= 1;
}

json compressed(const char* format, json weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", format},
          {"ignore", {"lm_head"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", std::move(weights)}}}}}};
}

// Groups of 8 columns and blocks of 16 that shards' cuts go through: 200 / 4 = 50, 144 / 4 = 36.
std::vector<Format> formats() {
  const auto gptq = [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows,
                       std::int64_t cols, bool act_order) {
    auto& all = tensors.by_name;
    all[module + ".qweight"] = made.bytes("I32", {cols / 8, rows}, 4);
    all[module + ".qzeros"] = made.bytes("I32", {cols / 8, rows / 8}, 4);
    all[module + ".scales"] = made.scales("F16", {cols / 8, rows}, 0.02F);
    auto& index = all[module + ".g_idx"] = made.bytes("I32", {cols}, 4);
    for (std::int64_t col = 0; col < cols; ++col)
      Tensors::put(index, static_cast<std::size_t>(col),
                   static_cast<std::int32_t>(act_order ? (col * 5) % (cols / 8) : col / 8));
  };
  return {
      {"awq",
       {{"quant_method", "awq"}, {"version", "gemm"}, {"bits", 4}, {"group_size", 8}},
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         tensors.by_name[module + ".qweight"] = made.bytes("I32", {cols, rows / 8}, 4);
         tensors.by_name[module + ".qzeros"] = made.bytes("I32", {cols / 8, rows / 8}, 4);
         tensors.by_name[module + ".scales"] = made.scales("F16", {cols / 8, rows}, 0.02F);
       }},
      {"gptq",
       {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 8}, {"desc_act", false}},
       [=](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         gptq(tensors, made, module, rows, cols, false);
       }},
      {"gptq-act-order",
       {{"quant_method", "gptq"}, {"bits", 4}, {"group_size", 8}, {"desc_act", true}},
       [=](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         gptq(tensors, made, module, rows, cols, true);
       }},
      {"fp8",
       {{"quant_method", "fp8"}, {"weight_block_size", {16, 16}}},
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         no_nan(tensors.by_name[module + ".weight"] = made.bytes("F8_E4M3", {rows, cols}, 1));
         tensors.by_name[module + ".weight_scale_inv"] =
             made.scales("F32", {divided(rows, 16), divided(cols, 16)}, 0.001F);
       }},
      {"compressed-fp8", compressed("float-quantized", {{"type", "float"}, {"strategy", "channel"}}),
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         no_nan(tensors.by_name[module + ".weight"] = made.bytes("F8_E4M3", {rows, cols}, 1));
         tensors.by_name[module + ".weight_scale"] = made.scales("BF16", {rows, 1}, 0.001F);
       }},
      {"compressed-int8", compressed("int-quantized", {{"type", "int"}, {"strategy", "channel"}}),
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         tensors.by_name[module + ".weight"] = made.bytes("I8", {rows, cols}, 1);
         tensors.by_name[module + ".weight_scale"] = made.scales("BF16", {rows, 1}, 0.001F);
       }},
      {"compressed-int4",
       compressed("pack-quantized",
                  {{"num_bits", 4}, {"strategy", "group"}, {"group_size", 8}, {"symmetric", false}}),
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         auto& all = tensors.by_name;
         all[module + ".weight_packed"] = made.bytes("I32", {rows, cols / 8}, 4);
         all[module + ".weight_scale"] = made.scales("F16", {rows, cols / 8}, 0.02F);
         all[module + ".weight_zero_point"] = made.bytes("I32", {rows / 8, cols / 8}, 4);
         auto& shape = all[module + ".weight_shape"] = made.bytes("I64", {2}, 8);
         Tensors::put(shape, 0, rows);
         Tensors::put(shape, 1, cols);
       }},
      {"nf4",
       {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}},
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         auto& all = tensors.by_name;
         const auto weight = module + ".weight";
         all[weight] = made.bytes("U8", {rows * cols / 2, 1}, 1);
         all[weight + ".absmax"] = made.scales("F32", {divided(rows * cols, 64)}, 0.1F);
         auto& map = all[weight + ".quant_map"] = made.bytes("F32", {16}, 4);
         for (std::size_t code = 0; code < 16; ++code)
           Tensors::put(map, code, (static_cast<float>(code) - 7.5F) / 7.5F);
         const std::string state =
             json({{"quant_type", "nf4"}, {"blocksize", 64}, {"dtype", "bfloat16"}, {"shape", {rows, cols}}})
                 .dump();
         all[weight + ".quant_state.bitsandbytes__nf4"] = {
             "U8", {static_cast<std::int64_t>(state.size())}, state};
       }},
      {"llm-int8",
       {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}},
       [](Tensors& tensors, MadeUp& made, const std::string& module, std::int64_t rows, std::int64_t cols) {
         tensors.by_name[module + ".weight"] = made.bytes("I8", {rows, cols}, 1);
         tensors.by_name[module + ".SCB"] = made.scales("F32", {rows}, 0.1F);
       }},
  };
}

std::string spelled(DType dtype) {
  return dtype == DType::float32 ? "F32" : dtype == DType::float16 ? "F16" : "BF16";
}

// The matrix, decoded, as a plain tensor.
Tensors::Tensor plain(const MatrixCoding& coding, const std::string& matrix, const Shape& shape) {
  const DType dtype = coding.dtype(matrix);
  Tensors::Tensor tensor{spelled(dtype), shape, {}};
  tensor.bytes.resize(elements(tensor) * size_of(dtype));
  coding.decode(matrix, shape, {0, shape[0]}, reinterpret_cast<std::byte*>(tensor.bytes.data()));
  return tensor;
}

void write_model(const fs::path& folder, const json& config, const Tensors& tensors) {
  fs::create_directories(folder);
  std::ofstream(folder / "config.json") << config.dump(1);
  tensors.write(folder);
}

json read_config(const fs::path& folder) {
  return json::parse(std::ifstream(folder / "config.json"));
}

// One device, four shards on one and on two: coded and plain give the same bits, and four shards do on any
// ranks.
void expect_same_bits(const fs::path& folder, const std::vector<std::string>& more) {
  const auto plan = [&](int shards, int ranks) {
    Case what{ranks,
              {"--shards", std::to_string(shards), "--tensor-parallel", std::to_string(ranks), "--reduction",
               "linear"}};
    what.flags.insert(what.flags.end(), more.begin(), more.end());
    return what;
  };
  const auto record = [&](const char* model, int shards, int ranks) {
    return record_of((folder / model).string(), plan(shards, ranks), folder,
                     fmt::format("{}-{}-{}", model, shards, ranks), 3);
  };
  const auto one = record("coded", 1, 1), four = record("coded", 4, 1), four_on_two = record("coded", 4, 2);
  if (::testing::Test::HasFailure()) return;
  EXPECT_EQ(first_difference(one, record("plain", 1, 1)), "");
  EXPECT_EQ(first_difference(four, record("plain", 4, 1)), "");
  EXPECT_EQ(first_difference(four, four_on_two), "");
  EXPECT_NE(first_difference(one, four), "");
}

class Quantized : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Quantized, RunsAsItsDecodedTwin) {
  const Format format = formats()[GetParam()];
  const fs::path source = fixture("tiny-llama"), folder = scratch(std::string("quantized-") + format.name);
  auto config = read_config(source);
  auto coded = Tensors::of(source);
  auto decoded = coded;
  MadeUp made;
  std::vector<std::pair<std::string, Shape>> matrices;
  for (const auto& [name, tensor] : decoded.by_name)
    if (name.ends_with("_proj.weight")) matrices.emplace_back(name, tensor.shape);
  ASSERT_EQ(matrices.size(), 5 * 7);
  for (const auto& [name, shape] : matrices) {
    coded.by_name.erase(name);
    format.code(coded, made, name.substr(0, name.size() - std::string(".weight").size()), shape[0], shape[1]);
  }
  write_model(folder / "plain", config, decoded);
  config["quantization_config"] = format.config;
  write_model(folder / "coded", config, coded);

  const auto checkpoint = Checkpoint::open(folder / "coded");
  ModelConfig model = model_of(format.config);
  model.dtype = DType::float32;  // tiny-llama's
  const auto coding = matrix_coding(model, checkpoint);
  for (const auto& [name, shape] : matrices) decoded.by_name[name] = plain(*coding, name, shape);
  fs::remove(folder / "plain/model.safetensors");
  decoded.write(folder / "plain");

  expect_same_bits(folder, {});
  EXPECT_EQ(record::Reader::open(folder / "coded-4-1.h5").run().model.quantization, coding->description());
  EXPECT_EQ(record::Reader::open(folder / "plain-4-1.h5").run().model.quantization, "none");
}

INSTANTIATE_TEST_SUITE_P(Formats, Quantized, ::testing::Range<std::size_t>(0, formats().size()),
                         [](const auto& test) {
                           std::string name = formats()[test.param].name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// gpt-oss: experts of one tensor, [experts, rows, columns] where they are coded, the other way round where
// not.
TEST(Quantized, Mxfp4ExpertsRunAsTheirDecodedTwin) {
  const fs::path source = fixture("tiny-gpt-oss-mxfp4"), folder = scratch("quantized-mxfp4");
  auto config = read_config(source);
  const auto coded = Tensors::of(source);
  write_model(folder / "coded", config, coded);
  const auto checkpoint = Checkpoint::open(folder / "coded");
  const auto coding = matrix_coding(model_of(config.at("quantization_config")), checkpoint);
  auto decoded = coded;
  for (const auto& [name, scales] : coded.by_name) {
    if (!name.ends_with("_scales")) continue;
    const auto matrix = name.substr(0, name.size() - std::string("_scales").size());
    const std::int64_t experts = scales.shape[0], rows = scales.shape[1], cols = scales.shape[2] * 32;
    const auto tensor = plain(*coding, matrix, {experts * rows, cols});
    auto& transposed = decoded.by_name[matrix] = {"BF16", {experts, cols, rows}, tensor.bytes};
    for (std::int64_t i = 0; i < experts * rows * cols; ++i) {
      const std::int64_t expert = i / (rows * cols), row = i / cols % rows, col = i % cols;
      std::memcpy(&transposed.bytes[static_cast<std::size_t>(2 * ((expert * cols + col) * rows + row))],
                  &tensor.bytes[static_cast<std::size_t>(2 * i)], 2);
    }
    decoded.by_name.erase(name);
    decoded.by_name.erase(matrix + "_blocks");
  }
  config.erase("quantization_config");
  write_model(folder / "plain", config, decoded);
  expect_same_bits(folder, {"--dtype", "float32"});
}

// Found by the rank that decodes it; all end with what it says.
TEST(Quantized, AScaleThatCannotBeEndsEveryRank) {
  const fs::path source = fixture("tiny-gpt-oss-mxfp4"), folder = scratch("quantized-bad-scale");
  auto tensors = Tensors::of(source);
  tensors.by_name.at("model.layers.2.mlp.experts.down_proj_scales").bytes.back() = static_cast<char>(0xFF);
  write_model(folder / "coded", read_config(source), tensors);
  const Case what{2, {"--tensor-parallel", "2"}};
  const auto ended =
      run_program(worker_command(2, run_arguments((folder / "coded").string(), what, folder / "bad.h5", 1)));
  EXPECT_EQ(ended.code, 65) << ended.output;
  EXPECT_NE(ended.output.find("tensor model.layers.2.mlp.experts.down_proj_scales has nan at [6, 63, 2]"),
            std::string::npos)
      << ended.output;
  EXPECT_FALSE(fs::exists(folder / "bad.h5"));
}

}  // namespace
}  // namespace shardrift::testing
