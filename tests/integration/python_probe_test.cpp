// scripts/python/probe_collective.py against the program: its profiles of known sums are the order models'
// maps, of OpenMPI's all-reduce what `probe` sees, and a run folds by them to the bits of real ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "parallel/profile/profile.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;
constexpr auto kAllReduce = CollectiveOperation::all_reduce;

std::string python() {
  const fs::path own = SHARDRIFT_SOURCE_DIR "/.venv/bin/python";
  return fs::exists(own) ? own.string() : "python3";
}
std::string script(const std::string& name) {
  return SHARDRIFT_SOURCE_DIR "/tests/integration/" + name;
}

// Leaves NAME.json of every sum of thread_ranks.py in the folder.
void probe_known_sums(const fs::path& folder, int ranks, const std::string& counts) {
  const auto done =
      run_program({python(), script("known_sums.py"), folder.string(), std::to_string(ranks), counts});
  ASSERT_EQ(done.code, 0) << done.output;
}

OrderMap model_of(const std::string& name, std::int64_t count, DType dtype, int ranks) {
  if (name == "linear") return uniform_map(linear_tree(ranks), count);
  if (name == "chain") return uniform_map(chain_tree(ranks), count);
  if (name == "tree") return uniform_map(balanced_tree(ranks), count);
  if (name == "ring") return *openmpi_all_reduce_map(count, dtype, ranks, OpenMpiAllReduce::ring);
  return peer_map(*from_name<Collective>(name), count, dtype, ranks);
}

TEST(PythonProbe, KnownSumsHaveTheMapsOfTheModels) {
  for (const int ranks : {2, 3, 4, 5}) {
    const fs::path folder = scratch("python-probe-" + std::to_string(ranks));
    probe_known_sums(folder, ranks, "5,577,4096");
    for (const std::string name : {"linear", "chain", "tree", "ring", "one-shot", "two-shot"}) {
      const auto profile = read_profile(folder / (name + ".json"));
      EXPECT_EQ(profile.library, "test " + name);
      EXPECT_EQ(profile.probed.size(), 12U);
      for (const DType dtype : {DType::float64, DType::float32, DType::float16, DType::bfloat16}) {
        const bool once = ranks > 2 && name.ends_with("-shot");
        EXPECT_EQ(profile.accumulator(dtype), once ? peer_accumulator(dtype) : Accumulator::message) << name;
        for (const std::int64_t count : {5, 577, 4096})
          EXPECT_EQ(profile.map_for(kAllReduce, dtype, count), model_of(name, count, dtype, ranks))
              << name << " " << count << " " << name_of(dtype) << " " << ranks;
      }
    }
  }
}

TEST(PythonProbe, SeesWhatTheProgramSeesOfOpenMpi) {
  const fs::path folder = scratch("python-probe-mpi");
  const std::string counts = "1,5,577,9000,70000";
  for (const int ranks : {2, 3, 4}) {
    const auto ours = folder / ("ours-" + std::to_string(ranks) + ".json");
    const auto theirs = folder / ("python-" + std::to_string(ranks) + ".json");
    auto command = worker_command(
        ranks, {"probe", "--count", counts, "--dtype", "float32,float64", "--save-profile", ours.string()});
    ASSERT_EQ(run_program(command).code, 0);
    command = {"mpirun",        "-np", std::to_string(ranks), python(), script("mpi_sum.py"),
               theirs.string(), counts};
    const auto done = run_program(command);
    ASSERT_EQ(done.code, 0) << done.output;
    const auto seen = read_profile(theirs);
    ASSERT_EQ(seen.probed.size(), 10U);
    for (const auto& one : read_profile(ours).probed) {
      const auto* other = seen.find(kAllReduce, one.probe.dtype, one.probe.count);
      ASSERT_NE(other, nullptr);
      EXPECT_EQ(other->probe.map(), one.probe.map()) << ranks << " " << one.probe.count;
      EXPECT_EQ(other->probe.accumulator, one.probe.accumulator);
    }
  }
}

// The prompts' lengths 1, 5, 17, 40, times tiny-llama's hidden of 72.
TEST(PythonProbe, ARunFoldsByItToTheBitsOfRealRanks) {
  const fs::path folder = scratch("python-probe-run");
  probe_known_sums(folder, 3, "72,360,1224,2880");
  const auto predicted = [&](const std::string& name, const std::vector<std::string>& more) {
    std::vector<std::string> flags{
        "--shards", "3",       "--reduction", "profile", "--collective-profile", folder / (name + ".json"),
        "--dtype",  "bfloat16"};
    flags.insert(flags.end(), more.begin(), more.end());
    return record_of("tiny-llama", {1, flags}, folder, "predicted-" + name);
  };
  const auto real = record_of(
      "tiny-llama", {3, {"--tensor-parallel", "3", "--dtype", "bfloat16", "--collective", "two-shot"}},
      folder, "real");
  const auto folded = predicted("two-shot", {"--accumulate", "float32"});
  EXPECT_EQ(first_difference(real, folded), "");
  EXPECT_NE(first_difference(real, predicted("ring", {})), "");
  const auto used = record::Reader::open(folded).run().environment.collectives;
  ASSERT_EQ(used.size(), 4U);
  EXPECT_EQ(used.front().library, "test two-shot");
  // Without saying where it rounds, and of a message that was not probed, it is refused with what to do.
  const auto refused = [&](int prompts, const std::vector<std::string>& more) {
    std::vector<std::string> flags{
        "--shards", "3",       "--reduction", "profile", "--collective-profile", folder / "two-shot.json",
        "--dtype",  "bfloat16"};
    flags.insert(flags.end(), more.begin(), more.end());
    const auto done = run_program(
        worker_command(1, run_arguments("tiny-llama", {1, flags}, folder / "refused.h5", prompts)));
    EXPECT_EQ(done.code, 64) << done.output;
    return done.output;
  };
  EXPECT_THAT(refused(4, {}),
              HasSubstr("test two-shot all-reduce adds bfloat16 messages in float32 and rounds once"));
  EXPECT_THAT(refused(4, {"--accumulate", "float32", "--batch", "2"}),
              HasSubstr("scripts/python/probe_collective.py in its workers, with counts=[144]"));
}

}  // namespace
}  // namespace shardrift::testing
