// Logits read without the HDF5 library: the same words, and every flipped bit found.
#include "record/logits_rows.hpp"

#include <gmock/gmock.h>

#include <thread>

#include "record/fletcher32.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

using testing::contents;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::random_bytes;
using testing::replace_contents;
using testing::Scratch;
using testing::write_record;

std::vector<std::byte> through_the_library(const Reader& reader, int begin, int end) {
  std::vector<std::byte> words;
  reader.read_logits("a", begin, end, words);
  return words;
}

TEST(LogitsRows, TheLibrarysWordsInEveryDtypeAndRange) {
  for (const auto dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16})
    for (const std::int64_t vocabulary :
         {1, 7, 30'011}) {  // the last has few rows a chunk, and a short last one
      Scratch scratch;
      const auto run = example_run(dtype, vocabulary);
      const int steps = 13;
      write_record(scratch / "o.h5", run,
                   {example_prompt(run, "a", 0, steps), example_prompt(run, "b", 1, 2)});
      const Reader reader = Reader::open(scratch / "o.h5");
      const LogitsRows rows = LogitsRows::open(reader, "a");
      EXPECT_TRUE(rows.direct());
      EXPECT_EQ(rows.rows(), steps);
      std::vector<std::byte> words;
      for (int begin = 0; begin < steps; ++begin)
        for (const int end : {begin, begin + 1, begin + 2, begin + 5, steps}) {
          if (end > steps) continue;
          rows.read(begin, end, words);
          ASSERT_EQ(words, through_the_library(reader, begin, end))
              << vocabulary << " " << begin << " " << end;
        }
    }
}

TEST(LogitsRows, CompressedOnesGoThroughTheLibrary) {
  Scratch scratch;
  const auto run = example_run();
  write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0, 5)}, 4);
  const Reader reader = Reader::open(scratch / "o.h5");
  const LogitsRows rows = LogitsRows::open(reader, "a");
  EXPECT_FALSE(rows.direct());
  std::vector<std::byte> words;
  rows.read(1, 4, words);
  EXPECT_EQ(words, through_the_library(reader, 1, 4));
}

TEST(LogitsRows, OfPartsAndAfterTheReaderIsGone) {
  Scratch scratch;
  const auto run = example_run();
  const WriterOptions options{scratch / "o.h5", false, 0};
  prepare_output(options, run);
  PartWriter writer(options, run);
  writer.add(example_prompt(run, "a", 0, 5));
  writer.add(example_prompt(run, "b", 1, 5));
  writer.finish();
  std::vector<std::byte> want;
  std::vector<std::byte> words;
  const auto rows = [&] {
    const Reader reader = Reader::open(scratch / "o.h5");
    want = through_the_library(reader, 0, 5);
    return LogitsRows::open(reader, "a");
  }();
  rows.read(0, 5, words);
  EXPECT_EQ(words, want);
}

TEST(LogitsRows, ManyThreadsAtOnce) {
  Scratch scratch;
  const auto run = example_run(DType::bfloat16, 9000);
  write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0, 64)});
  const Reader reader = Reader::open(scratch / "o.h5");
  const LogitsRows rows = LogitsRows::open(reader, "a");
  const auto want = through_the_library(reader, 0, 64);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::vector<std::byte> words;
      for (int i = t; i < 64; i += 4) {
        rows.read(i, i + 1, words);
        wrong[static_cast<std::size_t>(t)] +=
            std::equal(words.begin(), words.end(),
                       want.begin() + i * static_cast<std::ptrdiff_t>(rows.row_bytes()))
                ? 0
                : 1;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(wrong, ::testing::Each(0));
}

TEST(LogitsRows, EveryFlippedBitOfTheWordsIsFound) {
  Scratch scratch;
  const auto run = example_run(DType::float32, 50);
  const auto prompt = example_prompt(run, "a", 0, 4);
  write_record(scratch / "o.h5", run, {prompt});
  const std::string good = contents(scratch / "o.h5");
  const std::string words(reinterpret_cast<const char*>(prompt.logits.data()), prompt.logits.size());
  const std::size_t at = good.find(words);
  ASSERT_NE(at, std::string::npos);
  const Reader reader = Reader::open(scratch / "o.h5");
  std::vector<std::byte> out;
  for (std::size_t bit = 0; bit < 8 * (words.size() + 4); ++bit) {  // the checksum behind them too
    std::string bytes = good;
    bytes[at + bit / 8] ^= static_cast<char>(1U << (bit % 8));
    replace_contents(scratch / "o.h5", bytes);
    const auto rows = LogitsRows::open(Reader::open(scratch / "o.h5"), "a");
    ASSERT_TRUE(rows.direct());
    const Error error = error_of([&] { rows.read(0, 4, out); });
    ASSERT_EQ(error.code(), ExitCode::bad_data);
    ASSERT_THAT(error.what(), HasSubstr("o.h5: /prompts/a/logits rows 0 to 3: data error")) << bit;
  }
}

TEST(LogitsRows, WhatIsNotThere) {
  Scratch scratch;
  const auto run = example_run();
  auto without = example_prompt(run, "b", 1);
  without.logits.clear();
  write_record(scratch / "o.h5", run, {example_prompt(run, "a", 0), without});
  const Reader reader = Reader::open(scratch / "o.h5");
  EXPECT_THAT(error_of([&] { LogitsRows::open(reader, "b"); }).what(), HasSubstr("were not recorded"));
  EXPECT_EQ(error_of([&] { LogitsRows::open(reader, "c"); }).code(), ExitCode::bad_data);
  const auto rows = LogitsRows::open(reader, "a");
  std::vector<std::byte> words;
  for (const auto& [begin, end] : std::vector<std::pair<int, int>>{{-1, 1}, {2, 1}, {0, 4}, {4, 4}})
    EXPECT_EQ(error_of([&] { rows.read(begin, end, words); }).code(), ExitCode::bad_data);
  replace_contents(scratch / "o.h5", contents(scratch / "o.h5").substr(0, 300));
  EXPECT_EQ(error_of([&] { rows.read(0, 3, words); }).code(), ExitCode::bad_data);
}

// Fletcher's sums word by word, as the filter's documentation has them.
std::uint32_t textbook(const std::vector<std::byte>& data) {
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  for (std::size_t i = 0; i < data.size(); i += 2) {
    std::uint64_t word = std::to_integer<std::uint64_t>(data[i]) << 8U;
    if (i + 1 < data.size()) word |= std::to_integer<std::uint64_t>(data[i + 1]);
    first = (first + word) % 65535;
    second = (second + first) % 65535;
  }
  return static_cast<std::uint32_t>(second << 16U | first);
}

TEST(Fletcher32, OfEveryLength) {
  for (std::size_t length = 0; length < 40'000; length += length < 70 ? 1 : 977) {
    auto data = random_bytes(length, static_cast<std::uint32_t>(length));
    ASSERT_TRUE(same_fletcher32(fletcher32(data.data(), data.size()), textbook(data))) << length;
    std::fill(data.begin(), data.end(), std::byte{0xFF});
    ASSERT_TRUE(same_fletcher32(fletcher32(data.data(), data.size()), textbook(data))) << length;
  }
  EXPECT_FALSE(same_fletcher32(0x00010000, 0));
  EXPECT_TRUE(same_fletcher32(0xFFFF0000, 0));
}

}  // namespace
}  // namespace shardrift::record
