// Files that are not what they should be: bad_data naming the file, never a crash, never wrong logits.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <functional>

#include "record/logits_rows.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

namespace fs = std::filesystem;
using testing::add_routes;
using testing::add_traces;
using testing::contents;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::replace_contents;
using testing::Scratch;
using testing::write_record;

// Everything a reader can be asked for, as one value.
std::string everything(const fs::path& path) {
  const Reader reader = Reader::open(path);
  const RunInfo& run = reader.run();
  std::string all = run.plan + run.command + run.model.config + run.model.identity + run.environment.topology;
  for (const auto& token : run.model.vocab) all += token + ",";
  for (const auto& id : reader.prompt_ids()) {
    const PromptRecord prompt = reader.prompt(id);
    all += id + prompt.prompt.text + prompt.hash + prompt.stop + prompt.device;
    for (const auto token : prompt.prompt.tokens) all += std::to_string(token) + " ";
    for (const auto& row : prompt.rows)
      all += fmt::format("{} {} {} {} {} {};", row.input_id, row.position, row.chosen, row.forward_call,
                         row.seconds, static_cast<int>(row.phase));
    for (const float value : prompt.top.log_probabilities) all += std::to_string(value);
    for (const auto sum : prompt.checksums.sums) all += std::to_string(sum);
    for (const auto expert : prompt.routes.experts) all += std::to_string(expert);
    for (const auto weight : prompt.routes.weights) all += std::to_string(weight);
    for (const auto layer : prompt.routes.layers) all += std::to_string(layer);
    std::vector<std::byte> words;
    for (std::int64_t stream = 0; stream < prompt.hidden.streams; ++stream) {
      reader.read_hidden(id, stream, 0, static_cast<std::int64_t>(prompt.rows.size()), words);
      all.append(reinterpret_cast<const char*>(words.data()), words.size());
    }
    if (!reader.has_logits(id)) continue;
    reader.read_logits(id, 0, static_cast<std::int64_t>(prompt.rows.size()), words);
    all.append(reinterpret_cast<const char*>(words.data()), words.size());
    std::vector<std::byte> direct;
    LogitsRows::open(reader, id).read(0, static_cast<std::int64_t>(prompt.rows.size()), direct);
    EXPECT_EQ(direct, words);
  }
  return all;
}

class Damaged : public ::testing::Test {
 protected:
  void SetUp() override {
    write_record(path_, run_, {example_prompt(run_, "a", 0), example_prompt(run_, "b", 1)});
    good_ = contents(path_);
  }
  // Change the file with the plain library, then read everything: must be refused with `words` in the
  // message.
  void expect_refused(const std::function<void(hid_t file)>& change, const std::string& words) {
    replace_contents(path_, good_);
    const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    ASSERT_GE(file, 0);
    change(file);
    ASSERT_GE(H5Fclose(file), 0);
    const Error error = error_of([&] { everything(path_); });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), HasSubstr(path_.string()));
    EXPECT_THAT(error.what(), HasSubstr(words));
  }
  Scratch scratch_;
  fs::path path_ = scratch_ / "o.h5";
  RunInfo run_ = example_run();
  std::string good_;
};

TEST_F(Damaged, TruncatedAtManyLengths) {
  for (std::size_t length = 0; length < good_.size(); length += length < 200 ? 7 : 211) {
    replace_contents(path_, good_.substr(0, length));
    const Error error = error_of([&] { everything(path_); });
    ASSERT_EQ(error.code(), ExitCode::bad_data) << length;
    ASSERT_THAT(error.what(), HasSubstr(path_.string()));
  }
}

// Every structure and every datum carries a checksum: a flipped bit is either in unused space or found.
// Flips bits of the file at random; returns how many flips were found. None may change what is read.
int flips_found(const fs::path& path, int flips) {
  const std::string good = contents(path);
  const std::string want = everything(path);
  std::mt19937 random(3);
  int found = 0;
  for (int i = 0; i < flips; ++i) {
    std::string bytes = good;
    bytes[random() % bytes.size()] ^= static_cast<char>(1U << (random() % 8));
    replace_contents(path, bytes);
    try {
      EXPECT_EQ(everything(path), want) << "flip " << i << " changed what is read";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::bad_data) << error.what();
      ++found;
    }
    if (::testing::Test::HasFailure()) break;
  }
  return found;
}

TEST_F(Damaged, FlippedBitsAreFoundOrHarmless) {
  EXPECT_GT(flips_found(path_, 3000), 1000);
}

TEST_F(Damaged, FlippedBitsOfTracesAreFoundOrHarmless) {
  auto traced = example_prompt(run_, "t", 0);
  add_traces(traced, DType::bfloat16);
  add_routes(traced);
  const fs::path path = scratch_ / "traced.h5";
  write_record(path, run_, {traced});
  EXPECT_GT(flips_found(path, 600), 200);
}

