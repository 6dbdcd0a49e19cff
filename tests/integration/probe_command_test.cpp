// shardrift-run probe under mpirun: pinned algorithms, exit codes, profiles, the HDF5 file, refusals.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "parallel/profile/profile.hpp"
#include "record/environment_file.hpp"
#include "tests/support/program.hpp"

namespace shardrift {
namespace {

using testing::Finished;
using ::testing::HasSubstr;

class ProbeCommand : public ::testing::Test {
 protected:
  ProbeCommand()
      : folder_(std::filesystem::temp_directory_path() / ("shardrift-probe-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~ProbeCommand() override { std::filesystem::remove_all(folder_); }
  static Finished probe(int ranks, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "probe");
    return testing::run_program(testing::worker_command(ranks, arguments));
  }
  std::string file(const char* name) const { return (folder_ / name).string(); }
  std::filesystem::path folder_;
};

TEST_F(ProbeCommand, EveryPinnedAlgorithmIsWhatTheModelSays) {
  for (const int ranks : {2, 3, 4})
    for (const auto* algorithm : {"auto", "basic-linear", "recursive-doubling", "ring", "rabenseifner"}) {
      const auto done =
          probe(ranks, {"--count", "1,2,3,4,577,9000,70000", "--dtype", "float64,float32,float16,bfloat16",
                        "--mpi-allreduce", algorithm, "--check", "--quiet"});
      EXPECT_EQ(done.code, 0) << ranks << " " << algorithm << "\n" << done.output;
      EXPECT_THAT(done.output, HasSubstr("agree=28 differ=0 unknown=0"));
    }
}

TEST_F(ProbeCommand, PrintsTreesAndCalls) {
  const auto done = probe(4, {"--count", "8", "--mpi-allreduce=ring"});
  EXPECT_EQ(done.code, 0) << done.output;
  EXPECT_THAT(done.output,
              HasSubstr("all-reduce of 8 float32 elements over 4 ranks: 7 calls, rounds at every add"));
  EXPECT_THAT(done.output, HasSubstr("[0, 2) ((0+1)+2)+3"));
  EXPECT_THAT(done.output, HasSubstr("[6, 8) ((0+3)+1)+2"));
}

// A profile probed under one algorithm, checked under another: exit code 1, and the first element.
TEST_F(ProbeCommand, ADifferenceIsTold) {
  const auto saved = file("doubling.json");
  ASSERT_EQ(
      probe(3, {"--count", "1024,9999", "--mpi-allreduce", "recursive-doubling", "--save-profile", saved})
          .code,
      0);
  const auto done =
      probe(3, {"--count", "9999", "--mpi-allreduce", "ring", "--check", "--collective-profile", saved});
  EXPECT_EQ(done.code, 1) << done.output;
  EXPECT_THAT(done.output, HasSubstr("differs from element 3333 on"));
  const auto unknown =
      probe(3, {"--count", "16", "--dtype", "float16", "--check", "--collective-profile", saved});
  EXPECT_EQ(unknown.code, 2) << unknown.output;
  EXPECT_THAT(unknown.output, HasSubstr("nothing of this operation and dtype was probed"));
}

TEST_F(ProbeCommand, ProfilesGrowOnTheSameMachineOnly) {
  const auto saved = file("p.json");
  ASSERT_EQ(probe(3, {"--count", "1024", "--save-profile", saved}).code, 0);
  ASSERT_EQ(probe(3, {"--tokens", "1,17", "--hidden", "576", "--save-profile", saved}).code, 0);
  const auto profile = read_profile(saved);
  EXPECT_EQ(profile.probed.size(), 3U);
  EXPECT_EQ(profile.library, "mpi");
  for (const auto& one : profile.probed) EXPECT_EQ(one.model_agrees, true);
  EXPECT_EQ(profile.map_for(CollectiveOperation::all_reduce, DType::float32, 5000),
            *openmpi_all_reduce_map(5000, DType::float32, 3, OpenMpiAllReduce::automatic));
  const auto ranks = probe(2, {"--count", "1024", "--save-profile", saved});
  EXPECT_EQ(ranks.code, 64);
  EXPECT_THAT(ranks.output, HasSubstr("profile of ranks '3'"));
  const auto pinned = probe(3, {"--count", "1024", "--mpi-allreduce", "ring", "--save-profile", saved});
  EXPECT_EQ(pinned.code, 64);
  EXPECT_THAT(pinned.output, HasSubstr("OMPI_MCA_coll_tuned"));
}

TEST_F(ProbeCommand, WritesTheEnvironment) {
  const auto output = file("e.h5");
  ASSERT_EQ(probe(3, {"--count", "1024", "--output", output}).code, 0);
  const auto read = record::read_environment_file(output);
  ASSERT_EQ(read.environment.collectives.size(), 1U);
  const auto& one = read.environment.collectives[0];
  EXPECT_EQ(one.operation, "all-reduce");
  EXPECT_EQ(one.algorithm, "ring");
  EXPECT_EQ(one.trees.size(), 3U);
  EXPECT_EQ(one.segments.back().end, 1024);
  EXPECT_THAT(one.version, HasSubstr("Open MPI"));
  const auto again = probe(3, {"--count", "1024", "--output", output});
  EXPECT_EQ(again.code, 64);
  EXPECT_THAT(again.output, HasSubstr("--overwrite"));
}

TEST_F(ProbeCommand, LocalOrders) {
  for (const auto* order : {"linear", "chain", "ring", "tree", "tree:7", "perm:2,0,3,1"}) {
    const auto done = probe(1, {"--local", order, "--count", "10,5000", "--dtype",
                                "float32,bfloat16,float16,float64", "--check", "--quiet"});
    EXPECT_EQ(done.code, 0) << done.output;
    EXPECT_THAT(done.output, HasSubstr("agree=8"));
  }
}

// Models of other programs' all-reduces: the fold that a run would make by them has their trees and rounding.
TEST_F(ProbeCommand, PublishedOrders) {
  for (const auto* order :
       {"vllm-one-stage", "vllm-two-stage", "nccl-symmetric", "engine:vllm", "halving-doubling"}) {
    const auto done = probe(1, {"--local", order, "--shards", "4", "--count", "72,40000", "--dtype",
                                "float32,bfloat16", "--check", "--quiet"});
    EXPECT_EQ(done.code, 0) << done.output;
    EXPECT_THAT(done.output, HasSubstr("agree=4"));
  }
  const auto three = probe(1, {"--local", "engine:vllm", "--shards", "3", "--count", "72"});
  EXPECT_EQ(three.code, 64);
  EXPECT_THAT(three.output, HasSubstr("2, 4, 6 or 8 ranks, not 3"));
}

TEST_F(ProbeCommand, ReduceScatterIsProbedAndSaved) {
  const auto saved = file("rs.json");
  const auto done = probe(3, {"--operation", "reduce-scatter", "--count", "1000", "--save-profile", saved});
  EXPECT_EQ(done.code, 0) << done.output;
  const auto profile = read_profile(saved);
  const auto padded = padded_count(1000, DType::float32, 3);
  EXPECT_EQ(padded, 1008);
  EXPECT_EQ(profile.map_for(CollectiveOperation::reduce_scatter, DType::float32, padded).count, padded);
}

// Our own all-reduces say where they round; a library that adds otherwise is told from their profile.
TEST_F(ProbeCommand, OurOwnCollectives) {
  const auto saved = file("ours.json");
  const auto done = probe(3, {"--collective", "two-shot", "--count", "33", "--dtype", "float32,bfloat16",
                              "--check", "--save-profile", saved});
  EXPECT_EQ(done.code, 0) << done.output;
  EXPECT_THAT(done.output,
              HasSubstr("33 bfloat16 elements over 3 ranks: 4 calls, adds in float32, rounds once"));
  EXPECT_THAT(done.output, HasSubstr("33 float32 elements over 3 ranks: 4 calls, rounds at every add"));
  EXPECT_THAT(done.output, HasSubstr("[0, 16) (0+1)+2\n  [16, 32) (1+2)+0\n  [32, 33) (0+2)+1"));
  EXPECT_THAT(done.output, HasSubstr("order model (two-shot, float32 sums): agrees"));
  const auto profile = read_profile(saved);
  EXPECT_EQ(profile.library, "shardrift");
  EXPECT_TRUE(profile.variables.empty());  // what steers a library steers nothing here
  const auto other = probe(3, {"--count", "33", "--check", "--collective-profile", saved});
  EXPECT_EQ(other.code, 1) << other.output;
  EXPECT_THAT(other.output, HasSubstr("differs from element 12 on"));
  EXPECT_EQ(probe(3, {"--count", "33", "--save-profile", saved}).code, 64);  // another library's
}

TEST_F(ProbeCommand, Refusals) {
  const auto refused = [](int ranks, const std::vector<std::string>& arguments, const std::string& words) {
    const auto done = probe(ranks, arguments);
    EXPECT_EQ(done.code, 64) << done.output;
    EXPECT_THAT(done.output, HasSubstr(words));
  };
  refused(1, {"--count", "8"}, "probe needs 2 to 8 ranks");
  refused(2, {}, "--count N[,N…]");
  refused(2, {"--count", "0"}, "is not a number from 1");
  refused(2, {"--count", "8x"}, "is not a number from 1");
  refused(2, {"--tokens", "8"}, "go together");
  refused(2, {"--count", "8", "--dtype", "int8"}, "int8");
  refused(2, {"--count", "8", "--mpi-allreduce", "magic"}, "magic");
  refused(2, {"--count", "8", "--nccl-channels", "0"}, "1 to 64");
  refused(2, {"--count", "8", "--nccl-protocol", "LL"}, "unknown --nccl-protocol");
  refused(2, {"--count", "8", "--local", "linear"}, "without mpirun");
  refused(1, {"--count", "8", "--local", "native"}, "not a local order");
  refused(1, {"--count", "8", "--local", "linear", "--shards", "9"}, "2 to 8");
  refused(1, {"--count", "8", "--local", "exact", "--dtype", "float16"}, "exactly");
  refused(2, {"--count", "8", "--frobnicate"}, "frobnicate");
  refused(2, {"--count", "8", "--collective", "three-shot"}, "library, one-shot or two-shot");
  refused(2, {"--count", "8", "--collective", "one-shot", "--mpi-allreduce", "ring"}, "is not called");
  setenv("OMPI_MCA_coll_tuned_allreduce_algorithm", "3", 1);
  refused(2, {"--count", "8", "--mpi-allreduce", "ring"}, "OMPI_MCA_coll_tuned_allreduce_algorithm=3");
  unsetenv("OMPI_MCA_coll_tuned_allreduce_algorithm");
}

// Without the component that the flag pins, the library sums in an order of its own: an error, not a warning.
TEST_F(ProbeCommand, APinThatIsNotHonouredIsAnError) {
  setenv("OMPI_MCA_coll", "^tuned", 1);
  const auto done = probe(4, {"--count", "4096", "--mpi-allreduce", "ring"});
  unsetenv("OMPI_MCA_coll");
  EXPECT_EQ(done.code, 70) << done.output;
  EXPECT_THAT(done.output, HasSubstr("was not honoured"));
}

TEST_F(ProbeCommand, Help) {
  const auto done = testing::run_program({testing::worker_command(1, {}).back(), "probe", "--help"});
  EXPECT_EQ(done.code, 0);
  EXPECT_THAT(done.output, HasSubstr("7 calls for 4 ranks"));
  EXPECT_THAT(done.output, HasSubstr("--mpi-allreduce"));
}

// Nothing of ours on standard output is lost unseen.
TEST_F(ProbeCommand, StandardOutputThatCannotBeWrittenIsAFailure) {
  const std::string worker = SHARDRIFT_BINARY_DIR "/bin/shardrift-run ";
  for (const char* words :
       {"--help", "--version", "", "run --help", "probe --help", "probe --local tree --count 8"})
    for (const char* lost : {">/dev/full", ">&-"}) {
      const auto done = testing::run_program({"/bin/sh", "-c", worker + words + " " + lost});
      EXPECT_EQ(done.code, 70) << words << lost << done.output;
      EXPECT_THAT(done.output, HasSubstr("standard output cannot be written: "));
    }
}

// MPI, like NCCL under NCCL_DEBUG, writes on file 1 what it has to say: it comes out on standard error.
TEST_F(ProbeCommand, StandardOutputIsOursAlone) {
  const auto done = testing::run_program({"/bin/sh", "-c",
                                          "OMPI_MCA_mpi_show_mca_params=all " SHARDRIFT_BINARY_DIR
                                          "/bin/shardrift-run probe --local tree --count 8 2>" +
                                              file("err") + " && grep -c . <" + file("err")});
  EXPECT_EQ(done.code, 0) << done.output;
  EXPECT_THAT(done.output, ::testing::StartsWith("fold of 8 float32 elements"));
  EXPECT_EQ(done.output.find("btl"), std::string::npos);
}

}  // namespace
}  // namespace shardrift
