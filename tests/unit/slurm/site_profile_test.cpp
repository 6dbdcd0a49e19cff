#include "slurm/site_profile.hpp"

#include <gmock/gmock.h>

#include "tests/unit/record/example_record.hpp"

namespace shardrift::slurm {
namespace {

using record::testing::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string refusal(const std::string& text) {
  const auto error = error_of([&] { site_profile_from_text(text, "site.toml"); });
  EXPECT_EQ(error.code(), ExitCode::bad_data) << text;
  return error.what();
}

TEST(SiteProfile, ShippedOnesAreReadAndNamed) {
  EXPECT_THAT(shipped_site_profiles(),
              ElementsAre("busy-shared", "cpu", "generic", "mpirun-exclusive", "typed-gres"));
  for (const auto& name : shipped_site_profiles()) EXPECT_EQ(load_site_profile(name).name, name);
  const auto site = load_site_profile("mpirun-exclusive");
  EXPECT_EQ(site.launcher, Launcher::mpirun);
  EXPECT_EQ(site.run.constraint, "a100_80");
  EXPECT_EQ(site.analysis.partition, "serial");
  EXPECT_EQ(site.analysis.constraint, "") << "the analysis wants no GPU";
}

TEST(SiteProfile, EmptyIsUsable) {
  const auto site = site_profile_from_text("", "mine.toml");
  EXPECT_EQ(site.name, "mine");
  EXPECT_EQ(site.run.time_limit, "01:00:00");
  EXPECT_EQ(site.gpus, GpuRequest::gpus_per_node);
}

TEST(SiteProfile, AnUnknownNameIsToldWhichThereAre) {
  const auto error = error_of([] { load_site_profile("frontier"); });
  EXPECT_EQ(error.code(), ExitCode::usage);
  EXPECT_THAT(error.what(), HasSubstr("generic"));
  EXPECT_EQ(error_of([] { load_site_profile("./none.toml"); }).code(), ExitCode::bad_data);
}

// The analysis waits for the runs, so it goes where they go.
TEST(SiteProfile, OneClusterForAll) {
  unsetenv("SBATCH_CLUSTERS");
  const auto far = site_profile_from_text("sbatch = ['--exclusive', '--clusters=far']", "site.toml");
  EXPECT_EQ(cluster_of(far), "far");
  EXPECT_THAT(far.analysis.sbatch, ::testing::ElementsAre("--clusters=far"));
  EXPECT_EQ(cluster_of(site_profile_from_text("", "site.toml")), "");
  setenv("SBATCH_CLUSTERS", "near", 1);
  EXPECT_EQ(cluster_of(site_profile_from_text("", "site.toml")), "near");
  EXPECT_EQ(cluster_of(far), "far");
  unsetenv("SBATCH_CLUSTERS");
  EXPECT_THAT(refusal("sbatch = ['--clusters=a,b']"), HasSubstr("name one cluster"));
  EXPECT_THAT(refusal("sbatch = ['--clusters=a']\n[analysis]\nsbatch = ['--clusters=b']"),
              HasSubstr("name the same cluster"));
}

TEST(SiteProfile, ErrorsNameFileLineAndKey) {
  EXPECT_THAT(refusal("cpus = 1\npartitions = \"gpu\"\n"), StartsWith("site.toml:2: "));
  EXPECT_THAT(refusal("cpus = 1\npartitions = \"gpu\"\n"), HasSubstr("partitions"));
  EXPECT_THAT(refusal("\ncpus = 0"), StartsWith("site.toml:2: "));
  EXPECT_THAT(refusal("launcher = \"mpiexec\""), HasSubstr("srun, mpirun"));
  EXPECT_THAT(refusal("gpus = \"gpu\""), HasSubstr("gres"));
  EXPECT_THAT(refusal("time_limit = \"1hour\""), HasSubstr("HH:MM:SS"));
  EXPECT_THAT(refusal("partition = \"a b\""), HasSubstr("one word"));
  EXPECT_THAT(refusal("partition = \"a\\n#SBATCH --wrap\""), HasSubstr("one word"));
  EXPECT_THAT(refusal("setup = [\"a\\nb\"]"), HasSubstr("line break"));
  EXPECT_THAT(refusal("modules = \"cuda\""), HasSubstr("list of strings"));
  EXPECT_THAT(refusal("sbatch = [\"exclusive\"]"), HasSubstr("--name=value"));
  EXPECT_THAT(refusal("sbatch = [\"--array=0-3\"]"), HasSubstr("sets itself"));
  EXPECT_THAT(refusal("sbatch = [\"--gres=gpu:2\"]"), HasSubstr("gpu_type"));
  EXPECT_THAT(refusal("gpus = \"none\"\ngpu_type = \"h100\""), HasSubstr("leave one out"));
  EXPECT_THAT(refusal("[environment]\n\"A B\" = \"1\""), HasSubstr("no variable's name"));
  EXPECT_THAT(refusal("[environment]\nA = 1"), HasSubstr("a string"));
  EXPECT_THAT(refusal("[analysis]\ngpus = \"none\""), HasSubstr("[analysis] knows no key 'gpus'"));
  EXPECT_THAT(refusal("cpus = "), StartsWith("site.toml:1: not valid TOML"));
}

}  // namespace
}  // namespace shardrift::slurm
