// From entries to configurations: predictions, what does not fit, estimates, fingerprints, and the shipped
// studies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "common/json_file.hpp"
#include "experiments/study/estimate.hpp"
#include "experiments/study/plan_study.hpp"
#include "experiments/study/profiles.hpp"
#include "experiments/study/prompts_summary.hpp"
#include "experiments/study/scale_out.hpp"
#include "tests/unit/study/tiny_model.hpp"

namespace shardrift::study {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing_studies::make_model;
using testing_studies::make_prompts;

Machine cpu(int devices) {
  Machine machine;
  machine.device = "cpu";
  machine.devices = devices;
  machine.collective_library = "mpi";
  machine.library_version = "Open MPI v4.1.4";
  return machine;
}

template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}

class PlanStudy : public ::testing::Test {
 protected:
  void SetUp() override {
    make_model(folder_ / "model");
    make_prompts(folder_ / "prompts.jsonl", 3, 5);
    options_.output = "/out";
    options_.collective_profiles = {SHARDRIFT_SOURCE_DIR "/experiments/profiles"};
  }
  StudyPlan plan(const std::string& text, const Machine& machine, const Overrides& overrides = {}) const {
    return plan_study(study_from_text("[run]\nmodel = 'model'\nprompts = 'prompts.jsonl'\n" + text,
                                      folder_ / "s.toml", overrides),
                      machine, options_);
  }
  static std::string words(const Configuration& one) {
    std::string text;
    for (const auto& word : one.arguments) text += word + " ";
    return text;
  }
  static const Configuration& named(const StudyPlan& plan, std::string_view name) {
    for (const auto& one : plan.configurations)
      if (one.name == name) return one;
    throw failure("no run {}", name);
  }

  TemporaryDirectory folder_;
  PlanOptions options_;
};

TEST_F(PlanStudy, LiveWhereTheMachineHasTheRanks) {
  const auto planned = plan("[[candidate]]\ntensor-parallel = 2\npipeline = 2\n", cpu(4));
  const auto& one = named(planned, "tp2-pp2");
  EXPECT_EQ(one.ranks, 4);
  EXPECT_FALSE(one.predicted);
  EXPECT_EQ(one.plan, "TP=2 x PP=2, native, float32, cpu");
  EXPECT_EQ(one.output, "/out/tp2-pp2.h5");
  EXPECT_EQ(one.prompts, 3);
  EXPECT_THAT(words(one), AllOf(HasSubstr("--tensor-parallel 2"), HasSubstr("--device cpu")));
}

TEST_F(PlanStudy, AnEnginesRunIsItsOwnCommand) {
  const std::string engine =
      "[[candidate]]\nname = 'other'\nengine = 'start -n {ranks} \"two words\" ./model/config.json'\n";
  const auto planned = plan(engine + "ranks = 2\nmax-new-tokens = 7\n", cpu(2));
  const auto& one = named(planned, "other");
  EXPECT_THAT(one.engine,
              ElementsAre("start", "-n", "2", "two words", (folder_ / "model/config.json").string()));
  EXPECT_EQ(one.ranks, 2);
  EXPECT_EQ(one.prompts, 3);
  EXPECT_EQ(one.plan, "start -n 2 two words config.json");
  EXPECT_EQ(one.compare_with, "reference");
  EXPECT_THAT(words(one),
              AllOf(HasSubstr("--max-new-tokens 7"), HasSubstr("--prompts"), HasSubstr("--device cpu")));
  EXPECT_NE(one.fingerprint, named(plan(engine + "max-new-tokens = 7\n", cpu(2)), "other").fingerprint);
  EXPECT_THAT(plan(engine + "ranks = 3\n", cpu(2)).not_possible.at(0).reason,
              HasSubstr("the engine takes 3 cores, here are 2"));
  const auto refused = [&](const std::string& more) {
    return message_of([&] { plan(engine + more, cpu(4)); });
  };
  EXPECT_THAT(refused("tensor-parallel = 2\n"), HasSubstr("give ranks = 2"));
  EXPECT_THAT(refused("predict = true\n"), HasSubstr("s.toml:4: [[candidate]] has engine with predict"));
  EXPECT_THAT(refused("ranks = 0\n"), HasSubstr("ranks"));
  EXPECT_THAT(refused("gpu = 0\n"), HasSubstr("engine with gpu"));
}

