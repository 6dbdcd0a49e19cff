// The recorder's two threads beside the one that computes, and readers beside them.
#include "worker/recorder.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "tests/unit/record/example_record.hpp"

namespace shardrift {
namespace {

namespace fs = std::filesystem;
using record::Reader;
using record::testing::error_of;
using record::testing::example_prompt;
using record::testing::example_run;
using record::testing::Scratch;

record::PromptRecord numbered(const record::RunInfo& run, int index) {
  auto prompt = example_prompt(run, "p" + std::to_string(index), index);
  std::vector<float> values(prompt.logits.size() / sizeof(float));
  std::iota(values.begin(), values.end(), static_cast<float>(index));
  std::memcpy(prompt.logits.data(), values.data(), prompt.logits.size());
  prompt.top = {};
  prompt.hash.clear();  // the recorder's work, as the top list
  return prompt;
}

void record_all(const record::WriterOptions& options, const record::RunInfo& run, int prompts) {
  Recorder recorder(options, run, 2, true);
  for (int i = 0; i < prompts; ++i) recorder.add(numbered(run, i));
  recorder.finish();
}

void expect_all(const fs::path& output, const record::RunInfo& run, int prompts) {
  const auto reader = Reader::open(output);
  EXPECT_TRUE(reader.complete());
  ASSERT_EQ(reader.prompt_ids().size(), static_cast<std::size_t>(prompts));
  for (int i = 0; i < prompts; ++i) {
    const auto expected = numbered(run, i);
    const auto prompt = reader.prompt(expected.prompt.id);
    EXPECT_EQ(prompt.hash, sha256_hex(expected.logits));
    EXPECT_EQ(prompt.top.k, 2);
    std::vector<std::byte> words;
    reader.read_logits(expected.prompt.id, 0, static_cast<std::int64_t>(expected.rows.size()), words);
    EXPECT_EQ(words, expected.logits);
  }
}

TEST(Recorder, RecordsBesideTheComputationAndReaders) {
  const Scratch scratch;
  const auto run = example_run();
  const record::WriterOptions first{scratch / "first.h5", false, 0};
  prepare_output(first, run);
  record_all(first, run, 3);
  assemble(first, run, {});

  const record::WriterOptions second{scratch / "second.h5", false, 0};
  prepare_output(second, run);
  std::atomic<bool> recorded{false};
  std::thread reading([&] {
    do {
      expect_all(first.output, run, 3);
    } while (!recorded);
  });
  record_all(second, run, 40);
  recorded = true;
  reading.join();
  assemble(second, run, {});
  expect_all(second.output, run, 40);
}

TEST(Recorder, GoesOnAfterItWasFinished) {
  const Scratch scratch;
  const auto run = example_run();
  const record::WriterOptions options{scratch / "o.h5", false, 0};
  prepare_output(options, run);
  Recorder recorder(options, run, 2, true);
  for (int i = 0; i < 4; ++i) {
    recorder.add(numbered(run, i));
    if (i % 2 == 1) recorder.finish();
  }
  assemble(options, run, {});
  expect_all(options.output, run, 4);
}

TEST(Recorder, SeveralAtOnce) {
  const Scratch scratch;
  const auto run = example_run();
  std::vector<std::thread> threads;
  for (const char* name : {"a.h5", "b.h5", "c.h5"})
    threads.emplace_back([&, name] {
      const record::WriterOptions options{scratch / name, false, 0};
      prepare_output(options, run);
      record_all(options, run, 10);
      assemble(options, run, {});
    });
  for (auto& thread : threads) thread.join();
  for (const char* name : {"a.h5", "b.h5", "c.h5"}) expect_all(scratch / name, run, 10);
}

TEST(Recorder, AFailedWriteIsThrownToWhoRecords) {
  const Scratch scratch;
  const auto run = example_run();
  const record::WriterOptions options{scratch / "o.h5", false, 0};
  prepare_output(options, run);
  Recorder recorder(options, run, 2, true);
  recorder.add(numbered(run, 0));
  fs::rename(scratch / "o.h5.parts", scratch / "elsewhere");  // at once, whatever is being written
  const auto error = error_of([&] {
    for (int i = 1; i < 10; ++i) recorder.add(numbered(run, i));
    recorder.finish();
  });
  EXPECT_EQ(error.code(), ExitCode::failure);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("o.h5"));
}

TEST(Recorder, GoesInOrderWithoutBeingFinished) {
  const Scratch scratch;
  const auto run = example_run();
  const record::WriterOptions options{scratch / "o.h5", false, 0};
  prepare_output(options, run);
  {
    Recorder recorder(options, run, 2, true);
    for (int i = 0; i < 3; ++i) recorder.add(numbered(run, i));
  }
  EXPECT_EQ(prepare_output(options, run).size(), 3U);  // what was added is on disk
}

}  // namespace
}  // namespace shardrift
