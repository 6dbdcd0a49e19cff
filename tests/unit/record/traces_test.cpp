// Hidden states and checksums: the places of a forward pass, and what is written is what is read.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <set>

#include "common/mix64.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using testing::add_sketches;
using testing::add_traces;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::Scratch;
using testing::write_record;

TEST(Points, AreNumberedInRunningOrder) {
  for (const std::int64_t layers : {1, 2, 30}) {
    Point before = point_at(0, layers);
    EXPECT_EQ(before, Point{});
    for (std::int64_t i = 0; i < point_count(layers); ++i) {
      const Point point = point_at(i, layers);
      EXPECT_EQ(index_of(point, layers), i);
      if (i > 0) {
        const bool next_layer =
            in_layer(point.operation) && in_layer(before.operation) && point.layer == before.layer + 1;
        EXPECT_TRUE(next_layer || point.operation > before.operation) << i;
      }
      before = point;
    }
    EXPECT_EQ(before.operation, Operation::logits);
  }
}

TEST(Points, NamesAreUniqueAndReadBack) {
  std::set<std::string_view> names;
  int in_layers = 0;
  for (int i = 0; i < kOperations; ++i) {
    names.insert(name_of(operation_at(i)));
    EXPECT_EQ(operation_from_name(name_of(operation_at(i))), operation_at(i));
    in_layers += in_layer(operation_at(i)) ? 1 : 0;
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(kOperations));
  EXPECT_EQ(in_layers, kLayerOperations);
  EXPECT_EQ(operation_from_name("softmax"), std::nullopt);
}

// The file's numbers are defined by these: other values would be another schema.
TEST(Mix64, IsTheDocumentedFunction) {
  EXPECT_EQ(finalize64(0), 0U);
  EXPECT_EQ(finalize64(0x9E3779B97F4A7C15ULL), 0xE220A8397B1DCDAFULL);  // SplitMix64's first output of seed 0
  EXPECT_EQ(mix64(0, 0), finalize64(0xE220A8397B1DCDAFULL));
  EXPECT_NE(mix64(1, 0), mix64(0, 1));
  EXPECT_NE(mix64(2, 5), mix64(3, 4));
}

class TracesOf : public ::testing::TestWithParam<DType> {};

TEST_P(TracesOf, SurviveBitForBit) {
  const Scratch scratch;
  const RunInfo run = example_run();
  auto a = example_prompt(run, "a", 0, 4);
  add_traces(a, GetParam());
  auto b = example_prompt(run, "b", 1, 1);
  add_traces(b, GetParam(), false);
  write_record(scratch / "o.h5", run, {a, b, example_prompt(run, "c", 2)}, 3);
  const Reader reader = Reader::open(scratch / "o.h5");
  for (const auto& want : {a, b}) {
    const PromptRecord got = reader.prompt(want.prompt.id);
    EXPECT_EQ(got.checksums.sums, want.checksums.sums);
    EXPECT_EQ(got.checksums.operations, want.checksums.operations);
    EXPECT_EQ(got.checksums.layers, 2);
    EXPECT_EQ(got.hidden.streams, 3);
    EXPECT_EQ(got.hidden.width, 5);
    EXPECT_EQ(got.hidden.dtype, storage_of(GetParam()));
    EXPECT_TRUE(got.hidden.words.empty());
    const auto rows = static_cast<std::int64_t>(want.rows.size());
    const std::size_t plane = want.hidden.words.size() / 3;
    std::vector<std::byte> words;
    for (std::int64_t stream = 0; stream < 3; ++stream) {
      reader.read_hidden(want.prompt.id, stream, 0, rows, words);
      EXPECT_TRUE(std::equal(words.begin(), words.end(),
                             want.hidden.words.begin() + static_cast<std::ptrdiff_t>(plane) * stream));
      EXPECT_EQ(words.size(), plane);
    }
    reader.read_hidden(want.prompt.id, 1, rows - 1, rows, words);
    EXPECT_EQ(words.size(), plane / static_cast<std::size_t>(rows));
  }
  EXPECT_TRUE(reader.prompt("c").checksums.empty());
  EXPECT_EQ(reader.prompt("c").hidden.streams, 0);
  std::vector<std::byte> words;
  EXPECT_THAT(error_of([&] { reader.read_hidden("c", 0, 0, 1, words); }).what(), HasSubstr("not recorded"));
  EXPECT_EQ(error_of([&] { reader.read_hidden("a", 3, 0, 1, words); }).code(), ExitCode::bad_data);
  EXPECT_EQ(error_of([&] { reader.read_hidden("a", 0, 2, 5, words); }).code(), ExitCode::bad_data);
}
INSTANTIATE_TEST_SUITE_P(Dtypes, TracesOf,
                         ::testing::Values(DType::float64, DType::float32, DType::tf32, DType::float16,
                                           DType::bfloat16));

TEST(Sketches, SurviveBitForBitAndAreReadWhenAskedFor) {
  const Scratch scratch;
  const RunInfo run = example_run();
  auto a = example_prompt(run, "a", 0, 4);
  add_sketches(a);
  write_record(scratch / "o.h5", run, {a, example_prompt(run, "b", 1)});
  const Reader reader = Reader::open(scratch / "o.h5");
  const auto about = reader.prompt("a").sketches;
  EXPECT_EQ(about.operations, a.sketches.operations);
  EXPECT_EQ(about.shards, 2);
  EXPECT_TRUE(about.values.empty());
  EXPECT_EQ(reader.sketches("a").values, a.sketches.values);
  EXPECT_TRUE(reader.sketches("b").empty());
  EXPECT_TRUE(reader.prompt("b").sketches.empty());
}