// A profile that lies where another did, as explain --run writes its record's, makes other runs of the same
// words.
TEST_F(PlanStudy, WhatIsFoldedByIsPartOfTheFingerprint) {
  const fs::path shipped = SHARDRIFT_SOURCE_DIR "/experiments/profiles";
  const auto fingerprint_by = [&](const char* profile) {
    fs::copy_file(shipped / profile, folder_ / "order.json", fs::copy_options::overwrite_existing);
    const auto planned = plan(
        "[[candidate]]\nname = 'folded'\nshards = 4\nreduction = 'profile'\n"
        "collective-profile = 'order.json'\naccumulate = 'float32'\n",
        cpu(1));
    return named(planned, "folded").fingerprint;
  };
  const auto one_shot = fingerprint_by("one-shot-4ranks.json");
  EXPECT_NE(fingerprint_by("two-shot-4ranks.json"), one_shot);
  EXPECT_EQ(fingerprint_by("one-shot-4ranks.json"), one_shot);
}

struct Fewer {
  const char* entry;
  int devices;
  int ranks;
  const char* plan;
  const char* why;
};

// Each group in flight has keys and values of its own.
TEST_F(PlanStudy, MemoryCountsTheGroupsInFlight) {
  const auto planned = plan(
      "[[candidate]]\nname = 'one'\npipeline = 2\n[[candidate]]\nname = 'three'\npipeline = 2\nin-flight = "
      "3\n"
      "[[candidate]]\nname = 'five'\npipeline = 2\nin-flight = 5\n",
      cpu(2));
  const auto one = named(planned, "one").estimated_memory;
  const auto three = named(planned, "three").estimated_memory;
  EXPECT_GT(three, one);
  EXPECT_EQ(named(planned, "five").estimated_memory - three, three - one);
}

TEST_F(PlanStudy, FewerDevicesPredictWhatTheyCan) {
  for (const Fewer& expected : {
           Fewer{"replicas = 3", 2, 1, "one device, float32, cpu", "replicas only share out the prompts"},
           Fewer{"pipeline = 4", 1, 1, "one device, float32, cpu", "stages only move bytes"},
           Fewer{"tensor-parallel = 2\npipeline = 2", 2, 2, "TP=2, native, float32, cpu", "stages only"},
           Fewer{"tensor-parallel = 2\nreplicas = 2\npipeline = 2", 4, 4, "TP=2 x PP=2, native, float32, cpu",
                 "replicas only"},
           Fewer{"tensor-parallel = 2", 1, 1, "one device, 2 shards, linear, float32, cpu",
                 "two shards have one possible order"},
           Fewer{"tensor-parallel = 4", 2, 1, "one device, 4 shards, profile, float32, cpu",
                 "openmpi-4.1.4-4ranks.json: Open MPI v4.1.4, 4 ranks"},
           Fewer{"tensor-parallel = 4\nrow-linear = 'gather'", 2, 1,
                 "one device, 4 shards, row-linear gather, float32, cpu", "no sum crosses shards"},
           Fewer{"tensor-parallel = 2\nshards = 8\nreduction = 'tree'", 1, 1,
                 "one device, 8 shards, tree, float32, cpu", "the sum is a local fold"},
       }) {
    const auto planned =
        plan(std::string("[[candidate]]\nname = 'x'\n") + expected.entry, cpu(expected.devices));
    ASSERT_EQ(planned.configurations.size(), 2U) << expected.entry << planned.not_possible.front().reason;
    const auto& one = planned.configurations.back();
    EXPECT_TRUE(one.predicted) << expected.entry;
    EXPECT_EQ(one.ranks, expected.ranks) << expected.entry;
    EXPECT_EQ(one.plan, expected.plan);
    EXPECT_THAT(one.prediction, HasSubstr(expected.why));
    EXPECT_NE(one.asked, one.plan);
  }
}

TEST_F(PlanStudy, WithoutAProfileItIsNotPossibleAndSaysWhy) {
  for (const auto* entry : {"tensor-parallel = 5", "tensor-parallel = 4\nmpi-allreduce = 'ring'",
                            "tensor-parallel = 4\nnccl-algorithm = 'tree'"}) {
    const auto planned = plan(std::string("[[candidate]]\nname = 'x'\n") + entry, cpu(2));
    EXPECT_EQ(planned.configurations.size(), 1U);
    ASSERT_EQ(planned.not_possible.size(), 1U) << entry;
    EXPECT_THAT(planned.not_possible.front().reason,
                AllOf(HasSubstr("ranks, here are 2"), HasSubstr("shardrift-run probe --save-profile")));
  }
}

