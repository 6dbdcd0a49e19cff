// Good files, and cutting blocks out of them.
#include <cstring>

#include "weight_files.hpp"
#include "weights/safetensors.hpp"

namespace shardrift {
namespace {

using testing::ElementsAre;
using Shape = std::vector<std::int64_t>;

std::string text_of(const TensorView& view) {
  return {reinterpret_cast<const char*>(view.data), view.bytes};
}

TEST(Safetensors, EveryDtypeWeRead) {
  const TemporaryDirectory directory;
  const auto path = directory.write("a.safetensors", safetensors(R"({"__metadata__":{"format":"pt"},
        "f64":{"dtype":"F64","shape":[2],"data_offsets":[0,16]},"f32":{"dtype":"F32","shape":[1,3],"data_offsets":[16,28]},
        "f16":{"dtype":"F16","shape":[2,1],"data_offsets":[28,32]},"bf16":{"dtype":"BF16","shape":[],"data_offsets":[32,34]},
        "none":{"dtype":"F32","shape":[0,4],"data_offsets":[34,34]}}   )",
                                                                 counting(34)));
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(file.path(), path);
  EXPECT_EQ(file.file_size(), std::filesystem::file_size(path));
  EXPECT_EQ(file.header().substr(0, 15), R"({"__metadata__")");
  EXPECT_THAT(file.names(), ElementsAre("bf16", "f16", "f32", "f64", "none"));
  const struct {
    const char* name;
    DType dtype;
    Shape shape;
    std::size_t begin;
    std::size_t bytes;
  } expected[] = {{"f64", DType::float64, {2}, 0, 16},
                  {"f32", DType::float32, {1, 3}, 16, 12},
                  {"f16", DType::float16, {2, 1}, 28, 4},
                  {"bf16", DType::bfloat16, {}, 32, 2},
                  {"none", DType::float32, {0, 4}, 34, 0}};
  for (const auto& e : expected) {
    const auto view = file.find(e.name);
    ASSERT_TRUE(view.has_value()) << e.name;
    EXPECT_EQ(view->name, e.name);
    EXPECT_EQ(view->dtype, e.dtype);
    EXPECT_EQ(view->shape, e.shape);
    EXPECT_EQ(text_of(*view), counting(34).substr(e.begin, e.bytes));
  }
  EXPECT_FALSE(file.find("other").has_value());
  EXPECT_FALSE(file.find("__metadata__").has_value());
}

TEST(Safetensors, MetadataMayBeNull) {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "a", safetensors(R"({"__metadata__":null,"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                       counting(2)));
  EXPECT_THAT(SafetensorsFile::open(path).names(), ElementsAre("x"));
}

TEST(Safetensors, NoTensors) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(SafetensorsFile::open(directory.write("a", safetensors("{}", ""))).names().empty());
}

TEST(Safetensors, OtherDtypesMayBeThereButAreRefusedWhenAskedFor) {
  const TemporaryDirectory directory;
  const auto path =
      directory.write("a.safetensors", safetensors(R"({"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},
        "x":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[8,11]},"y":{"dtype":"F4","shape":[2],"data_offsets":[11,12]},
        "z":{"dtype":"Q7_NEW","shape":[5],"data_offsets":[12,15]},"f":{"dtype":"F16","shape":[1],"data_offsets":[15,17]}})",
                                                   counting(17)));
  const auto file = SafetensorsFile::open(path);
  EXPECT_EQ(text_of(file.find("f").value()), counting(17).substr(15));
  for (const auto& [name, dtype] : {std::pair("i", "I64"), {"x", "F8_E4M3"}, {"y", "F4"}, {"z", "Q7_NEW"}}) {
    expect_bad_data([&, n = std::string(name)] { file.find(n); },
                    {path.string(), "\"" + std::string(name) + "\"", dtype, "F64, F32, F16 and BF16"});
  }
}

