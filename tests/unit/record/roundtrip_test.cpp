// What is written is what is read: every dtype as raw words, every field, and plain HDF5's view of bfloat16.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <chrono>

#include "tests/support/wait.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using ::testing::ElementsAre;
using testing::example_prompt;
using testing::example_run;
using testing::Scratch;
using testing::write_record;

class RoundtripOf : public ::testing::TestWithParam<std::tuple<DType, int>> {};

TEST_P(RoundtripOf, RawWordsSurvive) {
  const auto [dtype, compression] = GetParam();
  const Scratch scratch;
  const RunInfo run = example_run(dtype);
  const auto a = example_prompt(run, "a", 0, 5);
  write_record(scratch / "o.h5", run, {a}, compression);
  const Reader reader = Reader::open(scratch / "o.h5");
  EXPECT_EQ(reader.run().logits_dtype, storage_of(dtype));
  std::vector<std::byte> words;
  reader.read_logits("a", 0, 5, words);
  EXPECT_EQ(words, a.logits);
  const auto row = static_cast<std::ptrdiff_t>(7 * size_of(dtype));
  reader.read_logits("a", 2, 4, words);
  EXPECT_EQ(words, std::vector<std::byte>(a.logits.begin() + 2 * row, a.logits.begin() + 4 * row));
  reader.read_logits("a", 3, 3, words);
  EXPECT_TRUE(words.empty());
}
INSTANTIATE_TEST_SUITE_P(Dtypes, RoundtripOf,
                         ::testing::Combine(::testing::Values(DType::float64, DType::float32, DType::tf32,
                                                              DType::float16, DType::bfloat16),
                                            ::testing::Values(0, 4)));

void expect_same(const PromptRecord& got, const PromptRecord& want) {
  EXPECT_EQ(got.prompt.id, want.prompt.id);
  EXPECT_EQ(got.prompt.index, want.prompt.index);
  EXPECT_EQ(got.prompt.text, want.prompt.text);
  EXPECT_EQ(got.prompt.source, want.prompt.source);
  EXPECT_EQ(got.prompt.tokens, want.prompt.tokens);
  EXPECT_EQ(got.status, want.status);
  EXPECT_EQ(got.stop, want.stop);
  EXPECT_EQ(got.device, want.device);
  EXPECT_EQ(got.replica, want.replica);
  EXPECT_EQ(got.prefilled_with, want.prefilled_with);
  EXPECT_EQ(got.decoded_with, want.decoded_with);
  EXPECT_EQ(got.hash, want.hash);
  EXPECT_EQ(got.top.k, want.top.k);
  EXPECT_EQ(got.top.ids, want.top.ids);
  EXPECT_EQ(got.top.log_probabilities, want.top.log_probabilities);
  ASSERT_EQ(got.rows.size(), want.rows.size());
  for (std::size_t i = 0; i < got.rows.size(); ++i) {
    EXPECT_EQ(got.rows[i].input_id, want.rows[i].input_id);
    EXPECT_EQ(got.rows[i].position, want.rows[i].position);
    EXPECT_EQ(got.rows[i].chosen, want.rows[i].chosen);
    EXPECT_EQ(got.rows[i].forward_call, want.rows[i].forward_call);
    EXPECT_EQ(got.rows[i].forward_rows, want.rows[i].forward_rows);
    EXPECT_EQ(got.rows[i].batch_row, want.rows[i].batch_row);
    EXPECT_EQ(got.rows[i].phase, want.rows[i].phase);
    EXPECT_EQ(got.rows[i].seconds, want.rows[i].seconds);
  }
  EXPECT_TRUE(got.logits.empty());
}