// Reduce-scatter is probed, not modelled: where a message's size was not probed there is no prediction.
TEST_F(PlanStudy, AProfileMustKnowEveryMessage) {
  const std::string study =
      "dtype = 'bfloat16'\n[[candidate]]\ntensor-parallel = 3\nrow-linear = 'scatter'\n";
  const auto none = plan(study, cpu(1));
  ASSERT_EQ(none.not_possible.size(), 1U);
  EXPECT_THAT(none.not_possible.front().reason,
              HasSubstr("openmpi-4.1.4-3ranks.json does not know the reduce-scatter of"));
  // 17 tokens of SmolLM2's 576 were probed, and so was one.
  std::ofstream(folder_ / "model/config.json")
      << R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 576,
 "intermediate_size": 128, "num_hidden_layers": 6, "num_attention_heads": 9, "num_key_value_heads": 3,
 "vocab_size": 11, "max_position_embeddings": 512, "tie_word_embeddings": true})";
  make_prompts(folder_ / "prompts.jsonl", 2, 17);
  const auto predicted = plan(study, cpu(1));
  ASSERT_EQ(predicted.configurations.size(), 2U) << predicted.not_possible.front().reason;
  EXPECT_EQ(predicted.configurations.back().plan,
            "one device, 3 shards, profile, row-linear scatter, bfloat16, cpu");
}

TEST_F(PlanStudy, AProfileSpeaksForItsOwnLibraryOnly) {
  Machine gpu = cpu(1);
  gpu.device = "cuda";
  gpu.collective_library = "nccl";
  gpu.device_name = "NVIDIA A100";
  const std::string study = "dtype = 'bfloat16'\n[[candidate]]\ntensor-parallel = 4\n";
  const auto predicted = plan(study, gpu);
  ASSERT_EQ(predicted.configurations.size(), 2U);
  EXPECT_EQ(predicted.configurations.front().plan, "one device, bfloat16, captured, cuda");
  // The shipped profiles know eager sums alone.
  EXPECT_EQ(predicted.configurations.back().plan, "one device, 4 shards, profile, bfloat16, cuda");
  EXPECT_EQ(predicted.configurations.back().asked, "TP=4, native, bfloat16, captured, cuda");
  const auto captured = plan(study + "launch = 'captured'\n", gpu);
  ASSERT_EQ(captured.not_possible.size(), 1U);
  EXPECT_THAT(captured.not_possible.front().reason, HasSubstr("does not know the captured all-reduce of"));
  EXPECT_THAT(predicted.configurations.back().prediction,
              AllOf(HasSubstr("4xh100.json: NCCL 2.28.3"), HasSubstr("as launched eagerly"),
                    HasSubstr("this machine's GPU is NVIDIA A100: the prediction is of that other machine")));
  options_.collective_profiles = {SHARDRIFT_SOURCE_DIR "/experiments/profiles/openmpi-4.1.4-4ranks.json"};
  const auto none = plan(study, gpu);
  ASSERT_EQ(none.not_possible.size(), 1U);
  EXPECT_THAT(none.not_possible.front().reason, HasSubstr("openmpi-4.1.4-4ranks.json is of mpi"));
}

// Our own all-reduces add alike on every machine: predicted wherever they cannot run.
TEST_F(PlanStudy, CollectivesOfOurOwnArePredictedAnywhere) {
  const auto predicted_as = [&](const std::string& collective, const std::string& dtype,
                                const Machine& machine) {
    const auto planned = plan(
        "dtype = '" + dtype + "'\n[[candidate]]\ntensor-parallel = 4\ncollective = '" + collective + "'\n",
        machine);
    EXPECT_TRUE(planned.not_possible.empty());
    EXPECT_EQ(words(planned.configurations.back()).find("--collective "), std::string::npos);
    return planned.configurations.back();
  };
  Machine gpu = cpu(1);
  gpu.device = "cuda";
  gpu.collective_library = "nccl";
  EXPECT_EQ(predicted_as("one-shot", "bfloat16", cpu(1)).plan,
            "one device, 4 shards, linear, float32 sums, bfloat16, cpu");
  EXPECT_EQ(predicted_as("one-shot", "float32", gpu).plan,
            "one device, 4 shards, linear, float32, captured, cuda");
  for (const auto& machine : {cpu(1), gpu}) {
    const auto two_shot = predicted_as("two-shot", "bfloat16", machine);
    EXPECT_THAT(two_shot.plan, HasSubstr("4 shards, profile, float32 sums, bfloat16"));
    EXPECT_THAT(words(two_shot), HasSubstr("two-shot-4ranks.json"));
    EXPECT_THAT(two_shot.prediction, HasSubstr("two-shot, float32 sums on any machine"));
  }
  // Where they can run, they do.
  const auto live = plan("[[candidate]]\ntensor-parallel = 2\ncollective = 'two-shot'\n", cpu(2));
  EXPECT_EQ(live.configurations.back().plan, "TP=2, two-shot, float32, cpu");
}

