// Rows that come block by block: the same file content as from a whole record, chunks as HDF5's own filters
// store them, bounded memory, and nothing left of what was dropped.
#include <gmock/gmock.h>
#include <hdf5.h>

#include <atomic>
#include <latch>
#include <thread>

#include "record/chunk_codec.hpp"
#include "record/verify.hpp"
#include "tests/support/wait.hpp"
#include "tests/unit/record/example_record.hpp"

namespace shardrift::record {
namespace {

namespace fs = std::filesystem;
using shardrift::testing::wait_for;
using ::testing::ElementsAre;
using testing::error_of;
using testing::example_prompt;
using testing::example_run;
using ::testing::HasSubstr;
using testing::random_bytes;
using testing::Scratch;

// Several rows in a chunk, or one; and blocks of many chunks, or of one.
constexpr std::int64_t kSmall = 1000, kLarge = 70'000;

class StreamedRows : public ::testing::Test {
 protected:
  Scratch scratch_;

  static std::size_t row_bytes(const RunInfo& run) {
    return static_cast<std::size_t>(run.model.vocabulary) * size_of(run.logits_dtype);
  }

  // `batch` rows at a time.
  static void append(PartWriter& writer, PartWriter::Rows& rows, const RunInfo& run,
                     const std::vector<std::byte>& logits, std::size_t batch) {
    for (std::size_t at = 0; at < logits.size(); at += batch * row_bytes(run))
      writer.append(rows,
                    std::span(logits).subspan(at, std::min(batch * row_bytes(run), logits.size() - at)));
  }

  void expect_recorded(const fs::path& output, const PromptRecord& expected) const {
    const auto reader = Reader::open(output);
    const auto& id = expected.prompt.id;
    EXPECT_EQ(reader.prompt(id).hash, sha256_hex(expected.logits));
    std::vector<std::byte> words;
    reader.read_logits(id, 0, static_cast<std::int64_t>(expected.rows.size()), words);
    EXPECT_EQ(words, expected.logits);
    EXPECT_TRUE(verify_prompt(reader, id));
    const auto rows = LogitsRows::open(reader, id);
    EXPECT_EQ(rows.rows(), static_cast<std::int64_t>(expected.rows.size()));
    rows.read(0, rows.rows(), words);
    EXPECT_EQ(words, expected.logits);
  }
};

TEST_F(StreamedRows, AreRecordedWhateverTheBlocksAndHoweverFewCome) {
  int file = 0;
  for (const auto vocabulary : {kSmall, kLarge})
    for (const int compression : {0, 1})
      for (const int rows : {1, 3, 60, 300}) {
        if (vocabulary == kLarge && rows == 300) continue;
        for (const int announced : {rows, rows + 1, 512}) {
          const auto run = example_run(DType::bfloat16, vocabulary);
          const WriterOptions options{scratch_ / ("o" + std::to_string(file++) + ".h5"), false, compression};
          prepare_output(options, run);
          auto prompt = example_prompt(run, "a", 0, rows);
          const auto expected = prompt;
          prompt.logits.clear();
          prompt.hash.clear();
          PartWriter writer(options, run);
          auto stream = writer.begin("a", announced);
          append(writer, stream, run, expected.logits, 7);
          writer.end(std::move(stream), std::move(prompt));
          writer.finish();
          expect_recorded(options.output, expected);  // from the part
          assemble(options, run, {});
          expect_recorded(options.output, expected);
          fs::remove(options.output);
        }
      }
}

TEST_F(StreamedRows, OfSeveralPromptsInTurns) {
  const auto run = example_run(DType::float32, kSmall);
  const WriterOptions options{scratch_ / "o.h5"};
  prepare_output(options, run);
  PartWriter writer(options, run);
  std::vector<PromptRecord> prompts;
  std::vector<PartWriter::Rows> streams;
  for (int i = 0; i < 5; ++i) {
    prompts.push_back(example_prompt(run, "p" + std::to_string(i), i, 200));
    streams.push_back(writer.begin(prompts.back().prompt.id, 200));
  }
  for (std::size_t row = 0; row < 200; ++row)
    for (std::size_t i = 0; i < prompts.size(); ++i)
      writer.append(streams[i], std::span(prompts[i].logits).subspan(row * row_bytes(run), row_bytes(run)));
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    auto rest = prompts[i];
    rest.logits.clear();
    writer.end(std::move(streams[i]), std::move(rest));
  }
  writer.finish();
  assemble(options, run, {});
  for (const auto& prompt : prompts) expect_recorded(options.output, prompt);
}

TEST_F(StreamedRows, ThatAreDroppedLeaveNothing) {
  const auto run = example_run(DType::float32, kLarge);
  const WriterOptions options{scratch_ / "o.h5"};
  prepare_output(options, run);
  {
    PartWriter writer(options, run);
    {
      auto dropped = writer.begin("dropped", 64);
      writer.append(dropped, random_bytes(64 * row_bytes(run), 1));
    }
    auto open = writer.begin("open", 64);  // still, when all is finished
    writer.append(open, random_bytes(40 * row_bytes(run), 2));
    writer.add(example_prompt(run, "whole", 0));
    writer.finish();
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(scratch_ / "o.h5.parts"))
    names.push_back(entry.path().filename().string());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("+run.h5", "whole.h5"));
}