// A part is read before it is assembled: one that does not name its own prompt once is no part of a record.
TEST(Roundtrip, NeighboursThatCannotBeAreNotAssembled) {
  const auto recorded = [](const std::vector<std::string>& ids) {
    const Scratch scratch;
    const RunInfo run = example_run();
    auto prompt = example_prompt(run, "a", 0);
    prompt.decoded_with = ids;
    write_record(scratch / "o.h5", run, {prompt});
    return Reader::open(scratch / "o.h5").prompt_ids().size();
  };
  EXPECT_EQ(recorded({"b", "a"}), 1U);
  EXPECT_EQ(recorded({"b", "c"}), 0U);
  EXPECT_EQ(recorded({"a", "a"}), 0U);
  EXPECT_EQ(recorded({"a", "../b"}), 0U);
}

TEST(Roundtrip, EveryFieldOfAPrompt) {
  const Scratch scratch;
  const RunInfo run = example_run();
  auto unicode = example_prompt(run, "u", 1);
  unicode.prompt.text = "tab\t, \xC3\xA9 and \xF0\x9F\x92\xA1, no end";
  auto empty = example_prompt(run, "e", 2);
  empty.prompt.text.clear();
  unicode.prefilled_with = {"a", "u"};
  unicode.decoded_with = {"a", "u", std::string(64, 'x')};
  auto no_rows = example_prompt(run, "n", 3, 0);
  const auto a = example_prompt(run, "a", 0);
  write_record(scratch / "o.h5", run, {no_rows, empty, unicode, a});
  const Reader reader = Reader::open(scratch / "o.h5");
  EXPECT_THAT(reader.prompt_ids(), ElementsAre("a", "u", "e", "n"));
  EXPECT_TRUE(reader.complete());
  for (const PromptRecord* want : std::vector<const PromptRecord*>{&a, &unicode, &empty, &no_rows})
    expect_same(reader.prompt(want->prompt.id), *want);
}

TEST(Roundtrip, EveryFieldOfARun) {
  const Scratch scratch;
  RunInfo run = example_run();
  run.model.config = std::string(200'000, 'x');  // larger than an attribute in an object header may be
  run.model.vocab = {"", "a", std::string(300, 'b'), "\xC4\xA0the"};
  write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0)});
  const Reader reader = Reader::open(scratch / "o.h5");
  const RunInfo& got = reader.run();
  EXPECT_EQ(got.created, run.created);
  EXPECT_EQ(got.command, run.command);
  EXPECT_EQ(got.version, run.version);
  EXPECT_EQ(got.plan, run.plan);
  EXPECT_EQ(got.mode, run.mode);
  EXPECT_EQ(got.level, run.level);
  EXPECT_EQ(got.prompts_hash, run.prompts_hash);
  EXPECT_EQ(got.resume_key, run.resume_key);
  EXPECT_EQ(got.environment.libraries, run.environment.libraries);
  EXPECT_EQ(got.environment.variables, run.environment.variables);
  EXPECT_EQ(got.environment.settings, run.environment.settings);
  EXPECT_EQ(got.environment.topology, run.environment.topology);
  ASSERT_EQ(got.environment.devices.size(), 2U);
  EXPECT_EQ(got.environment.devices[1].rank, 1);
  EXPECT_EQ(got.environment.devices[1].host, "node2");
  EXPECT_EQ(got.environment.devices[1].name, "Some GPU");
  EXPECT_EQ(got.environment.devices[1].uuid, "GPU-1");
  EXPECT_EQ(got.environment.devices[1].compute_capability, "9.0");
  EXPECT_EQ(got.environment.devices[1].driver, "580");
  EXPECT_EQ(got.model.architecture, run.model.architecture);
  EXPECT_EQ(got.model.config, run.model.config);
  EXPECT_EQ(got.model.identity, run.model.identity);
  EXPECT_EQ(got.model.vocabulary, run.model.vocabulary);
  EXPECT_EQ(got.model.vocab, run.model.vocab);
}

