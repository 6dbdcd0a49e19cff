#include "coded_files.hpp"
#include "weights/codings/numbers.hpp"

namespace shardrift {
namespace {

std::vector<std::string> all_references() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(references()))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

class Coded : public testing::TestWithParam<std::string> {
 protected:
  Coded()
      : checkpoint_(Checkpoint::open(references() / GetParam())),
        file_(SafetensorsFile::open(references() / GetParam() / "decoded.safetensors")),
        expected_(decoded_of(file_)),
        coding_(matrix_coding(model_of(config_of(GetParam())), checkpoint_)) {}

  std::vector<std::byte> decoded(Range rows) const {
    std::vector<std::byte> bytes(static_cast<std::size_t>(rows.size()) * row_bytes());
    coding_->decode(expected_.name, expected_.shape, rows, bytes.data());
    return bytes;
  }
  std::vector<std::byte> expected(Range rows) const {
    const auto* begin = expected_.data + static_cast<std::size_t>(rows.begin) * row_bytes();
    return {begin, begin + static_cast<std::size_t>(rows.size()) * row_bytes()};
  }
  std::size_t row_bytes() const {
    return static_cast<std::size_t>(expected_.shape[1]) * size_of(expected_.dtype);
  }

  const Checkpoint checkpoint_;
  const SafetensorsFile file_;
  const TensorView expected_;
  const std::unique_ptr<MatrixCoding> coding_;
};

TEST_P(Coded, DecodesToTheReferencePackagesBits) {
  ASSERT_TRUE(coding_->holds(expected_.name));
  coding_->check(expected_.name, expected_.shape);
  EXPECT_EQ(coding_->dtype(expected_.name), expected_.dtype);
  const Range all{0, expected_.shape[0]};
  const auto found = decoded(all), wanted = expected(all);
  std::size_t differing = 0;
  const std::size_t size = size_of(expected_.dtype);
  for (std::size_t i = 0; i < found.size(); i += size)
    if (std::memcmp(&found[i], &wanted[i], size) != 0) ++differing;
  EXPECT_EQ(differing, 0) << "of " << found.size() / size;
}

TEST_P(Coded, AnyRowsAreThoseOfTheWhole) {
  const std::int64_t rows = expected_.shape[0];
  for (std::int64_t begin = 0; begin <= rows; ++begin)
    for (std::int64_t end : {begin, begin + 1, begin + 3, begin + 7, rows}) {
      end = std::min(end, rows);
      EXPECT_EQ(decoded({begin, end}), expected({begin, end})) << begin << " to " << end;
    }
}

TEST_P(Coded, IsMadeOfAllTensors) {
  auto names = coding_->tensors(expected_.name);
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, checkpoint_.names());
}

INSTANTIATE_TEST_SUITE_P(References, Coded, testing::ValuesIn(all_references()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(Numbers, AreThoseOfTheirFormats) {
  EXPECT_EQ(kE4m3[0x00], 0.0F);
  EXPECT_TRUE(std::signbit(kE4m3[0x80]));
  EXPECT_EQ(kE4m3[0x01], 0x1p-9F);
  EXPECT_EQ(kE4m3[0x08], 0x1p-6F);
  EXPECT_EQ(kE4m3[0x38], 1.0F);
  EXPECT_EQ(kE4m3[0x7E], 448.0F);
  EXPECT_EQ(kE4m3[0xFE], -448.0F);
  EXPECT_TRUE(std::isnan(kE4m3[0x7F]));
  EXPECT_EQ(float_from_e8m0(0), 0x1p-127F);
  EXPECT_EQ(float_from_e8m0(1), 0x1p-126F);
  EXPECT_EQ(float_from_e8m0(127), 1.0F);
  EXPECT_EQ(float_from_e8m0(254), 0x1p127F);
  EXPECT_TRUE(std::isnan(float_from_e8m0(255)));
  for (std::uint32_t high = 0; high < 0x10000; high += 0x11)
    for (const std::uint32_t low : {0x0U, 0x7FFFU, 0x8000U, 0x8001U, 0xFFFFU}) {
      const auto value = std::bit_cast<float>(high << 16 | low);
      EXPECT_EQ(BFloat16::from(value), bfloat16_from_float(value)) << value;
      EXPECT_EQ(Float16::from(value), float16_from_float(value)) << value;
    }
}

TEST(Description, NamesTheFormat) {
  const auto described = [](const std::string& reference) {
    const auto checkpoint = Checkpoint::open(references() / reference);
    return matrix_coding(model_of(config_of(reference)), checkpoint)->description();
  };
  EXPECT_EQ(described("awq"), "AWQ, 4 bits, groups of 16");
  EXPECT_EQ(described("awq-channel"), "AWQ, 4 bits, per channel");
  EXPECT_EQ(described("gptq-8-bits-act-order"), "GPTQ, 8 bits, groups of 48, act-order");
  EXPECT_EQ(described("fp8-blocks"), "fp8 (E4M3), blocks of 16 x 32, weights only");
  EXPECT_EQ(described("compressed-packed-4-bits"), "compressed-tensors, int4, groups of 32");
  EXPECT_EQ(described("compressed-fp8-channel"), "compressed-tensors, fp8 per channel, weights only");
  EXPECT_EQ(described("compressed-fp8-block"), "compressed-tensors, fp8, blocks of 16 x 32");
  EXPECT_EQ(described("bitsandbytes-nf4"), "bitsandbytes nf4");
  EXPECT_EQ(described("mxfp4"), "MXFP4, blocks of 32");
}

TEST(Coding, OtherMatricesArePlain) {
  const auto checkpoint = Checkpoint::open(references() / "gptq");
  const auto coding = matrix_coding(model_of(config_of("gptq")), checkpoint);
  EXPECT_FALSE(coding->holds("model.norm.weight"));
  EXPECT_FALSE(coding->holds("model.layers.0.mlp.up_proj.bias"));
  EXPECT_EQ(matrix_coding(ModelConfig{}, checkpoint), nullptr);
}

// Some packages write a bias for linears that have none.
TEST(Coding, ABiasOfZerosIsTheMatrixs) {
  const TemporaryDirectory folder;
  auto tensors = Tensors::of(references() / "gptq");
  auto& bias = tensors.by_name["model.layers.0.mlp.up_proj.bias"] = {"F16", {96}, std::string(192, '\0')};
  const auto claimed = [&] {
    tensors.write(folder.path());
    const auto checkpoint = Checkpoint::open(folder.path());
    return matrix_coding(model_of(config_of("gptq")), checkpoint)
        ->tensors("model.layers.0.mlp.up_proj.weight")
        .size();
  };
  EXPECT_EQ(claimed(), 4);
  bias.bytes[5] = 1;
  EXPECT_EQ(claimed(), 3);
}

}  // namespace
}  // namespace shardrift