TEST_F(PlanStudy, APredictionCanBeAskedFor) {
  const auto planned = plan(
      "[[candidate]]\ntensor-parallel = 3\n[[candidate]]\nname = 'check'\n"
      "tensor-parallel = 3\npredict = true\ncompare-with = 'tp3'\n",
      cpu(4));
  EXPECT_FALSE(named(planned, "tp3").predicted);
  EXPECT_TRUE(named(planned, "check").predicted);
  EXPECT_EQ(named(planned, "check").ranks, 1);
  EXPECT_EQ(named(planned, "check").compare_with, "tp3");
}

TEST_F(PlanStudy, FollowersReadWhatTheyFollow) {
  const std::string study =
      "[[yardstick]]\ndtype = 'float64'\nfollow = 'reference'\n"
      "[[candidate]]\nname = 'at-once'\nfollow = 'reference'\nmode = 'score'\n"
      "compare-with = 'none'\n";
  const auto planned = plan(study, cpu(2));
  const auto& one = named(planned, "float64");
  EXPECT_THAT(one.after, ElementsAre("reference"));
  EXPECT_THAT(words(one), AllOf(HasSubstr("--mode follow"), HasSubstr("--follow /out/reference.h5")));
  EXPECT_EQ(words(one).find("--prompts"), std::string::npos);
  EXPECT_EQ(one.prompts, 3);
  EXPECT_THAT(words(named(planned, "at-once")), HasSubstr("--mode score"));
  // A reference that changes, changes them.
  const auto longer = plan("max-new-tokens = 9\n" + study, cpu(2));
  EXPECT_NE(named(longer, "reference").fingerprint, named(planned, "reference").fingerprint);
  EXPECT_NE(named(longer, "float64").fingerprint, one.fingerprint);
}

TEST_F(PlanStudy, RoutesAreReplayedFromTheRecordOfARun) {
  const auto planned = plan(
      "[[candidate]]\nname = 'replayed'\nshards = 2\nfollow = 'reference'\nreplay-routes = 'reference'\n"
      "[[candidate]]\nname = 'other'\nshards = 2\nfollow = 'reference'\nreplay-routes = 'replayed'\n"
      "[[candidate]]\nname = 'far'\ntensor-parallel = 5\nfollow = 'reference'\n"
      "[[candidate]]\nname = 'too-far'\nshards = 4\nfollow = 'reference'\nreplay-routes = 'far'\n",
      cpu(2));
  const auto& one = named(planned, "replayed");
  EXPECT_THAT(one.after, ElementsAre("reference"));
  EXPECT_THAT(words(one),
              AllOf(HasSubstr("--follow /out/reference.h5"), HasSubstr("--replay-routes /out/reference.h5")));
  EXPECT_THAT(one.plan, HasSubstr("routes replayed"));
  EXPECT_THAT(named(planned, "other").after, ElementsAre("reference", "replayed"));
  EXPECT_THAT(words(named(planned, "other")), HasSubstr("--replay-routes /out/replayed.h5"));
  ASSERT_EQ(planned.not_possible.size(), 2U);
  EXPECT_EQ(planned.not_possible[1].reason, "replays the routes of far, which cannot run here");
}

TEST_F(PlanStudy, FollowersOfWhatIsNotPossibleAreNotEither) {
  const auto planned = plan(
      "[[candidate]]\ntensor-parallel = 5\n[[yardstick]]\nname = 'y'\nfollow = 'tp5'\n"
      "[[candidate]]\nname = 'z'\nshards = 2\ncompare-with = 'tp5'\n",
      cpu(2));
  ASSERT_EQ(planned.not_possible.size(), 3U);
  EXPECT_THAT(planned.not_possible[1].reason, HasSubstr("tp5, which cannot run here"));
}

TEST_F(PlanStudy, AQuantizedCheckpointIsNotQuantizedAgain) {
  std::ifstream file(folder_ / "model/config.json");
  auto config = nlohmann::json::parse(file);
  config["quantization_config"] = {
      {"quant_method", "gptq"}, {"bits", 4}, {"group_size", 128}, {"desc_act", false}};
  std::ofstream(folder_ / "model/config.json") << config;
  EXPECT_NO_THROW(plan("", cpu(1)));
  try {
    plan("[[yardstick]]\nquantize = 'int8'\n", cpu(1));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("s.toml:5: int8: --quantize int8"), HasSubstr("GPTQ"), HasSubstr("twice")));
  }
}

