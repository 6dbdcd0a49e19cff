// Damaged and foreign quantized checkpoints: one clear error that names file, tensor and value.
#include <limits>

#include "coded_files.hpp"

namespace shardrift {
namespace {

using nlohmann::json;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A reference, with something changed, decoded whole.
class Damaged {
 public:
  explicit Damaged(const std::string& reference)
      : config(config_of(reference)), tensors(Tensors::of(references() / reference)) {
    const auto file = SafetensorsFile::open(references() / reference / "decoded.safetensors");
    matrix = decoded_of(file).name;
    shape = decoded_of(file).shape;
  }

  // What a load does: the check before, then all rows.
  void load() const {
    with_coding([&](const MatrixCoding& coding) {
      ASSERT_TRUE(coding.holds(matrix));
      coding.check(matrix, shape);
      std::vector<std::byte> out(static_cast<std::size_t>(shape[0] * shape[1]) *
                                 size_of(coding.dtype(matrix)));
      coding.decode(matrix, shape, {0, shape[0]}, out.data());
    });
  }
  void expect_refused(std::vector<std::string> words) const {
    words.emplace_back(kFolder);
    expect_bad_data([&] { load(); }, words);
  }
  // Without a look at the weights.
  void expect_refused_unread(std::vector<std::string> words) const {
    words.emplace_back(kFolder);
    expect_bad_data([&] { with_coding([&](const MatrixCoding& coding) { coding.check(matrix, shape); }); },
                    words);
  }

  json config;
  Tensors tensors;
  std::string matrix;
  std::vector<std::int64_t> shape;

 private:
  static constexpr const char* kFolder = "/shardrift-weights-";  // TemporaryDirectory's

