// The whole path of compare over damaged files: two records and the metrics kept of them. Whatever the bytes
// are, the answer is a result or one bad_data error, in bounded memory and time.
//
// Bytes: what chance does. The checksums of HDF5's 1.10 format find nearly all of it, and formats without are
// refused. Structure: what somebody does on purpose, with the library, so that every checksum is right.
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <sstream>

#include "analysis/compare/comparison_presenters.hpp"
#include "analysis/measure/measure.hpp"
#include "analysis/measure/metrics_file.hpp"
#include "record/crash_guard.hpp"
#include "tests/fuzz/mutations.hpp"
#include "tests/unit/analysis/example_runs.hpp"

#if defined(__SANITIZE_ADDRESS__)
// HDF5 loses the object headers that it fails to decode, and keeps free lists (nothing calls H5close).
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}
#endif

namespace shardrift::analysis {
namespace {

namespace fs = std::filesystem;
using record::testing::contents;
using record::testing::replace_contents;
using record::testing::Scratch;
using record::testing::write_record;
using testing::greedy_prompt;
using testing::Rows;
using testing::small_run;

constexpr int kFewestFiles = 100;          // tried, however slow the machine is
constexpr unsigned kSecondsPerFile = 120;  // a hang, not a slow machine
constexpr long kMostMib = 700;             // of the whole test; sanitizers need more
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

// What is being tried, for the message of a crash: written from a signal handler.
std::array<char, 128> g_trying{};

void say_where(int signal) {
  const char* what = signal == SIGALRM ? "\nno answer in time: " : "\ncrashed: ";
  (void)!::write(STDERR_FILENO, what, std::strlen(what));
  (void)!::write(STDERR_FILENO, g_trying.data(), std::strlen(g_trying.data()));
  (void)!::write(STDERR_FILENO, "\n", 1);
  std::signal(signal, SIG_DFL);
  ::raise(signal == SIGALRM ? SIGABRT : signal);
}

double budget_seconds() {
  const char* text = std::getenv("SHARDRIFT_FUZZ_SECONDS");
  return text == nullptr ? 3.0 : std::atof(text);
}

// SHARDRIFT_FUZZ_SEED: to see a failure again.
unsigned first_seed() {
  const char* text = std::getenv("SHARDRIFT_FUZZ_SEED");
  return text == nullptr ? 0U : static_cast<unsigned>(std::atoi(text));
}

long resident_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

record::RunInfo run_with_a_collective(int shards) {
  auto run = small_run(DType::float32, shards);
  run.environment.collectives = {
      {"all-reduce", 4, "float32", 2, "mpi", "4.1.4", "", "", "", "", "probed", false, {{0, 4, 0}}, {"0+1"}}};
  return run;
}

std::vector<record::PromptRecord> routed_prompts(const Rows& rows, std::uint32_t seed) {
  std::vector<record::PromptRecord> prompts;
  for (const std::int64_t index : {0, 1}) {
    prompts.push_back(greedy_prompt(small_run(), fmt::format("p{}", index), index, rows));
    record::testing::add_routes(prompts.back(), seed);
  }
  return prompts;
}

void write_runs(const fs::path& reference, const fs::path& candidate) {
  Rows rows(12, {0, 3, 1, 0, 0});
  write_record(reference, run_with_a_collective(1), routed_prompts(rows, 1));
  for (auto& row : rows) row[2] += 0.25;
  rows[9][4] = 5;
  write_record(candidate, run_with_a_collective(2), routed_prompts(rows, 2), 1);
}

// Everything compare does with two files but printing.
void compare_everything(const fs::path& reference_path, const fs::path& candidate_path) {
  const auto reference = record::Reader::open(reference_path);
  const auto candidate = record::Reader::open(candidate_path);
  Comparison comparison;
  comparison.measurement = measure(reference, candidate, {.keep = false, .threads = 2});
  comparison.table = token_table(reference, candidate, comparison.measurement, {});
  std::ostringstream csv;
  write_csv_rows(csv, comparison.measurement);
  const std::string all = head_text(reference) + comparison_text(comparison) +
                          comparisons_json(reference, {comparison}) + csv.str();
  ASSERT_FALSE(all.empty());
}

class Fuzz : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM})
      if (signal == SIGALRM || !kSanitized) std::signal(signal, say_where);
    write_runs(reference_, candidate_);
    measure(record::Reader::open(reference_), record::Reader::open(candidate_));
    metrics_ = metrics_path(reference_, candidate_);
    ASSERT_TRUE(fs::exists(metrics_));
  }
  void TearDown() override { ::alarm(0); }

  // Damages `target` again and again and calls `use`.
  template <typename Mutate, typename Use>
  void fuzz(const char* name, const fs::path& target, Mutate&& mutate, Use&& use) {
    const std::string good = contents(target);
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(budget_seconds());
    int tried = 0;
    int refused = 0;
    for (unsigned seed = first_seed(); tried < kFewestFiles || std::chrono::steady_clock::now() < end;
         ++seed, ++tried) {
      std::snprintf(g_trying.data(), g_trying.size(), "%s, seed %u", name, seed);
      std::mt19937 random(seed);
      mutate(target, good, random);
      ::alarm(kSecondsPerFile);
      try {
        use();
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ExitCode::bad_data) << g_trying.data() << ": " << error.what();
        ++refused;
      } catch (const std::exception& error) {
        FAIL() << g_trying.data() << ": " << error.what();
      }
      ::alarm(0);
      const long mib = resident_mib();
      ASSERT_TRUE(kSanitized || mib < kMostMib) << g_trying.data() << ": " << mib << " MiB";
    }
    replace_contents(target, good);
    std::printf("%s: %d files, %d refused\n", name, tried, refused);
    EXPECT_GT(refused, tried / 20);
  }

  Scratch scratch_;
  fs::path reference_ = scratch_ / "reference.h5";
  fs::path candidate_ = scratch_ / "candidate.h5";
  fs::path metrics_;
};