TEST_F(StreamedRows, ThatDoNotFitAreRefused) {
  const auto run = example_run(DType::float32, kSmall);
  const WriterOptions options{scratch_ / "o.h5"};
  prepare_output(options, run);
  PartWriter writer(options, run);
  auto rows = writer.begin("a", 2);
  EXPECT_THAT(error_of([&] { writer.append(rows, random_bytes(row_bytes(run) + 1, 1)); }).what(),
              HasSubstr("prompt a: 4001 bytes of logits"));
  EXPECT_THAT(error_of([&] { writer.append(rows, random_bytes(3 * row_bytes(run), 1)); }).what(),
              HasSubstr("of at most 2 rows"));
  writer.append(rows, random_bytes(row_bytes(run), 1));
  auto prompt = example_prompt(run, "a", 0, 2);
  EXPECT_THAT(error_of([&] { writer.end(std::move(rows), prompt); }).what(),
              HasSubstr("of 1 rows, expected 2"));
  EXPECT_EQ(error_of([&] { writer.begin("../a", 2); }).code(), ExitCode::usage);
}

// A writer that stands still stops whoever appends, at the bytes that may wait; what waits is written once it
// goes on.
TEST_F(StreamedRows, WaitForAWriterThatIsHeld) {
  const auto run = example_run(DType::float32, kLarge);
  const WriterOptions options{scratch_ / "o.h5"};
  prepare_output(options, run);
  constexpr std::size_t kMost = 3 * kRowBlockBytes;
  constexpr int kRows = 100;  // 28 MB
  std::latch held(1);
  PartWriter writer(options, run, {.threads = 2, .most_bytes = kMost, .before_write = [&] { held.wait(); }});
  const auto prompt = example_prompt(run, "a", 0, kRows);
  std::atomic<std::size_t> appended{0};
  std::thread appending([&] {
    auto rows = writer.begin("a", kRows);
    for (std::size_t at = 0; at < prompt.logits.size(); at += row_bytes(run)) {
      writer.append(rows, std::span(prompt.logits).subspan(at, row_bytes(run)));
      appended += row_bytes(run);
    }
    auto rest = prompt;
    rest.logits.clear();
    writer.end(std::move(rows), std::move(rest));
  });
  EXPECT_TRUE(wait_for("the one who appends to wait", [&] { return writer.load().waits; }));
  EXPECT_LE(writer.load().bytes, kMost);
  EXPECT_LT(appended, kMost + kRowBlockBytes);
  EXPECT_GT(appended, kMost - 2 * kRowBlockBytes);
  held.count_down();
  appending.join();
  writer.finish();
  EXPECT_GT(writer.load().waited_seconds, 0);
  EXPECT_EQ(writer.load().bytes, 0U);
  assemble(options, run, {});
  expect_recorded(options.output, prompt);
}