TEST_F(PlanStudy, FingerprintsAreOfWhatDecidesTheBits) {
  const std::string study = "[[candidate]]\ntensor-parallel = 2\n";
  const auto first = named(plan(study, cpu(2)), "tp2").fingerprint;
  EXPECT_EQ(named(plan(study, cpu(4)), "tp2").fingerprint, first);  // more devices change nothing
  EXPECT_NE(named(plan(study, cpu(1)), "tp2").fingerprint, first);  // predicted: another run
  make_prompts(folder_ / "prompts.jsonl", 4, 5);
  EXPECT_NE(named(plan(study, cpu(2)), "tp2").fingerprint, first);
  make_prompts(folder_ / "prompts.jsonl", 3, 5);
  EXPECT_EQ(named(plan(study, cpu(2)), "tp2").fingerprint, first);
  make_model(folder_ / "model", "bfloat16");
  EXPECT_NE(named(plan(study, cpu(2)), "tp2").fingerprint, first);
}

TEST_F(PlanStudy, EveryImpossibleEntryIsNamedWithItsLine) {
  try {
    plan(
        "[[candidate]]\nshards = 3\ntensor-parallel = 2\n[[candidate]]\npipeline = 7\n[[candidate]]\ngpu = "
        "1\n"
        "replicas = 2\n",
        cpu(4));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("s.toml:5: s3-tp2: --shards 3 is not a multiple"),
                                    HasSubstr("s.toml:8: pp7: --pipeline 7: the model has 6 layers"),
                                    HasSubstr("dp2: gpu = 1: only a run on a single device"),
                                    HasSubstr("3 entries cannot be")));
  }
}

// What the command line gave has no line of the file.
TEST_F(PlanStudy, AFlagOfTheCommandLineIsNamedAsGiven) {
  const auto of = [&](const Overrides& overrides, const std::string& text = "") {
    return message_of([&] { plan(text, cpu(2), overrides); });
  };
  EXPECT_THAT(of({{"banana", "1"}}), StartsWith("--set banana=1: reference: "));
  EXPECT_THAT(of({{"batch", "many"}}), StartsWith("--set batch=many: reference: "));
  EXPECT_THAT(of({{"batch", "many"}}, "[[candidate]]\npipeline = 2\n"), Not(HasSubstr(":0:")));
  // Not about a flag, and of the reference that no section writes: the file alone.
  const auto missing = of({{"model", "/no/such/model"}});
  EXPECT_THAT(missing, AllOf(HasSubstr("/no/such/model"), Not(HasSubstr(":0:"))));
  // A section's own value of the flag stands in the file.
  EXPECT_THAT(of({{"batch", "2"}}, "[[candidate]]\nbatch = 'many'\n"), HasSubstr("s.toml:5: "));
}

TEST_F(PlanStudy, ProbesNeedTheirRanks) {
  const std::string probe = "[[probe]]\nname = 'p{ranks}'\ncount = 6\ndtype = 'bfloat16'\n";
  const auto planned = plan(probe + "numbers = '4096,-4096,1'\nmatrix = { ranks = [3, 4] }\n", cpu(3));
  const auto& one = named(planned, "p3");
  EXPECT_EQ(one.command, "probe");
  EXPECT_EQ(one.ranks, 3);
  EXPECT_THAT(one.arguments, ::testing::Not(::testing::Contains("--ranks")));
  EXPECT_EQ(one.compare_with, "");
  ASSERT_EQ(planned.not_possible.size(), 1U);
  EXPECT_THAT(planned.not_possible.front().reason,
              HasSubstr("of 4 ranks is probed with 4 cores, here are 3"));
  expect_bad_data([&] { plan(probe, cpu(4)); }, {"s.toml:4: ", "there is no value of 'ranks'"});
  expect_bad_data([&] { plan("[[probe]]\nname = 'p'\ncount = 6\n", cpu(4)); }, {"needs ranks = N"});
  expect_bad_data([&] { plan(probe + "ranks = 9\n", cpu(16)); }, {"ranks = 9: 2 to 8"});
  expect_bad_data([&] { plan(probe + "ranks = 3\nnumbers = '1e8,1'\n", cpu(4)); },
                  {"bfloat16 has no such number"});
}