void flip_bytes(const fs::path& target, const std::string& good, std::mt19937& random) {
  replace_contents(target, damaged_bytes(good, random));
}
// One to three changes, all from the good file.
void change_structure(const fs::path& target, const std::string& good, std::mt19937& random) {
  replace_contents(target, good);
  for (unsigned i = 0; i < 1 + random() % 3; ++i) change_object(target, random);
}

TEST_F(Fuzz, BytesOfTheReference) {
  fuzz("bytes of the reference", reference_, flip_bytes, [&] { compare_everything(reference_, candidate_); });
}
TEST_F(Fuzz, BytesOfACompressedCandidate) {
  fuzz("bytes of the candidate", candidate_, flip_bytes, [&] { compare_everything(reference_, candidate_); });
}
TEST_F(Fuzz, BytesOfTheMetrics) {
  fuzz("bytes of the metrics", metrics_, flip_bytes, [&] { read_metrics(metrics_); });
}
TEST_F(Fuzz, StructureOfARecord) {
  fuzz("structure of the candidate", candidate_, change_structure,
       [&] { compare_everything(reference_, candidate_); });
}
TEST_F(Fuzz, StructureOfTheMetrics) {
  fuzz("structure of the metrics", metrics_, change_structure, [&] { read_metrics(metrics_); });
}

// Damaged metrics never change what compare says: they are used, or measured again.
TEST_F(Fuzz, CompareBesideDamagedMetrics) {
  fuzz("compare beside metrics", metrics_, flip_bytes, [&] {
    const auto measurement =
        measure(record::Reader::open(reference_), record::Reader::open(candidate_), {.keep = false});
    ASSERT_EQ(measurement.prompts.size(), 2U);
    ASSERT_EQ(measurement.prompts[0].first_flip, 9U);
    throw bad_data("counted as refused");
  });
}

TEST_F(Fuzz, FormatsWithoutChecksumsAreRefused) {
  for (const auto& file : {candidate_, metrics_}) {
    const auto old = scratch_ / "old";
    write_in_old_format(file, old);
    const Error error = record::testing::error_of([&] {
      file == metrics_ ? static_cast<void>(read_metrics(old)) : static_cast<void>(record::Reader::open(old));
    });
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("without checksums"));
  }
}

// The guard of the program itself: a crash inside the library is one sentence and exit code 65, one elsewhere
// stays a crash.
TEST(CrashGuard, NamesTheFile) {
  if (kSanitized) GTEST_SKIP() << "sanitizers report crashes themselves";
  const auto crash_inside = [](int signal) {
    record::install_crash_guard();
    const fs::path path = "some/file.h5";
    const record::InsideLibrary inside(path);
    ::raise(signal);
  };
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGABRT})
    EXPECT_EXIT(crash_inside(signal), ::testing::ExitedWithCode(65),
                "^shardrift: some/file.h5: the HDF5 library crashes on it");
  const auto crash_outside = [] {
    record::install_crash_guard();
    { const record::InsideLibrary inside("x"); }
    ::raise(SIGSEGV);
  };
  EXPECT_EXIT(crash_outside(), ::testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace shardrift::analysis