TEST(Safetensors, MovedFilesKeepTheirViews) {
  const TemporaryDirectory directory;
  const auto path = directory.write(
      "a", safetensors(R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})", counting(4)));
  auto first = SafetensorsFile::open(path);
  const auto view = first.find("a").value();
  const auto second = std::move(first);
  EXPECT_EQ(second.find("a")->data, view.data);
  EXPECT_EQ(text_of(view), counting(4));
}

// 4 x 6 of an element size, bytes counted up, so that each byte tells where it came from.
class CopyBlock : public testing::TestWithParam<DType> {
 protected:
  std::size_t size() const { return size_of(GetParam()); }
  std::string data_ = counting(24 * size());
  // One byte off, as in a file: data may lie unaligned.
  std::string shifted_ = "?" + data_;
  TensorView view_{
      "w", GetParam(), {4, 6}, reinterpret_cast<const std::byte*>(shifted_.data() + 1), data_.size()};

  std::string copy(std::int64_t row0, std::int64_t rows, std::int64_t col0, std::int64_t cols) const {
    std::string out(static_cast<std::size_t>(rows * cols) * size() + 2, '!');
    copy_block(view_, row0, rows, col0, cols, reinterpret_cast<std::byte*>(out.data()) + 1);
    EXPECT_EQ(out.front(), '!');
    EXPECT_EQ(out.back(), '!');
    return out.substr(1, out.size() - 2);
  }
  std::string expected(std::size_t row0, std::size_t rows, std::size_t col0, std::size_t cols) const {
    std::string out;
    for (std::size_t row = row0; row < row0 + rows; ++row) {
      out += data_.substr((row * 6 + col0) * size(), cols * size());
    }
    return out;
  }
};

TEST_P(CopyBlock, EveryBlock) {
  for (int row0 = 0; row0 <= 4; ++row0) {
    for (int rows = 0; rows <= 4 - row0; ++rows) {
      for (int col0 = 0; col0 <= 6; ++col0) {
        for (int cols = 0; cols <= 6 - col0; ++cols) {
          EXPECT_EQ(copy(row0, rows, col0, cols), expected(row0, rows, col0, cols))
              << row0 << "+" << rows << ", " << col0 << "+" << cols;
        }
      }
    }
  }
}

TEST_P(CopyBlock, OneDimension) {
  view_.shape = {24};
  EXPECT_EQ(copy(0, 1, 0, 24), data_);
  EXPECT_EQ(copy(0, 1, 5, 7), data_.substr(5 * size(), 7 * size()));
  EXPECT_EQ(copy(0, 0, 0, 24), "");
}

TEST_P(CopyBlock, BlocksOutsideAreErrorsThatNameThem) {
  const std::int64_t big = std::int64_t{1} << 62;
  const std::int64_t bad[][4] = {{0, 5, 0, 6},  {4, 1, 0, 1},   {5, 0, 0, 0},   {0, 1, 0, 7},
                                 {0, 1, 6, 1},  {-1, 1, 0, 1},  {0, -1, 0, 1},  {0, 1, -1, 1},
                                 {0, 1, 0, -1}, {1, big, 0, 1}, {0, 1, 3, big}, {big, big, 0, 1}};
  std::byte none{};
  for (const auto& b : bad) {
    try {
      copy_block(view_, b[0], b[1], b[2], b[3], &none);
      ADD_FAILURE() << b[0] << " " << b[1] << " " << b[2] << " " << b[3];
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::failure);
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("\"w\""), testing::HasSubstr("4 x 6")));
    }
  }
  view_.shape = {2, 2, 6};
  EXPECT_THROW(copy_block(view_, 0, 1, 0, 1, &none), Error);
  view_.shape = {};
  EXPECT_THROW(copy_block(view_, 0, 1, 0, 1, &none), Error);
}

INSTANTIATE_TEST_SUITE_P(All, CopyBlock,
                         testing::Values(DType::float64, DType::float32, DType::float16, DType::bfloat16));

}  // namespace
}  // namespace shardrift