TEST_F(PlanStudy, MissingFilesAreBadData) {
  EXPECT_THROW(plan_study(study_from_text("[run]\nmodel='none'\nprompts='prompts.jsonl'", folder_ / "s.toml"),
                          cpu(1), options_),
               Error);
  make_prompts(folder_ / "prompts.jsonl", 1, 600);
  expect_bad_data([&] { plan("", cpu(1)); }, {"a prompt of 600 tokens, the model's context ends at 512"});
  folder_.write("prompts.jsonl", "{\"id\": \"a\"}\n");
  expect_bad_data([&] { plan("", cpu(1)); }, {"prompts.jsonl line 1", "either \"text\" or \"tokens\""});
  folder_.write("prompts.jsonl", "{\"id\": \"a\", \"tokens\": [11]}\n");
  expect_bad_data([&] { plan("", cpu(1)); },
                  {"prompts.jsonl line 1", "token 11 is outside the vocabulary of 11"});
  folder_.write("prompts.jsonl", "{\"id\": \"a\", \"text\": \"x\"}\n");
  fs::remove(folder_ / "model/tokenizer.json");
  expect_bad_data([&] { plan("", cpu(1)); },
                  {"prompts.jsonl line 1", "neither tokenizer.json nor tokenizer.model"});
}

TEST_F(PlanStudy, GpusCanBeNamed) {
  Machine gpus = cpu(2);
  gpus.device = "cuda";
  gpus.collective_library = "nccl";
  const auto planned = plan("[[candidate]]\nname='a'\ngpu = 1\n[[candidate]]\nname='b'\ngpu = 2\n", gpus);
  EXPECT_EQ(named(planned, "a").gpu, 1);
  ASSERT_EQ(planned.not_possible.size(), 1U);
  EXPECT_THAT(planned.not_possible.front().reason, HasSubstr("asks for GPU 2, here are 2"));
}

TEST(Estimate, CountsParametersAndBytes) {
  ModelConfig smollm2;  // 134,515,008 parameters, says its model card
  smollm2.hidden = 576;
  smollm2.intermediate = 1536;
  smollm2.layers = 30;
  smollm2.specs.resize(30);
  smollm2.query_heads = 9;
  smollm2.kv_heads = 3;
  smollm2.head_dim = 64;
  smollm2.vocabulary = 49152;
  smollm2.max_positions = 8192;
  smollm2.tied_head = true;
  EXPECT_EQ(parameter_count(smollm2), 134515008);
  RunOptions options;
  options.plan.dtype = DType::bfloat16;
  options.plan.logits_dtype = DType::bfloat16;
  options.max_new_tokens = 64;
  const Work work{100, 2000, 40, {40}, 6400};
  const auto one = estimate(options, smollm2, work, cpu(1));
  // The logits alone are 6400 x 49152 x 2 bytes; the rest is below 2%.
  EXPECT_GT(one.disk_bytes, 6400LL * 49152 * 2);
  EXPECT_LT(static_cast<double>(one.disk_bytes), 6400.0 * 49152 * 2 * 1.02);
  EXPECT_GT(one.memory_bytes, 134515008LL * 2);
  EXPECT_LT(one.memory_bytes, 134515008LL * 2 + (20 << 20));
  options.level = RecordLevel::top;
  EXPECT_LT(estimate(options, smollm2, work, cpu(1)).disk_bytes, 8 << 20);
  const auto without = estimate(options, smollm2, work, cpu(1)).disk_bytes;
  options.checksums = true;  // 3 + 15 a layer
  EXPECT_EQ(estimate(options, smollm2, work, cpu(1)).disk_bytes - without,
            6400LL * (3 + 15 * smollm2.layers) * 8);
  options.plan.tensor_parallel = options.plan.shards = 2;
  EXPECT_LT(estimate(options, smollm2, work, cpu(2)).memory_bytes, one.memory_bytes * 6 / 10);
  EXPECT_GT(one.seconds, 1);
  // Measured on 2 cores (docs/results/scale-out-time.md): 36 prompts, about 300 tokens, 32 new ones each.
  RunOptions measured;
  measured.plan.dtype = measured.plan.logits_dtype = DType::bfloat16;
  const Work some{36, 300, 20, {20}, 36LL * 32};
  const auto seconds = [&](int batch, int shards) {
    measured.plan.batch = batch;
    measured.plan.shards = shards;
    measured.plan.reduction.order = shards == 1 ? ReductionOrder::native : ReductionOrder::linear;
    return estimate(measured, smollm2, some, cpu(2)).seconds;
  };
  EXPECT_NEAR(seconds(1, 1), 70.4, 0.15 * 70.4);
  EXPECT_NEAR(seconds(4, 1), 26.7, 0.15 * 26.7);
  EXPECT_NEAR(seconds(8, 1), 19.3, 0.15 * 19.3);
  EXPECT_NEAR(seconds(8, 4), 29.4, 0.15 * 29.4);
}

