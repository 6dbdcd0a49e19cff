// Ranks on two hosts: under srun, under mpirun in an allocation, and from a hostfile without Slurm.
#include <fmt/core.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "record/reader.hpp"
#include "recorded.hpp"
#include "slurm_fixture.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::UnorderedElementsAre;

// private-slurm gives nodes names of their own only where it may.
bool own_host_names() {
  return run_program({"unshare", "--uts", "true"}).code == 0;
}

std::set<std::string> hosts(const fs::path& file) {
  std::set<std::string> names;
  const auto reader = record::Reader::open(file);
  for (const auto& device : reader.run().environment.devices) names.insert(device.host);
  return names;
}

void check_two_hosts(const fs::path& file, const std::set<std::string>& expected) {
  EXPECT_EQ(hosts(file).size(), expected.size());
  EXPECT_EQ(hosts(file), expected);
  const auto run = record::Reader::open(file).run();
  for (const auto& host : expected)
    EXPECT_NE(run.environment.topology.find(host + ": 1 ranks"), std::string::npos);
}

// How the ranks are started, and whether jobs are handed the submitter's environment.
struct Launch {
  const char* launcher;
  const char* handed;
};
class Launchers : public Slurm, public ::testing::WithParamInterface<Launch> {};

TEST_P(Launchers, OneRankOnEachOfTwoNodes) {
  if (!own_host_names()) GTEST_SKIP() << "hosts cannot have names of their own here";
  write_study();
  std::string environment = "NCCL_TEST_MARK = \"site\", SITE_WORD = \"two; words\"";
  if (std::string(GetParam().handed) == "NONE")
    for (const char* needed : {"SLURM_CONF", "OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
                               "OMPI_MCA_rmaps_base_oversubscribe", "OMPI_MCA_hwloc_base_binding_policy",
                               "OMPI_MCA_btl_vader_single_copy_mechanism"})
      if (const char* value = std::getenv(needed)) environment += fmt::format(", {} = \"{}\"", needed, value);
  write_site({{"launcher", fmt::format("\"{}\"", GetParam().launcher)},
              {"ranks_per_node", "1"},
              {"partition", "\"main\""},
              {"sbatch", fmt::format("[\"--exclude=c1\", \"--export={}\"]", GetParam().handed)},
              {"setup", "[\"export SET_UP_WORD=$NCCL_TEST_MARK-$SITE_WORD\"]"},
              {"environment", "{ " + environment + " }"}});
  ASSERT_EQ(submit().code, 0);
  const auto table = wait_for_end();
  ASSERT_EQ(table.find("failed"), std::string::npos) << table;
  check_two_hosts(record("tp2"), {"a1", "h1"});
  EXPECT_EQ(first_difference(record("reference"), record("pp2")), "");
  const auto one_host = record_of("tiny-llama", {2, {"--tensor-parallel", "2"}}, folder_, "one-host", 12);
  EXPECT_EQ(first_difference(one_host, record("tp2")), "");
  // The site's variables reached both nodes.
  const auto variables = record::Reader::open(record("tp2")).run().environment.variables;
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"NCCL_TEST_MARK", "site"}, {"SITE_WORD", "two; words"}, {"SET_UP_WORD", "site-two; words"}}) {
    ASSERT_TRUE(variables.contains(name)) << name;
    EXPECT_EQ(variables.at(name), value);
    EXPECT_FALSE(variables.contains(name + "@h1") || variables.contains(name + "@a1")) << name;
  }
}
INSTANTIATE_TEST_SUITE_P(With, Launchers,
                         ::testing::Values(Launch{"srun", "ALL"}, Launch{"srun", "NONE"},
                                           Launch{"mpirun", "ALL"}, Launch{"mpirun", "NONE"}),
                         [](const auto& launch) {
                           return fmt::format("{}_export_{}", launch.param.launcher, launch.param.handed);
                         });

// mpirun --hostfile over ssh, which bin/ssh stands in for: n2 has another network interface.
TEST(Hostfile, TwoHostsAndWhatDiffersBetweenThem) {
  if (!own_host_names()) GTEST_SKIP() << "hosts cannot have names of their own here";
  const auto folder = scratch("slurm/hostfile");
  std::ofstream(folder / "hosts") << "n1 slots=1\nn2 slots=1\n";
  setenv("NCCL_SOCKET_IFNAME", "eth0", 1);
  const auto run = [&](const std::string& name, const std::vector<std::string>& launcher) {
    const auto output = folder / (name + ".h5");
    auto words = worker_command(
        2, {"run", "--model", fixture("tiny-llama").string(), "--prompts", write_prompts(folder).string(),
            "--output", output.string(), "--max-new-tokens", "9", "--tensor-parallel", "2", "--quiet"});
    words.insert(words.begin() + 1, launcher.begin(), launcher.end());
    const auto finished = run_program(words);
    EXPECT_EQ(finished.code, 0) << finished.output;
    return output;
  };
  const auto two =
      run("two", {"--hostfile", (folder / "hosts").string(), "--mca", "plm_rsh_agent",
                  SHARDRIFT_SOURCE_DIR "/tests/slurm/bin/ssh", "--mca", "plm", "rsh", "--mca", "btl",
                  "self,tcp", "--mca", "btl_tcp_if_include", "lo", "--mca", "oob_tcp_if_include", "lo"});
  const auto one = run("one", {});
  unsetenv("NCCL_SOCKET_IFNAME");
  check_two_hosts(two, {"n1", "n2"});
  const auto variables = record::Reader::open(two).run().environment.variables;
  EXPECT_EQ(variables.at("NCCL_SOCKET_IFNAME"), "eth0");
  ASSERT_TRUE(variables.contains("NCCL_SOCKET_IFNAME@n2"));
  EXPECT_EQ(variables.at("NCCL_SOCKET_IFNAME@n2"), "ib2");
  EXPECT_EQ(first_difference(one, two), "");
}

}  // namespace
}  // namespace shardrift::testing
