// The cluster itself: up, down, and down when its owner is killed.
#include <csignal>

#include "slurm_fixture.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

const char* const kScript = SHARDRIFT_SOURCE_DIR "/tests/slurm/private-slurm";

class PrivateSlurm : public Slurm {};

TEST_F(PrivateSlurm, OneNodeRunsAJobAndLeavesNothing) {
  const fs::path folder = "/tmp/slurm-one-" + std::to_string(getpid());
  ASSERT_EQ(run_program({kScript, "start", folder.string()}).code, 0);
  const auto job =
      run_program({"bash", "-c",
                   "source \"$0/env.sh\"; srun --mpi=pmix --ntasks=2 --gpus-per-node=h100:2 hostname; "
                   "sbatch --parsable --output=/dev/null --wrap 'sleep infinity'",
                   folder.string()});
  EXPECT_EQ(job.code, 0) << job.output;
  EXPECT_FALSE(daemons_of(folder).empty());
  EXPECT_EQ(run_program({kScript, "stop", folder.string()}).code, 0);
  EXPECT_TRUE(daemons_of(folder).empty());
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_EQ(run_program({kScript, "stop", folder.string()}).code, 0) << "may be repeated";
}

TEST_F(PrivateSlurm, EndsWithItsOwner) {
  const fs::path folder = "/tmp/slurm-own-" + std::to_string(getpid());
  Running owner({"sleep", "infinity"});
  ASSERT_EQ(
      run_program({kScript, "start", folder.string(), "n1", "n2", "--owner", std::to_string(owner.pid())})
          .code,
      0);
  EXPECT_FALSE(daemons_of(folder).empty());
  kill(owner.pid(), SIGKILL);
  owner.wait();
  EXPECT_TRUE(
      wait_for("the cluster to end", [&] { return daemons_of(folder).empty() && !fs::exists(folder); }));
}

}  // namespace
}  // namespace shardrift::testing