TEST_F(StreamedRows, AnErrorEndsTheWaitAndIsThrown) {
  const auto run = example_run(DType::float32, kLarge);
  const WriterOptions options{scratch_ / "o.h5"};
  prepare_output(options, run);
  fs::rename(scratch_ / "o.h5.parts", scratch_ / "elsewhere");
  std::latch held(1);
  PartWriter writer(options, run,
                    {.threads = 1, .most_bytes = kRowBlockBytes, .before_write = [&] { held.wait(); }});
  std::optional<Error> error;
  std::thread appending([&] {
    error = error_of([&] {
      auto rows = writer.begin("a", 100);
      writer.append(rows, random_bytes(100 * row_bytes(run), 1));
    });
  });
  EXPECT_TRUE(wait_for("the one who appends to wait", [&] { return writer.load().waits; }));
  held.count_down();
  appending.join();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ExitCode::failure);
  EXPECT_THAT(error->what(), HasSubstr("a.h5"));
  EXPECT_EQ(error_of([&] { writer.finish(); }).code(), ExitCode::failure);
}

// ---- chunks ----

std::vector<std::byte> stored_chunk(hid_t set, std::uint32_t& skipped) {
  const hsize_t offset[1] = {0};
  hsize_t size = 0;
  EXPECT_GE(H5Dget_chunk_storage_size(set, offset, &size), 0);
  std::vector<std::byte> bytes(size);
  EXPECT_GE(H5Dread_chunk(set, H5P_DEFAULT, offset, &skipped, bytes.data()), 0);
  return bytes;
}

// What HDF5's own pipeline makes of these data.
std::vector<std::byte> by_library(const fs::path& path, hid_t type, const std::vector<std::byte>& data,
                                  int deflate, std::uint32_t& skipped) {
  const hsize_t count = data.size() / H5Tget_size(type);
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t space = H5Screate_simple(1, &count, nullptr);
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, 1, &count);
  if (deflate > 0) {
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, static_cast<unsigned>(deflate));
  }
  H5Pset_fletcher32(properties);
  const hid_t set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  EXPECT_GE(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data.data()), 0);
  H5Fflush(file, H5F_SCOPE_GLOBAL);
  auto bytes = stored_chunk(set, skipped);
  H5Dclose(set);
  H5Pclose(properties);
  H5Sclose(space);
  H5Fclose(file);
  return bytes;
}

TEST(EncodedChunks, AreTheLibrarysToTheByte) {
  const Scratch scratch;
  const auto of_words = [](std::vector<std::uint16_t> words) {
    std::vector<std::byte> data(words.size() * 2);
    std::memcpy(data.data(), words.data(), data.size());
    return data;
  };
  std::vector<std::vector<std::byte>> contents{
      std::vector<std::byte>(8000),  // zeros
      random_bytes(64, 1),           // nothing that deflate can gain
      random_bytes(160'000, 2),
      of_words({0xFFFF, 0, 0, 0}),  // sums that are 0 modulo 65535
      of_words({0xFEFF, 0x0100, 0, 0}),
      of_words({0x0100, 0xFEFF, 0xFFFF, 0xFFFF}),
  };
  auto smooth = std::vector<std::byte>(40'000);
  for (std::size_t i = 0; i < smooth.size(); ++i)
    smooth[i] = static_cast<std::byte>(i % 4 == 3 ? 0x3F : i % 251);
  contents.push_back(smooth);
  for (const auto& data : contents)
    for (const hid_t type : {H5T_NATIVE_INT16, H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE})
      for (const int deflate : {0, 1, 6}) {
        std::uint32_t skipped = 0;
        const auto expected = by_library(scratch / "x.h5", type, data, deflate, skipped);
        auto own = data;
        own.resize(data.size() + kChecksumBytes);
        const auto chunk = encode_chunk(own.data(), data.size(), H5Tget_size(type), deflate);
        EXPECT_EQ(skipped, 0U) << data.size() << " " << deflate;
        EXPECT_EQ(std::vector(chunk.bytes.begin(), chunk.bytes.end()), expected)
            << data.size() << " " << deflate;
      }
}

}  // namespace
}  // namespace shardrift::record