TEST_F(Damaged, BlocksOfNoiseNeverCrash) {
  std::mt19937 random(4);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = good_;
    const std::size_t begin = random() % bytes.size();
    const std::size_t end = std::min<std::size_t>(bytes.size(), begin + 1 + random() % 600);
    for (std::size_t at = begin; at < end; ++at) bytes[at] = static_cast<char>(random());
    replace_contents(path_, bytes);
    try {
      everything(path_);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::bad_data) << error.what();
    }
  }
}

TEST_F(Damaged, ForeignFiles) {
  for (const std::string& bytes : {std::string(), std::string("text"), std::string(5000, '\0')}) {
    replace_contents(path_, bytes);
    EXPECT_EQ(error_of([&] { Reader::open(path_); }).code(), ExitCode::bad_data);
  }
  EXPECT_THAT(error_of([&] { Reader::open(scratch_ / "none.h5"); }).what(), HasSubstr("no such file"));
  EXPECT_THAT(error_of([&] { Reader::open("/dev/zero"); }).what(), HasSubstr("regular file"));
  EXPECT_THAT(error_of([&] { Reader::open(scratch_.path()); }).what(), HasSubstr("no run's parts"));
  const hid_t file = H5Fcreate(path_.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  H5Fclose(file);
  EXPECT_THAT(error_of([&] { Reader::open(path_); }).what(), HasSubstr("not a record of shardrift"));
}

void replace_attribute(hid_t file, const char* object, const char* name, std::int64_t value) {
  const hid_t at = H5Oopen(file, object, H5P_DEFAULT);
  const hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
  H5Awrite(attribute, H5T_NATIVE_INT64, &value);
  H5Aclose(attribute);
  H5Oclose(at);
}

TEST_F(Damaged, NewerSchemaIsRefusedNewerMinorIsNot) {
  expect_refused([](hid_t file) { replace_attribute(file, "/", "schema", 2); }, "newer");
  replace_contents(path_, good_);
  const hid_t file = H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  replace_attribute(file, "/", "schema_minor", 9);
  H5Gclose(H5Gcreate2(file, "/later", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));  // unknown objects are ignored
  H5Gclose(H5Gcreate2(file, "/prompts/not an id", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  H5Fclose(file);
  EXPECT_EQ(Reader::open(path_).prompt_ids().size(), 2U);
}

TEST_F(Damaged, LinksAreNotFollowed) {
  expect_refused(
      [](hid_t file) {
        H5Ldelete(file, "/prompts/a/logits", H5P_DEFAULT);
        H5Lcreate_soft("/prompts/b/logits", file, "/prompts/a/logits", H5P_DEFAULT, H5P_DEFAULT);
      },
      "/prompts/a/logits: is a soft or external link");
  fs::copy(path_, scratch_ / "other.h5");
  expect_refused(
      [](hid_t file) {
        H5Ldelete(file, "/prompts/a", H5P_DEFAULT);
        H5Lcreate_external("other.h5", "/prompts/a", file, "/prompts/a", H5P_DEFAULT, H5P_DEFAULT);
      },
      "/prompts/a: is a soft or external link");
}

void replace_dataset(hid_t file, const char* name, hid_t type, const std::vector<hsize_t>& dims,
                     const std::vector<hsize_t>& chunk = {}, hid_t properties = H5P_DEFAULT) {
  H5Ldelete(file, name, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr);
  const hid_t creation = properties == H5P_DEFAULT ? H5Pcreate(H5P_DATASET_CREATE) : properties;
  if (!chunk.empty()) H5Pset_chunk(creation, static_cast<int>(chunk.size()), chunk.data());
  const hid_t data = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  EXPECT_GE(data, 0);
  H5Dclose(data);
  H5Pclose(creation);
  H5Sclose(space);
}

TEST_F(Damaged, WrongRanksShapesAndTypes) {
  const auto with = [&](const char* name, hid_t type, const std::vector<hsize_t>& dims,
                        const std::string& words) {
    SCOPED_TRACE(name);
    expect_refused([&](hid_t file) { replace_dataset(file, name, type, dims); }, words);
  };
  with("/prompts/a/logits", H5T_IEEE_F32LE, {21}, "has 1 dimensions, not 2");
  with("/prompts/a/logits", H5T_IEEE_F32LE, {3, 8}, "has shape [3, 8], not [3, 7]");
  with("/prompts/a/logits", H5T_IEEE_F32LE, {2, 7}, "has shape [2, 7], not [3, 7]");
  with("/prompts/a/logits", H5T_IEEE_F64LE, {3, 7}, "is not of type float32");
  with("/prompts/a/logits", H5T_IEEE_F32BE, {3, 7}, "is not of type float32");
  with("/prompts/a/logits", H5T_STD_I32LE, {3, 7}, "is not of type float32");
  with("/prompts/a/input_ids", H5T_STD_I64LE, {3}, "is not of type int32");
  with("/prompts/a/input_ids", H5T_STD_I32LE, {3, 1}, "has 2 dimensions, not 1");
  with("/prompts/a/positions", H5T_STD_I32LE, {2}, "has shape [2], not [3]");
  with("/prompts/a/forward/phase", H5T_STD_U8LE, {3}, "is not of type enum");
  with("/prompts/a/top/ids", H5T_STD_I32LE, {3}, "is not [3 steps, k]");
  with("/prompts/a/text", H5T_STD_I32LE, {1}, "texts of fixed length");
  expect_refused([](hid_t file) { H5Ldelete(file, "/prompts/a/chosen", H5P_DEFAULT); },
                 "/prompts/a/chosen: missing dataset");
  expect_refused([](hid_t file) { H5Ldelete(file, "/model", H5P_DEFAULT); }, "/model: missing group");
  expect_refused([](hid_t file) { H5Adelete_by_name(file, "/prompts/b", "index", H5P_DEFAULT); },
                 "/prompts/b/@index");
  expect_refused([](hid_t file) { replace_attribute(file, "/model", "vocabulary", -1); },
                 "no vocabulary size");
  expect_refused([](hid_t file) { replace_attribute(file, "/model", "vocabulary", 8); }, "not [3, 8]");
}

TEST_F(Damaged, VariableLengthTextIsRefused) {
  expect_refused(
      [](hid_t file) {
        const hid_t type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, H5T_VARIABLE);
        replace_dataset(file, "/prompts/a/text", type, {1});
        H5Tclose(type);
      },
      "texts of fixed length");
}

TEST_F(Damaged, HugeDimsDoNotAllocate) {
  const hsize_t huge = 1ULL << 40U;
  const auto with = [&](const char* name, hid_t type, const std::vector<hsize_t>& dims,
                        const std::vector<hsize_t>& chunk) {
    SCOPED_TRACE(name);
    expect_refused([&](hid_t file) { replace_dataset(file, name, type, dims, chunk); }, "claims");
  };
  with("/prompts/a/input_ids", H5T_STD_I32LE, {huge}, {1024});
  with("/prompts/a/tokens", H5T_STD_I32LE, {1ULL << 30U}, {1024});
  with("/model/vocab", H5T_C_S1, {huge}, {1024});
  expect_refused(
      [](hid_t file) {
        replace_dataset(file, "/prompts/a/tokens", H5T_STD_I32LE, {1ULL << 31U}, {1ULL << 29U});
      },
      "too large");
}

TEST_F(Damaged, DataInOtherFilesAreRefused) {
  replace_contents(scratch_ / "raw", std::string(84, 'x'));
  expect_refused(
      [&](hid_t file) {
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_external(properties, (scratch_ / "raw").c_str(), 0, 84);
        replace_dataset(file, "/prompts/a/logits", H5T_IEEE_F32LE, {3, 7}, {}, properties);
      },
      "another file");
  expect_refused(
      [&](hid_t file) {
        const hsize_t dims[2] = {3, 7};
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        const hid_t space = H5Screate_simple(2, dims, nullptr);
        H5Pset_virtual(properties, space, "other.h5", "/x", space);
        H5Sclose(space);
        replace_dataset(file, "/prompts/a/logits", H5T_IEEE_F32LE, {3, 7}, {}, properties);
      },
      "another file");
}

void write_int32(hid_t file, const char* name, const std::vector<std::int32_t>& values) {
  const hid_t data = H5Dopen2(file, name, H5P_DEFAULT);
  EXPECT_GE(H5Dwrite(data, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(data);
}

TEST_F(Damaged, ValuesOutOfRange) {
  expect_refused([](hid_t file) { write_int32(file, "/prompts/a/chosen", {0, 7, 0}); }, "token 7 is outside");
  expect_refused(
      [](hid_t file) {
        write_int32(file, "/prompts/a/input_ids", {0, -1, 0});
      },
      "token -1 is outside");
  expect_refused([](hid_t file) { write_int32(file, "/prompts/a/tokens", {0, 9, 0}); }, "token 9 is outside");
  expect_refused([](hid_t file) { write_int32(file, "/prompts/a/positions", {4, 4, 5}); }, "does not ascend");
  expect_refused(
      [](hid_t file) {
        write_int32(file, "/prompts/a/top/ids", {1, 2, 3, 4, 5, 70});
      },
      "token 70 is outside");
}

TEST_F(Damaged, RowsOutOfRange) {
  const Reader reader = Reader::open(path_);
  std::vector<std::byte> words;
  for (const auto& [begin, end] : std::vector<std::pair<int, int>>{{-1, 1}, {2, 1}, {0, 4}, {4, 4}})
    EXPECT_EQ(error_of([&] { reader.read_logits("a", begin, end, words); }).code(), ExitCode::bad_data);
  EXPECT_EQ(error_of([&] { (void)reader.prompt("z"); }).code(), ExitCode::bad_data);
}

}  // namespace
}  // namespace shardrift::record