TEST(Roundtrip, LevelTopHasNoLogits) {
  const Scratch scratch;
  const RunInfo run = example_run();
  auto a = example_prompt(run, "a", 0);
  a.logits.clear();
  write_record(scratch / "o.h5", run, {a});
  const Reader reader = Reader::open(scratch / "o.h5");
  EXPECT_FALSE(reader.has_logits("a"));
  EXPECT_EQ(reader.prompt("a").hash, a.hash);
  std::vector<std::byte> words;
  EXPECT_THROW(reader.read_logits("a", 0, 1, words), Error);
}

TEST(Roundtrip, TwoReadersOfOneFile) {  // compare a file with itself; closing one must not close the other
  const Scratch scratch;
  const RunInfo run = example_run();
  write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0)});
  const Reader first = Reader::open(scratch / "o.h5");
  std::vector<std::byte> words;
  first.read_logits("a", 0, 1, words);
  { EXPECT_EQ(Reader::open(scratch / "o.h5").prompt("a").rows.size(), 3U); }
  first.read_logits("a", 1, 3, words);
  EXPECT_EQ(first.prompt("a").rows.size(), 3U);
}

TEST(Roundtrip, EqualRunsGiveEqualFiles) {
  const Scratch scratch;
  const RunInfo run = example_run();
  const auto a = example_prompt(run, "a", 0);
  write_record(scratch / "1.h5", run, {a});
  // HDF5's own time stamps have seconds.
  const auto second = [] {
    return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  };
  EXPECT_TRUE(
      shardrift::testing::wait_for("the next second", [&, first = second()] { return second() > first; }));
  write_record(scratch / "2.h5", run, {a});
  EXPECT_EQ(testing::contents(scratch / "1.h5"), testing::contents(scratch / "2.h5"));
}

// Any HDF5 program, asking for float32, must get bfloat16 and half widened exactly.
std::vector<float> read_as_float32(const std::filesystem::path& path, const char* dataset,
                                   std::size_t count) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t data = H5Dopen2(file, dataset, H5P_DEFAULT);
  std::vector<float> values(count);
  EXPECT_GE(H5Dread(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(data);
  H5Fclose(file);
  return values;
}

TEST(Roundtrip, Bfloat16IsWidenedExactlyByHdf5) {
  const Scratch scratch;
  const RunInfo run = example_run(DType::bfloat16, 256);
  auto a = example_prompt(run, "a", 0, 256);  // all 65536 words
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const auto word = static_cast<std::uint16_t>(i);
    std::memcpy(a.logits.data() + 2 * i, &word, 2);
  }
  write_record(scratch / "o.h5", run, {a});
  const auto values = read_as_float32(scratch / "o.h5", "/prompts/a/logits", 65536);
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const float want = float_from_bfloat16(static_cast<std::uint16_t>(i));
    if (want != want)
      EXPECT_NE(values[i], values[i]) << i;
    else
      EXPECT_EQ(std::memcmp(&values[i], &want, 4), 0) << i;
  }
}

TEST(Roundtrip, HalfIsWidenedExactlyByHdf5) {
  const Scratch scratch;
  const RunInfo run = example_run(DType::float16, 7);
  auto a = example_prompt(run, "a", 0, 1);
  const std::uint16_t words[7] = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x8000, 0x0400, 0x3555};
  std::memcpy(a.logits.data(), words, sizeof words);
  write_record(scratch / "o.h5", run, {a});
  const auto values = read_as_float32(scratch / "o.h5", "/prompts/a/logits", 7);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(values[i], float_from_float16(words[i]));
  EXPECT_EQ(values[2], 0x1p-24F);
}

TEST(ValidId, FollowsTheAlphabet) {
  for (const char* good : {"a", "p0", "_x", "-", "A.b", "9"}) EXPECT_TRUE(valid_id(good)) << good;
  for (const char* bad : {"", ".", "..", ".a", "a/b", "a b", "+run", "\xC3\xA9"})
    EXPECT_FALSE(valid_id(bad)) << bad;
  EXPECT_TRUE(valid_id(std::string(64, 'a')));
  EXPECT_FALSE(valid_id(std::string(65, 'a')));
}

}  // namespace
}  // namespace shardrift::record
