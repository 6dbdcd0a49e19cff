// Routes of mixtures of experts: what is written is what is read, and what a file says is checked.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <limits>

#include "record/verify.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using testing::add_routes;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::Scratch;
using testing::write_record;

PromptRecord routed(const std::string& id, std::int64_t index) {
  auto prompt = example_prompt(example_run(), id, index, 4);
  add_routes(prompt, static_cast<std::uint32_t>(index));
  return prompt;
}

TEST(Routes, SurviveBitForBit) {
  const Scratch scratch;
  for (const int compression : {0, 3}) {
    const auto path = scratch / fmt::format("{}.h5", compression);
    write_record(path, example_run(), {routed("a", 0), routed("b", 1), example_prompt(example_run(), "c", 2)},
                 compression);
    const Reader reader = Reader::open(path);
    EXPECT_EQ(reader.prompt("a").routes, routed("a", 0).routes);
    EXPECT_EQ(reader.prompt("b").routes, routed("b", 1).routes);
    EXPECT_TRUE(reader.prompt("c").routes.empty());
    EXPECT_EQ(reader.schema_minor(), 8);
    for (const char* id : {"a", "b", "c"}) EXPECT_TRUE(verify_prompt(reader, id));
  }
}

// Changes a record with the plain library.
class EditedRoutes : public ::testing::Test {
 protected:
  void SetUp() override { write_record(path_, example_run(), {routed("a", 0)}); }

  template <typename Word>
  void write(const std::string& name, hid_t type, hid_t stored, const std::vector<hsize_t>& dims,
             const std::vector<Word>& words) {
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const std::string full = "/prompts/a/routes/" + name;
    H5Ldelete(file, full.c_str(), H5P_DEFAULT);
    if (!dims.empty()) {
      const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
      const hid_t dataset =
          H5Dcreate2(file, full.c_str(), stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
      if (!words.empty()) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, words.data());
      H5Dclose(dataset);
      H5Sclose(space);
    }
    H5Fclose(file);
  }
  void experts(const std::vector<std::int32_t>& words) {
    write("experts", H5T_NATIVE_INT32, H5T_STD_I32LE, {2, 6, 2}, words);
  }
  void refused(const std::string& words) const {
    const Error error = error_of([&] { Reader::open(path_).prompt("a"); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr(path_.string()));
    EXPECT_THAT(error.what(), HasSubstr("/prompts/a/routes"));
    EXPECT_THAT(error.what(), HasSubstr(words));
  }

  Scratch scratch_;
  std::filesystem::path path_ = scratch_ / "o.h5";
  Routes good_ = routed("a", 0).routes;
  const std::vector<std::int32_t> none_;
};

TEST_F(EditedRoutes, OfAnotherShapeOrTypeAreRefused) {
  write("experts", H5T_NATIVE_INT32, H5T_STD_I32LE, {}, none_);
  refused("experts");
  write("experts", H5T_NATIVE_INT32, H5T_STD_I64LE, {2, 6, 2}, none_);
  refused("int32");
  for (const std::vector<hsize_t>& dims :
       {std::vector<hsize_t>{12, 2}, {2, 5, 2}, {2, 7, 2}, {2, 6, 0}, {0, 6, 2}, {2, 6, 1 << 17}}) {
    write("experts", H5T_NATIVE_INT32, H5T_STD_I32LE, dims, none_);
    refused("is not [layers with experts, 6 positions, k]");
  }
  write("experts", H5T_NATIVE_INT32, H5T_STD_I32LE, {2, 6, 3}, none_);
  refused("weights: has shape");
  write("experts", H5T_NATIVE_INT32, H5T_STD_I32LE, {2, 6, 2}, none_);
  refused("the file stores 0");
  experts(good_.experts);
  write("layers", H5T_NATIVE_INT32, H5T_STD_I32LE, {3}, none_);
  refused("layers");
}

TEST_F(EditedRoutes, WithNumbersThatAreNoExpertsOrLayersAreRefused) {
  auto wrong = good_.experts;
  wrong[7] = wrong[6];
  experts(wrong);
  refused("does not ascend");
  wrong[6] = -1;
  experts(wrong);
  refused("-1 is no expert's number");
  wrong[6] = 0;
  wrong[7] = 1 << 16;
  experts(wrong);
  refused("65536 is no expert's number");
  experts(good_.experts);
  write<std::int32_t>("layers", H5T_NATIVE_INT32, H5T_STD_I32LE, {2}, {4, 4});
  refused("layers: 4 at 1 does not ascend");
}

TEST_F(EditedRoutes, WithWeightsThatAreNoNumbersAreRefused) {
  auto wrong = good_.weights;
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    wrong[3] = value;
    write<float>("weights", H5T_NATIVE_FLOAT, H5T_IEEE_F32LE, {2, 6, 2}, wrong);
    refused("at 3 is no weight of an expert");
  }
}

TEST_F(EditedRoutes, AreFoundByTheHashOfTheContent) {
  EXPECT_TRUE(verify_prompt(Reader::open(path_), "a"));
  auto other = good_.experts;
  other[0] = other[0] == 0 ? 1 : 0;
  other[1] = 4;
  experts(other);
  EXPECT_THAT(error_of([&] { verify_prompt(Reader::open(path_), "a"); }).what(), HasSubstr("edited"));
  experts(good_.experts);
  EXPECT_TRUE(verify_prompt(Reader::open(path_), "a"));
  auto weights = good_.weights;
  weights[3] += 0.125F;
  write("weights", H5T_NATIVE_FLOAT, H5T_IEEE_F32LE, {2, 6, 2}, weights);
  EXPECT_THAT(error_of([&] { verify_prompt(Reader::open(path_), "a"); }).what(), HasSubstr("edited"));
}

TEST(Routes, OfAnotherNumberOfTokensAreNotWritten) {
  const Scratch scratch;
  const WriterOptions options{scratch / "o.h5"};
  prepare_output(options, example_run());
  PartWriter writer(options, example_run());
  const auto refused = [&](const auto& change, const std::string& words) {
    auto prompt = routed("a", 0);
    change(prompt.routes);
    EXPECT_THAT(error_of([&] { writer.add(prompt); }).what(), HasSubstr(words));
  };
  refused([](Routes& routes) { routes.positions = 4; }, "routes of 4 tokens");
  refused([](Routes& routes) { routes.weights.pop_back(); }, "23 weights, expected 24");
  refused([](Routes& routes) { routes.k = 0; }, "expected 0");
  refused([](Routes& routes) { routes.experts[1] = routes.experts[0]; }, "does not ascend");
  refused([](Routes& routes) { routes.weights[5] = std::numeric_limits<float>::quiet_NaN(); },
          "weights: nan at 5 is no weight of an expert");
}

}  // namespace
}  // namespace shardrift::record