  template <typename Action>
  void with_coding(const Action& action) const {
    const TemporaryDirectory folder;
    tensors.write(folder.path());
    const auto checkpoint = Checkpoint::open(folder.path());
    action(*matrix_coding(model_of(config), checkpoint));
  }
};

struct Scaled {
  const char* reference;
  const char* scales;  // a tensor of numbers
};
constexpr std::array kScaled = {Scaled{"awq", ".scales"},
                                Scaled{"gptq", ".scales"},
                                Scaled{"gptq-act-order", ".scales"},
                                Scaled{"fp8-blocks", ".weight_scale_inv"},
                                Scaled{"fp8-channels", ".weight_scale"},
                                Scaled{"fp8-tensor", ".weight_scale"},
                                Scaled{"compressed-fp8-channel", ".weight_scale"},
                                Scaled{"compressed-int8-channel", ".weight_scale"},
                                Scaled{"compressed-packed-4-bits", ".weight_scale"},
                                Scaled{"bitsandbytes-nf4", ".absmax"},
                                Scaled{"bitsandbytes-nf4-nested", ".nested_absmax"},
                                Scaled{"bitsandbytes-int8", ".SCB"}};

void put_number(Tensors::Tensor& tensor, std::size_t index, float value) {
  if (tensor.dtype == "F32") {
    Tensors::put(tensor, index, value);
  } else {
    Tensors::put(tensor, index,
                 tensor.dtype == "F16" ? float16_from_float(value) : bfloat16_from_float(value));
  }
}

TEST(BadCoding, Scales) {
  for (const auto& [reference, scales] : kScaled)
    for (const float bad : {0.0F, -0.5F, kNaN, kInfinity, -kInfinity}) {
      SCOPED_TRACE(reference);
      // A magnitude of zero, where it is quantized once more, belongs to a group of zeros.
      if (bad == 0 && std::string(scales) == ".nested_absmax") continue;
      Damaged damaged(reference);
      auto& tensor = damaged.tensors.ending(scales);
      const std::size_t last = elements(tensor) - 1;
      put_number(tensor, last, bad);
      damaged.expect_refused({scales, "model.safetensors", std::isnan(bad) ? "nan" : fmt::format("{}", bad)});
    }
}

TEST(BadCoding, ExponentsThatAreNoNumber) {
  Damaged experts("mxfp4");
  experts.tensors.ending("_scales").bytes[7] = '\xFF';
  experts.expect_refused({"experts.gate_up_proj_scales", "nan", "[0, 3, 1]"});
  Damaged blocks("fp8-blocks-e8m0");
  blocks.tensors.ending("_inv").bytes[4] = '\xFF';
  blocks.expect_refused({"weight_scale_inv", "nan", "[1, 1]"});
}

// A block, or a row, of zeros has a largest magnitude of zero; one of other codes has not.
TEST(BadCoding, AMagnitudeOfZeroIsOneOfZeros) {
  Damaged zeros("bitsandbytes-nf4");
  EXPECT_NO_THROW(zeros.load());
  zeros.tensors.by_name.at(zeros.matrix).bytes[64] = 0x12;  // in the row of zeros
  zeros.expect_refused({".absmax", "0 at [2]"});
}

TEST(BadCoding, MissingTensors) {
  for (const std::string reference :
       {"awq", "gptq-act-order", "fp8-blocks", "fp8-channels", "compressed-fp8-channel",
        "compressed-int8-asymmetric", "compressed-packed-4-bits-asymmetric", "compressed-packed-act-order",
        "bitsandbytes-nf4-nested", "bitsandbytes-int8", "mxfp4"}) {
    const Damaged whole(reference);
    for (const auto& [name, tensor] : whole.tensors.by_name) {
      if (name.ends_with(".weight_format")) continue;  // optional
      SCOPED_TRACE(name);
      Damaged damaged(reference);
      damaged.tensors.by_name.erase(name);
      damaged.expect_refused_unread({name, damaged.matrix});
    }
  }
}

TEST(BadCoding, OtherShapesAndDtypes) {
  for (const std::string reference :
       {"awq", "gptq-act-order", "fp8-blocks", "compressed-fp8-block", "compressed-int8-asymmetric",
        "compressed-packed-4-bits-asymmetric", "compressed-packed-act-order", "bitsandbytes-nf4-nested",
        "bitsandbytes-int8", "mxfp4"}) {
    const Damaged whole(reference);
    for (const auto& [name, tensor] : whole.tensors.by_name) {
      SCOPED_TRACE(name);
      Damaged longer(reference);
      auto& one_more = longer.tensors.by_name.at(name);
      if (!name.ends_with(".weight_format") && name.find("quant_state") == std::string::npos) {
        const auto count = static_cast<std::size_t>(elements(one_more));
        const std::size_t rows =
            one_more.shape.empty() ? 1 : static_cast<std::size_t>(one_more.shape.front());
        one_more.bytes += one_more.bytes.substr(0, one_more.bytes.size() / count * (count / rows));
        if (one_more.shape.empty()) one_more.shape = {1};
        ++one_more.shape.front();
        longer.expect_refused_unread({name});
      }
      Damaged other(reference);
      auto& dtype = other.tensors.by_name.at(name);
      dtype.dtype = std::string("BOOL");
      dtype.bytes.resize(elements(dtype));
      other.expect_refused_unread({name, "BOOL"});
    }
  }
}

TEST(BadCoding, SizesThatDoNotDivide) {
  Damaged awq("awq");
  awq.config["group_size"] = 24;
  awq.expect_refused_unread({awq.matrix, "groups of 24"});
  Damaged gptq("gptq");
  gptq.config["group_size"] = 36;
  gptq.expect_refused_unread({gptq.matrix, "groups of 36"});
  gptq.config["group_size"] = 0;
  gptq.expect_refused_unread({"group_size", "0"});
  gptq.config["group_size"] = -2;
  gptq.expect_refused_unread({"group_size", "-2"});
  Damaged packed("compressed-packed-4-bits");
  packed.config["config_groups"]["group_0"]["weights"]["group_size"] = 20;
  packed.expect_refused_unread({packed.matrix, "groups of 20"});
  Damaged experts("mxfp4");
  experts.shape[1] = 48;
  experts.expect_refused_unread({experts.matrix, "blocks of 32"});
  Damaged odd("awq");
  odd.shape[0] = 20;
  odd.expect_refused_unread({odd.matrix, "words of 8"});
}

TEST(BadCoding, OtherGroupsThanTheConfigSays) {
  Damaged gptq("gptq");
  gptq.config["group_size"] = 48;
  gptq.expect_refused_unread({"qzeros", "[3,12]", "[2,12]"});
  Damaged bits("gptq");
  bits.config["bits"] = 8;
  bits.expect_refused_unread({"qweight", "[12,96]", "[24,96]"});
}

TEST(BadCoding, IndicesOutOfRange) {
  for (const std::int32_t bad : {3, -1, 1 << 30}) {
    Damaged gptq("gptq-v2");
    Tensors::put(gptq.tensors.ending(".g_idx"), 5, bad);
    gptq.expect_refused({".g_idx", "column 5", std::to_string(bad), "0 to 2"});
    if (bad == -1) continue;  // there, columns in their own order
    Damaged packed("compressed-packed-act-order");
    Tensors::put(packed.tensors.ending(".weight_g_idx"), 5, bad);
    packed.expect_refused({".weight_g_idx", "column 5", std::to_string(bad), "0 to 2"});
  }
  Damaged uneven("compressed-packed-act-order");
  auto& index = uneven.tensors.ending(".weight_g_idx");
  for (std::size_t column = 0; column < 96; ++column)
    Tensors::put(index, column, std::int32_t{column % 2 == 0});
  uneven.expect_refused({".weight_g_idx", "more than 32 columns"});
}

TEST(BadCoding, StatesThatAreNone) {
  const auto with_state = [](const std::string& text) {
    Damaged damaged("bitsandbytes-nf4");
    auto& state = damaged.tensors.ending("__nf4");
    state.bytes = text;
    state.shape = {static_cast<std::int64_t>(text.size())};
    return damaged;
  };
  const std::string state = Damaged("bitsandbytes-nf4").tensors.ending("__nf4").bytes;
  with_state(state).load();
  with_state(state.substr(0, state.size() - 3)).expect_refused_unread({"bitsandbytes__nf4", "JSON"});
  with_state("[]").expect_refused_unread({"bitsandbytes__nf4"});
  const auto changed = [&](const char* key, json value) {
    auto other = json::parse(state);
    other[key] = std::move(value);
    return with_state(other.dump());
  };
  changed("blocksize", 0).expect_refused_unread({"bitsandbytes__nf4", "blocksize", "0"});
  changed("blocksize", "many").expect_refused_unread({"bitsandbytes__nf4", "blocksize", "many"});
  changed("blocksize", 128).expect_refused_unread({".absmax", "[48]", "[24]"});
  changed("dtype", "int8").expect_refused_unread({"bitsandbytes__nf4", "dtype", "int8"});
  changed("shape", {24, 127}).expect_refused_unread({"bitsandbytes__nf4", "[24,127]", "[24,128]"});
  changed("nested_blocksize", 256).expect_refused_unread({"nested_offset"});
}

TEST(BadCoding, PackedShapesThatAreOthers) {
  Damaged packed("compressed-packed-4-bits");
  Tensors::put(packed.tensors.ending(".weight_shape"), 1, std::int64_t{95});
  packed.expect_refused_unread({".weight_shape", "[40,95]", "[40,96]"});
  Damaged layout("bitsandbytes-int8");
  layout.tensors.ending(".weight_format").bytes[0] = 1;
  layout.expect_refused_unread({".weight_format"});
}

TEST(BadCoding, ZeroPointsOfFloats) {
  Damaged damaged("compressed-fp8-channel");
  auto& scale = damaged.tensors.ending(".weight_scale");
  damaged.tensors.by_name["model.layers.0.mlp.up_proj.weight_zero_point"] = {
      "F8_E4M3", scale.shape, std::string(static_cast<std::size_t>(elements(scale)), '\0')};
  damaged.load();
  damaged.tensors.ending(".weight_zero_point").bytes[3] = 0x38;
  damaged.expect_refused({".weight_zero_point", "zero"});
}

TEST(BadCoding, ModulesThatTheConfigLeavesOut) {
  Damaged damaged("compressed-fp8-channel");
  damaged.config["ignore"] = {"re:.*up_proj"};
  damaged.expect_refused_unread({damaged.matrix, "ignore"});
  damaged.config["ignore"] = json::array();
  damaged.config["config_groups"]["group_0"]["targets"] = {"re:.*down_proj"};
  damaged.expect_refused_unread({damaged.matrix, "no config group"});
}

// A list of modules that stay as they are, against what is stored.
TEST(BadCoding, ModulesThatAreNotToBeConverted) {
  for (const char* reference : {"fp8-blocks", "fp8-tensor", "awq", "bitsandbytes-nf4", "bitsandbytes-int8"}) {
    SCOPED_TRACE(reference);
    Damaged damaged(reference);
    const std::string module = damaged.matrix.substr(0, damaged.matrix.rfind('.'));
    const std::string parent = module.substr(0, module.rfind('.'));
    const char* key =
        std::string(reference).starts_with("bits") ? "llm_int8_skip_modules" : "modules_to_not_convert";
    for (const auto& listed : {module, parent, module.substr(module.rfind('.') + 1)}) {
      damaged.config[key] = {"lm_head", listed};
      damaged.expect_refused_unread({parent, key, "lists \"" + listed + "\""});
    }
    // Of others, and of names that only begin alike.
    damaged.config[key] = {"lm_head", module + "_other", parent.substr(0, parent.size() - 1)};
    damaged.load();
    damaged.config[key] = nullptr;
    damaged.load();
  }
}

TEST(BadCoding, CodesOfMoreBitsThanTheConfigSays) {
  Damaged damaged("compressed-int8-channel");
  damaged.config["config_groups"]["group_0"]["weights"]["num_bits"] = 4;
  damaged.expect_refused({damaged.matrix, "has the code", "num_bits is 4", "-8 to 7"});
}

TEST(BadCoding, ForeignFormatsAreNamed) {
  for (const char* method :
       {"exl2", "exl3", "hqq", "aqlm", "quip", "nvfp4", "eetq", "vptq", "torchao", "quanto", "modelopt",
        "fbgemm_fp8", "auto-round", "bitnet", "higgs", "spqr", "quark", "GPTQ"}) {
    Damaged damaged("gptq");
    damaged.config = {{"quant_method", method}};
    damaged.expect_refused_unread({method, "awq, bitsandbytes, compressed-tensors, fp8, gptq, mxfp4"});
  }
  Damaged damaged("gptq");
  damaged.config = {{"bits", 4}};
  damaged.expect_refused_unread({"quant_method is missing"});
  damaged.config = {{"quant_method", 4}};
  damaged.expect_refused_unread({"quant_method", "4"});
}

json with_block(json block) {
  json config = config_of("compressed-fp8-block");
  config["config_groups"]["group_0"]["weights"]["block_structure"] = std::move(block);
  return config;
}

TEST(BadCoding, VariantsThatAreNotDecoded) {
  struct Bad {
    const char* reference;
    json change;
    std::vector<std::string> words;
  };
  for (const auto& [reference, change, words] : {
           Bad{"awq", {{"version", "gemv"}}, {"version", "gemv"}},
           Bad{"awq", {{"version", nullptr}, {"format", "marlin"}}, {"format", "marlin"}},
           Bad{"awq", {{"bits", 8}}, {"bits", "8"}},
           Bad{"awq", {{"zero_point", false}}, {"zero_point"}},
           Bad{"gptq", {{"bits", 5}}, {"bits", "5"}},
           Bad{"gptq", {{"checkpoint_format", "marlin"}}, {"checkpoint_format", "marlin"}},
           Bad{"gptq", {{"dynamic", {{"+:.*up_proj", {{"bits", 8}}}}}}, {"dynamic", "up_proj"}},
           Bad{"compressed-fp8-block", with_block({16}), {"block_structure", "[16]"}},
           Bad{"compressed-fp8-block", with_block({16, -32}), {"block_structure", "-32"}},
           Bad{"compressed-fp8-block", with_block("16x"), {"block_structure", "16x"}},
           Bad{"compressed-fp8-block", with_block(nullptr), {"block_structure"}},
           Bad{"fp8-blocks", {{"weight_block_size", {16}}}, {"weight_block_size"}},
           Bad{"fp8-blocks", {{"weight_block_size", {16, 0}}}, {"weight_block_size", "0"}},
           Bad{"fp8-blocks", {{"fmt", "e5m2"}}, {"fmt", "e5m2"}},
           Bad{"bitsandbytes-nf4", {{"bnb_4bit_quant_type", "nf5"}}, {"bnb_4bit_quant_type", "nf5"}},
       }) {
    Damaged damaged(reference);
    damaged.config.update(change);
    damaged.expect_refused_unread(words);
  }
}

// Bytes and dimensions changed at random: an error or numbers, nothing else (with sanitizers: nothing read
// beyond a tensor).
TEST(BadCoding, AnyDamageIsAnErrorOrNumbers) {
  std::uint32_t state = 1;
  const auto below = [&state](std::size_t count) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % count;
  };
  std::size_t refused = 0, decoded = 0;
  for (const auto& entry : std::filesystem::directory_iterator(references())) {
    const Damaged whole(entry.path().filename().string());
    for (int round = 0; round < 40; ++round) {
      Damaged damaged = whole;
      auto tensor = damaged.tensors.by_name.begin();
      std::advance(tensor, below(damaged.tensors.by_name.size()));
      auto& [dtype, shape, bytes] = tensor->second;
      if (round % 4 == 0 && !shape.empty()) {
        damaged.shape[below(2)] += static_cast<std::int64_t>(below(5)) - 2;
      } else if (round % 4 == 1 && shape.size() == 2) {
        std::swap(shape[0], shape[1]);
      } else {
        for (int i = 0; i < 3; ++i) bytes[below(bytes.size())] ^= static_cast<char>(1U << below(8));
      }
      try {
        damaged.load();
        ++decoded;
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ExitCode::bad_data) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(decoded, 100);
}

// Older checkpoints, and keys of other programs.
TEST(Coding, OtherSpellingsOfTheConfig) {
  const auto loads = [](const char* reference, const json& change) {
    Damaged damaged(reference);
    damaged.config.update(change);
    damaged.load();
  };
  loads(
      "awq",
      {{"bits", nullptr}, {"group_size", nullptr}, {"version", "GEMM"}, {"w_bit", 4}, {"q_group_size", 16}});
  loads("awq", {{"version", nullptr}, {"format", "gemm"}});
  loads("gptq",
        {{"checkpoint_format", nullptr}, {"format", "gptq"}, {"dynamic", {{"-:.*lm_head", json::object()}}}});
  loads("compressed-fp8-block", with_block("16x32"));
  loads("fp8-channels", {{"weight_block_size", nullptr}});
  loads("bitsandbytes-nf4", {{"quant_method", nullptr}});
  loads("compressed-packed-4-bits", {{"sparsity_config", json::object()}, {"kv_cache_scheme", nullptr}});
}

}  // namespace
}  // namespace shardrift