TEST(Prompts, AreSummedUpWithoutATokenizer) {
  const TemporaryDirectory folder;
  make_prompts(folder / "tokens.jsonl", 3, 5);
  const auto exact = summarize_prompts(folder / "tokens.jsonl");
  EXPECT_EQ(exact.prompts, 3);
  EXPECT_EQ(exact.tokens, 15);
  EXPECT_EQ(exact.longest, 5);
  EXPECT_FALSE(exact.estimated);
  // The shipped sets, against the tokens that experiments/prompts/README.md counts.
  const fs::path prompts = SHARDRIFT_SOURCE_DIR "/experiments/prompts";
  for (const auto& [file, tokens] :
       std::map<std::string, double>{{"short.jsonl", 2198}, {"medium.jsonl", 10282}, {"long.jsonl", 35507}}) {
    const auto guessed = summarize_prompts(prompts / file);
    EXPECT_TRUE(guessed.estimated);
    EXPECT_GT(static_cast<double>(guessed.tokens), tokens / 1.5) << file;
    EXPECT_LT(static_cast<double>(guessed.tokens), tokens * 1.5) << file;
  }
}

TEST(ScaleOut, RunsWhatIsThereAndPredictsTheRest) {
  const TemporaryDirectory folder;
  const ScaleOutWanted wanted{make_model(folder / "model", "bfloat16"), make_prompts(folder / "p.jsonl", 40),
                              "", 4, 8};
  PlanOptions options{"/out", {SHARDRIFT_SOURCE_DIR "/experiments/profiles"}};
  const auto shape = [&](int devices) {
    std::vector<std::string> text;
    for (const auto& one :
         plan_study(scale_out_study(wanted, cpu(devices)), cpu(devices), options).configurations)
      text.push_back(fmt::format("{}{}", one.name, one.predicted ? " predicted" : ""));
    return text;
  };
  EXPECT_THAT(shape(1), ElementsAre("reference", "tp4 predicted", "reference-again", "tp2 predicted",
                                    "tp3 predicted", "float16"));
  EXPECT_THAT(shape(2), ElementsAre("reference", "tp4 predicted", "reference-again", "tp2", "tp3 predicted",
                                    "pp2", "tp2-check predicted", "float16"));
  EXPECT_THAT(shape(4), ElementsAre("reference", "tp4", "reference-again", "tp2", "tp3", "pp2",
                                    "tp4-check predicted", "float16"));
  // All decode alike, but for their plan.
  for (const auto& one : plan_study(scale_out_study(wanted, cpu(2)), cpu(2), options).configurations)
    EXPECT_THAT(one.arguments, ::testing::IsSupersetOf({"--batch", "8"})) << one.name;
  // With an all-reduce of our own: the same runs, the predicted ones summed as it adds.
  ScaleOutWanted ours = wanted;
  ours.collective = Collective::two_shot;
  for (const auto& one : plan_study(scale_out_study(ours, cpu(2)), cpu(2), options).configurations) {
    if (one.name == "tp2") {
      EXPECT_EQ(one.plan, "TP=2, two-shot, batch 8, bfloat16, cpu");
    } else if (one.name == "tp4") {
      EXPECT_EQ(one.plan, "one device, 4 shards, profile, float32 sums, batch 8, bfloat16, cpu");
    }
  }
  std::string some = some_prompts(wanted.prompts, 4);
  EXPECT_EQ(std::count(some.begin(), some.end(), '\n'), 4);
  EXPECT_THAT(some, AllOf(HasSubstr("\"p0\""), HasSubstr("\"p10\""), HasSubstr("\"p30\"")));
  EXPECT_TRUE(fs::exists(shipped_prompts()));
}

