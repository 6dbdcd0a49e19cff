#include "slurm/words.hpp"

#include <gmock/gmock.h>

#include "tests/unit/slurm/example_plan.hpp"

namespace shardrift::slurm {
namespace {

using ::testing::AllOf;
using testing::empty_plan;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::scale_out;

// As sinfo of Slurm 22.05 prints them.
const char* const kNodes =
    "c1|cpu*|(null)|(null)|idle\n"
    "g1|gpu|gpu:h100:4(S:0-1)|h100,ib|mix\n"
    "g2|gpu|gpu:h100:4(S:0-1)|h100,ib|alloc\n"
    "g3|gpu|gpu:a100:8,shard:32|a100,ib|idle\n"
    "o1|old|gpu:2|(null)|down*\n"
    "not a node\n";

TEST(Nodes, AreReadWithTypesAndFeatures) {
  const auto nodes = parse_nodes(kNodes);
  ASSERT_EQ(nodes.size(), 5U);
  EXPECT_TRUE(nodes[0].is_default);
  EXPECT_EQ(nodes[0].partition, "cpu");
  EXPECT_EQ(nodes[0].all_gpus(), 0);
  EXPECT_THAT(nodes[1].gpus, ::testing::ElementsAre(std::pair{"h100", 4}));
  EXPECT_THAT(nodes[1].features, ::testing::ElementsAre("h100", "ib"));
  EXPECT_THAT(nodes[3].gpus, ::testing::ElementsAre(std::pair{"a100", 8}));
  EXPECT_THAT(nodes[4].gpus, ::testing::ElementsAre(std::pair{"", 2}));
}

// The type is what stands before the count, whatever it begins with.
TEST(Nodes, TypesMayBeginWithADigit) {
  const auto gpus = [](const std::string& gres) {
    return parse_nodes("n|p|" + gres + "|(null)|idle").at(0).gpus;
  };
  using Gpus = std::map<std::string, int>;
  EXPECT_EQ(gpus("gpu:2080ti:4"), (Gpus{{"2080ti", 4}}));
  EXPECT_EQ(gpus("gpu:3090:8(S:0-1)"), (Gpus{{"3090", 8}}));
  EXPECT_EQ(gpus("gpu:1g.10gb:7,gpu:a100:2(S:0,2),shard:9"), (Gpus{{"1g.10gb", 7}, {"a100", 2}}));
  EXPECT_EQ(gpus("gpu:4"), (Gpus{{"", 4}}));
  EXPECT_EQ(gpus("gpu:h100"), (Gpus{{"h100", 1}}));
  EXPECT_EQ(gpus("gpu"), (Gpus{{"", 1}}));
  EXPECT_EQ(gpus("mps:400,gpus:2,(null)"), Gpus{});
}

TEST(Queue, IsRead) {
  const auto queue = parse_queue(
      "12_0|PENDING|Resources|0:00|1:00:00||2026-01-02T03:04:05\n13|RUNNING|None|1:02|30:00|n1|\nx\n");
  ASSERT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue[0].job, "12_0");
  EXPECT_EQ(pending_words(queue[0]), "waits for free nodes (Resources), expected 2026-01-02T03:04:05");
  EXPECT_EQ(queue[1].nodes, "n1");
}

TEST(Queue, KnowsTheScriptThatAJobRuns) {
  const auto queue = parse_queue(
      "12_0|PENDING|Resources|0:00|1:00||N/A|/x/my "
      "out/slurm/1-rank.sbatch\n13|RUNNING|None|1|2|n|N/A|/a|b\n");
  ASSERT_EQ(queue.size(), 2U);
  EXPECT_EQ(queue[0].script, "/x/my out/slurm/1-rank.sbatch");
  EXPECT_EQ(queue[1].script, "/a|b");
}

// Sites let sbatch say more than the number.
TEST(Sbatch, TheJobsNumberIsFoundAmongWhatItPrints) {
  const auto read = [](const std::string& printed) {
    const auto number = parse_job_number(printed);
    return number ? number->id + "@" + number->cluster : "none";
  };
  EXPECT_EQ(read("101\n"), "101@");
  EXPECT_EQ(read("101;far\n"), "101@far");
  EXPECT_EQ(read("Welcome to site X\n\n  101 \r\nYou have 3 jobs, 2025 hours left\n"), "101@");
  EXPECT_EQ(read("Submitted batch job 101\n"), "101@");
  EXPECT_EQ(read("sbatch: INFO: account a\nSubmitted batch job 101 on cluster far\n"), "101@far");
  EXPECT_EQ(read("101\nSubmitted batch job 101\n"), "101@");
  EXPECT_EQ(read("2025\n101\n"), "none") << "either may be it";
  EXPECT_EQ(read(""), "none");
  EXPECT_EQ(read("job 101 accepted"), "none");
}

TEST(Pending, EveryReasonIsKeptAndMostAreExplained) {
  const auto words = [](const std::string& reason) {
    return pending_words({"1", "PENDING", reason, "", "", "", "N/A"});
  };
  EXPECT_THAT(words("BadConstraints"), HasSubstr("gpu_type"));
  EXPECT_THAT(words("ReqNodeNotAvail, UnavailableNodes:n[1-2]"),
              AllOf(HasSubstr("down or reserved"), HasSubstr("UnavailableNodes:n[1-2]")));
  EXPECT_THAT(words("QOSMaxGRESPerUser"), HasSubstr("limit of the QOS"));
  EXPECT_THAT(words("AssocGrpCPUMinutesLimit"), HasSubstr("limit of the account"));
  EXPECT_EQ(words("SomethingNew"), "pending (SomethingNew)");
}

TEST(Ended, EveryStateHasWords) {
  EXPECT_THAT(ended_words("NODE_FAIL", "None"), HasSubstr("node failed"));
  EXPECT_THAT(ended_words("OUT_OF_MEMORY", "OutOfMemory"), HasSubstr("memory"));
  EXPECT_THAT(ended_words("TIMEOUT", "TimeLimit"), HasSubstr("signal_seconds"));
  EXPECT_THAT(ended_words("CANCELLED by 1000", "None"), HasSubstr("cancelled"));
  EXPECT_THAT(ended_words("CANCELLED", "DependencyNeverSatisfied"),
              HasSubstr("whose record it reads failed"));
  EXPECT_THAT(ended_words("NEW_STATE", "None"), HasSubstr("NEW_STATE"));
}

TEST(Refusal, SaysWhatTheClusterHas) {
  SiteProfile profile;
  profile.name = "mine";
  const auto nodes = parse_nodes(kNodes);
  const auto words = [&](const std::string& error) {
    return refusal_words(error, profile.run, profile, nodes);
  };
  profile.run.partition = "gpux";
  EXPECT_THAT(words("Batch job submission failed: Invalid partition name specified"),
              AllOf(HasSubstr("no partition gpux"), HasSubstr("cpu, gpu, old")));
  profile.run.partition = "gpu";
  profile.run.constraint = "v100";
  EXPECT_THAT(words("Batch job submission failed: Invalid feature specification"),
              HasSubstr("a100, h100, ib"));
  EXPECT_THAT(words("Batch job submission failed: Requested node configuration is not available"),
              AllOf(HasSubstr("4 x h100"), HasSubstr("8 x a100")));
  EXPECT_THAT(
      words("Batch job submission failed: Invalid account or account/partition combination specified"),
      HasSubstr("sacctmgr show assoc"));
  EXPECT_THAT(words("anything else"), AllOf(HasSubstr("anything else"), HasSubstr("mine")));
}

class Misfits : public ::testing::Test {
 protected:
  std::string found(const std::string& device = "cuda") {
    const auto plan = plan_jobs(empty_plan(), scale_out(device), profile_);
    const auto list = misfits(plan.arrays, profile_, parse_nodes(kNodes));
    return list.empty() ? "" : list.front();
  }
  SiteProfile profile_;
};

TEST_F(Misfits, ANodeWithoutGpus) {
  EXPECT_THAT(found(),
              AllOf(HasSubstr("the default partition has no GPU"), HasSubstr("1-rank needs 1 node")));
  EXPECT_EQ(found("cpu"), "");
}

TEST_F(Misfits, SeveralModelsOfGpuAndNoneChosen) {
  profile_.run.partition = "gpu";
  EXPECT_THAT(found(), HasSubstr("several models (a100, h100)"));
  profile_.gpu_type = "h100";
  EXPECT_EQ(found(), "");
  profile_.gpu_type = "";
  profile_.run.constraint = "h100";
  EXPECT_EQ(found(), "");
  profile_.run.constraint = "ib";  // both have it
  EXPECT_THAT(found(), HasSubstr("several models"));
}

TEST_F(Misfits, TooFewOrNone) {
  profile_.run.partition = "gpu";
  profile_.gpu_type = "a100";
  EXPECT_THAT(found(), HasSubstr("8-ranks needs 2 nodes with 4 GPUs of type a100"));
  profile_.ranks_per_node = 8;
  EXPECT_EQ(found(), "");
  profile_.run.partition = "gpux";
  EXPECT_THAT(found(), HasSubstr("no partition gpux"));
  profile_.run.partition = "gpu";
  profile_.run.constraint = "v100";
  EXPECT_THAT(found(), HasSubstr("no node of partition gpu has constraint v100"));
  profile_.run.constraint = "";
  profile_.run.partition = "gpu,old";
  profile_.gpu_type = "h100";
  profile_.ranks_per_node = 4;
  EXPECT_EQ(found(), "");
  profile_.run.partition = "gpu,new";
  EXPECT_THAT(found(), HasSubstr("no partition new"));
  profile_.run.partition = "gpu";
  profile_.analysis.partition = "serial";
  EXPECT_THAT(found(), HasSubstr("no partition serial"));
  profile_.analysis.partition = "";
  profile_.gpu_type = "";
  profile_.gpus = GpuRequest::none;
  EXPECT_THAT(found(), HasSubstr("gpus = \"none\""));
}

}  // namespace
}  // namespace shardrift::slurm