// What a hostile file says is checked before it is believed.
class HostileTraces : public ::testing::Test {
 protected:
  void refused(const std::string& name, hid_t type, const std::vector<hsize_t>& dims,
               const std::string& words) {
    const Scratch scratch;
    const RunInfo run = example_run();
    auto a = example_prompt(run, "a", 0);
    add_traces(a, DType::float32);
    add_sketches(a);
    write_record(scratch / "o.h5", run, {a});
    const auto path = scratch / "o.h5";
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const std::string full = "/prompts/a/" + name;
    H5Ldelete(file, full.c_str(), H5P_DEFAULT);
    if (!dims.empty()) {
      const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
      H5Dclose(H5Dcreate2(file, full.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      H5Sclose(space);
    }
    H5Fclose(file);
    const Error error = error_of([&] { Reader::open(path).prompt("a"); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr(words));
    EXPECT_THAT(error.what(), HasSubstr(full));
  }
};

TEST_F(HostileTraces, AreRefused) {
  refused("hidden", H5T_IEEE_F32LE, {3, 3}, "dimensions");
  refused("hidden", H5T_IEEE_F32LE, {3, 2, 5}, "shape");
  refused("hidden", H5T_IEEE_F32LE, {1, 3, 5}, "no model's");
  refused("hidden", H5T_IEEE_F32LE, {1U << 16U, 3, 1U << 24U}, "stores");
  refused("checksums/qkv", H5T_STD_U64LE, {}, "");
  refused("checksums/qkv", H5T_STD_I64LE, {2, 3}, "uint64");
  refused("checksums/qkv", H5T_STD_U64LE, {3, 3}, "shape");
  refused("checksums/qkv", H5T_STD_U64LE, {2, 3}, "stores");
  refused("checksums/attention_norm", H5T_STD_U64LE, {1U << 16U, 3}, "stores");
  refused("checksums/attention_norm", H5T_STD_U64LE, {1U << 20U, 3}, "layers");
  refused("sketches/qkv", H5T_IEEE_F64LE, {}, "");
  refused("sketches/qkv", H5T_IEEE_F32LE, {2, 2, 3, 8}, "float64");
  refused("sketches/qkv", H5T_IEEE_F64LE, {2, 1, 3, 8}, "shape");
  refused("sketches/qkv", H5T_IEEE_F64LE, {2, 2, 3, 4}, "shape");
  refused("sketches/qkv", H5T_IEEE_F64LE, {2, 2, 3, 8}, "stores");
  refused("sketches/attention_norm", H5T_IEEE_F64LE, {2, 3, 8}, "shards");
}

// Records of before the list, and of a version with other operations.
TEST(Traces, ARecordListsItsOperations) {
  const RunInfo run = example_run();
  auto a = example_prompt(run, "a", 0);
  add_traces(a, DType::float32);
  const auto group = [&](const auto& change) {
    const Scratch scratch;
    const auto path = scratch / "o.h5";
    write_record(path, run, {a});
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t checksums = H5Gopen2(file, "/prompts/a/checksums", H5P_DEFAULT);
    change(checksums);
    H5Gclose(checksums);
    H5Fclose(file);
    return Reader::open(path).prompt("a").checksums;
  };
  const auto list = [](hid_t checksums, const std::string& names) {
    H5Adelete(checksums, "operations");
    if (names.empty()) return;
    const hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, names.size());
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(checksums, "operations", type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(attribute, type, names.data());
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
  };
  EXPECT_EQ(group([](hid_t) {}).operations, first_operations());

  const auto unlisted = group([&](hid_t checksums) { list(checksums, ""); });
  EXPECT_EQ(unlisted.operations, first_operations());
  EXPECT_EQ(unlisted.sums, a.checksums.sums);

  const auto gathered = group([&](hid_t checksums) {
    list(checksums, "");
    H5Ldelete(checksums, "attention_partials", H5P_DEFAULT);
    H5Ldelete(checksums, "mlp_partials", H5P_DEFAULT);
  });
  EXPECT_FALSE(gathered.has(Operation::mlp_partials));
  EXPECT_EQ(gathered.operations.size(), first_operations().size() - 2);

  const auto other = group([&](hid_t checksums) {
    list(checksums, "embedding attention_norm query_norm logits");  // query_norm: unknown here
    H5Ldelete(checksums, "qkv", H5P_DEFAULT);
  });
  EXPECT_EQ(other.operations,
            (std::vector{Operation::embedding, Operation::attention_norm, Operation::logits}));
  const Point logits{Operation::logits, 0};
  EXPECT_EQ(other.at(logits, 0), a.checksums.at(logits, 0));
  EXPECT_FALSE(other.has(Operation::qkv));
}

TEST(Traces, RowsOfARecordMustAgree) {
  const Scratch scratch;
  const RunInfo run = example_run();
  auto a = example_prompt(run, "a", 0);
  add_traces(a, DType::float32);
  const WriterOptions options{scratch / "o.h5"};
  prepare_output(options, run);
  PartWriter writer(options, run);
  auto other = a;
  other.checksums.rows = 2;
  EXPECT_THAT(error_of([&] { writer.add(other); }).what(), HasSubstr("checksums"));
  other = a;
  add_sketches(other);
  other.sketches.values.pop_back();
  EXPECT_THAT(error_of([&] { writer.add(other); }).what(), HasSubstr("sketches"));
  other = a;
  other.hidden.words.resize(other.hidden.words.size() / 3);
  EXPECT_THAT(error_of([&] { writer.add(other); }).what(), HasSubstr("hidden"));
}

}  // namespace
}  // namespace shardrift::record