TEST(ScaleOut, YardsticksAreQuantizationsAndDtypes) {
  const TemporaryDirectory folder;
  ScaleOutWanted wanted{make_model(folder / "model", "bfloat16"), make_prompts(folder / "p.jsonl", 2)};
  const auto study_with = [&](const std::string& yardsticks) {
    wanted.yardsticks = yardsticks;
    return scale_out_study(wanted, cpu(1));
  };
  const auto study = study_with("int8,fp8-block,float32,float16");
  const auto planned =
      plan_study(study, cpu(1), {"/out", {SHARDRIFT_SOURCE_DIR "/experiments/profiles"}}).configurations;
  std::vector<std::string> said;
  for (const auto& one : planned) {
    if (one.role != Role::yardstick) continue;
    said.push_back(one.name + ": " + one.plan);
    EXPECT_EQ(one.compare_with, "reference");
    EXPECT_THAT(one.after, ElementsAre("reference"));
    EXPECT_THAT(one.arguments, ::testing::IsSupersetOf({"--mode", "follow", "--batch", "8"}));
    EXPECT_THAT(one.arguments, ::testing::Not(::testing::Contains("--prompts")));
  }
  EXPECT_THAT(said, ElementsAre("int8: one device, batch 8, bfloat16, int8 weights, cpu",
                                "fp8-block: one device, batch 8, bfloat16, fp8-block weights, cpu",
                                "float32: one device, batch 8, float32, cpu",
                                "float16: one device, batch 8, float16, cpu"));
  EXPECT_EQ(planned.size(), 9U);  // what is run is what is run without them
  const auto refusal = [&](const std::string& yardsticks) -> std::string {
    try {
      study_with(yardsticks);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::usage);
      return error.what();
    }
    return "accepted";
  };
  constexpr auto kKnown =
      "use one or several of int8, int4, nf4, fp8, fp8-block, float16, bfloat16, float32, "
      "separated by commas";
  for (const std::string wrong : {"int5", "none", "float64", "tf32", "int8.h5"})
    EXPECT_EQ(refusal("int8," + wrong), fmt::format("unknown --yardstick '{}': {}", wrong, kKnown));
  EXPECT_THAT(refusal("bfloat16"), HasSubstr("every run is in bfloat16"));
  for (const std::string hole : {", ", "int8,,nf4", "int8,", ",int8"})
    EXPECT_EQ(refusal(hole),
              "--yardstick '" + hole + "': a name is missing beside a comma: take the comma out or name it");
  EXPECT_THAT(refusal("int8,nf4,int8"), HasSubstr("int8 is there twice"));
}

// It was not asked for by a flag that this command does not have.
TEST(ScaleOut, AYardstickOfAQuantizedModelIsNamed) {
  const TemporaryDirectory folder;
  ScaleOutWanted wanted{make_model(folder / "model", "bfloat16"), make_prompts(folder / "p.jsonl", 2)};
  auto config = read_text_file(wanted.model / "config.json", 1 << 20);
  config.insert(1, R"("quantization_config": {"quant_method": "fp8"}, )");
  std::ofstream(wanted.model / "config.json") << config;
  wanted.yardsticks = "float32,int8";
  try {
    plan_study(scale_out_study(wanted, cpu(1)), cpu(1),
               {"/out", {SHARDRIFT_SOURCE_DIR "/experiments/profiles"}});
    FAIL() << "quantized twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("--yardstick int8: the checkpoint is quantized already (fp8"),
                                    HasSubstr("leave int8 out"), Not(HasSubstr("--quantize"))));
  }
}

// Every study that is shipped can be planned: on a machine with four devices all of it.
TEST(ShippedStudies, CanAllBePlanned) {
  const TemporaryDirectory folder;
  make_model(folder / "model");
  PlanOptions options{"/out", shipped_profile_folders()};
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(SHARDRIFT_SOURCE_DIR "/experiments/studies")) {
    if (entry.path().extension() != ".toml") continue;
    const bool probes = entry.path().stem() == "nonassociative";  // without a model
    Overrides overrides;
    if (!probes) overrides.emplace_back("model", (folder / "model").string());
    // Its ids are of another vocabulary.
    if (entry.path().stem() == "moe-routing")
      overrides.emplace_back("prompts", make_prompts(folder / "prompts.jsonl", 3, 5).string());
    const auto study = load_study(entry.path(), overrides);
    names.push_back(study.name);
    EXPECT_EQ(study.name, entry.path().stem());
    EXPECT_FALSE(study.question.empty()) << study.name;
    EXPECT_EQ(study.text.front(), '#') << study.name << ": says which question it answers";
    const auto four = plan_study(study, cpu(4), options);
    for (const auto& one : four.configurations) EXPECT_FALSE(one.predicted) << study.name << " " << one.name;
    EXPECT_TRUE(study.name == "same-gpu-twice" || four.not_possible.empty()) << study.name;
    if (probes) continue;
    const auto one_device = plan_study(study, cpu(1), options);
    EXPECT_GE(one_device.configurations.size(), 2U) << study.name;
  }
  std::sort(names.begin(), names.end());
  EXPECT_THAT(names, ElementsAre("batch-size", "engines", "envelope", "forecast", "moe-routing",
                                 "nonassociative", "prompt-length", "quantization", "reduction-order",
                                 "row-linear", "same-gpu-twice", "scale-out", "vllm"));
}

}  // namespace
}  // namespace shardrift::study
