// One device with S = N shards and the machine's collective profile against N real MPI ranks, through whole
// models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

// The prompts' lengths 1, 5, 17, 40 and the decode step's single row, times tiny-llama's hidden of 72.
void probe(int ranks, const fs::path& profile, const std::string& dtype,
           const std::string& tokens = "1,5,17,40", const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments{"probe",          "--device", "cpu",     "--tokens", tokens,
                                     "--hidden",       "72",       "--dtype", dtype,      "--save-profile",
                                     profile.string(), "--quiet"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto finished = run_program(worker_command(ranks, arguments));
  ASSERT_EQ(finished.code, 0) << finished.output;
}

class Prediction : public ::testing::TestWithParam<int> {};

TEST_P(Prediction, OneDeviceGivesTheBitsOfRealRanks) {
  const int ranks = GetParam();
  const std::string n = std::to_string(ranks);
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    const fs::path folder = scratch("prediction-" + n + "-" + dtype);
    const fs::path profile = folder / "profile.json";
    probe(ranks, profile, dtype);
    const auto real =
        record_of("tiny-llama", {ranks, {"--tensor-parallel", n, "--dtype", dtype}}, folder, "real");
    const auto predicted = record_of("tiny-llama",
                                     {1,
                                      {"--shards", n, "--reduction", "profile", "--collective-profile",
                                       profile.string(), "--dtype", dtype}},
                                     folder, "predicted");
    EXPECT_EQ(first_difference(real, predicted), "") << ranks << " ranks, " << dtype;

    // The maps seen by the real run and used by the predicted one stand in both files.
    const auto seen = record::Reader::open(real).run().environment.collectives;
    const auto used = record::Reader::open(predicted).run().environment.collectives;
    ASSERT_EQ(seen.size(), 4U);
    ASSERT_EQ(used.size(), 4U);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].count, used[i].count);
      EXPECT_EQ(seen[i].segments, used[i].segments);
      EXPECT_EQ(seen[i].trees, used[i].trees);
    }
  }
}

// Quantized weights are the same on both sides.
TEST_P(Prediction, OfQuantizedWeights) {
  const int ranks = GetParam();
  const std::string n = std::to_string(ranks);
  const fs::path folder = scratch("prediction-quantized-" + n);
  const fs::path profile = folder / "profile.json";
  probe(ranks, profile, "bfloat16");
  for (const std::string quantize : {"int8", "int4", "nf4", "fp8", "fp8-block"}) {
    const std::vector<std::string> flags{"--dtype", "bfloat16", "--quantize", quantize};
    Case live{ranks, flags};
    live.flags.insert(live.flags.end(), {"--tensor-parallel", n});
    Case local{1, flags};
    local.flags.insert(local.flags.end(),
                       {"--shards", n, "--reduction", "profile", "--collective-profile", profile.string()});
    EXPECT_EQ(first_difference(record_of("tiny-llama", live, folder, "real-" + quantize),
                               record_of("tiny-llama", local, folder, "predicted-" + quantize)),
              "")
        << ranks << " ranks, " << quantize;
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, Prediction, ::testing::Values(2, 3, 4));

// Messages of several prompts at once are other messages: their sizes are probed and predicted as well.
TEST_P(Prediction, OfPromptsThatArePrefilledTogether) {
  const int ranks = GetParam();
  const std::string n = std::to_string(ranks);
  for (const std::string mode : {"greedy", "score"}) {
    const fs::path folder = scratch("prediction-prefill-" + n + "-" + mode);
    const fs::path profile = folder / "profile.json";
    probe(ranks, profile, "bfloat16", "4,23,40");  // 5 + 1 + 17, 40, and a decode pass of four rows
    std::vector<std::string> flags{"--dtype",         "bfloat16", "--batch", "4",
                                   "--prefill-batch", "3",        "--mode",  mode};
    Case live{ranks, flags};
    live.flags.insert(live.flags.end(), {"--tensor-parallel", n});
    Case local{1, flags};
    local.flags.insert(local.flags.end(),
                       {"--shards", n, "--reduction", "profile", "--collective-profile", profile.string()});
    const auto real = record_of("tiny-llama", live, folder, "real");
    const auto predicted = record_of("tiny-llama", local, folder, "predicted");
    EXPECT_EQ(first_difference(real, predicted), "") << ranks << " ranks, " << mode;
    std::vector<std::int64_t> counts;
    for (const auto& seen : record::Reader::open(real).run().environment.collectives)
      counts.push_back(seen.count / 72);
    EXPECT_EQ(counts,
              mode == "score" ? std::vector<std::int64_t>({23, 40}) : std::vector<std::int64_t>({4, 23, 40}));
  }
}

// Models of other programs' all-reduces: what they share with our orders, what they refuse, what they leave
// in the record.
TEST(PublishedOrders, OneDeviceFoldsByThem) {
  const fs::path folder = scratch("published-orders");
  const auto one_device = [&](const std::string& name, std::vector<std::string> flags) {
    flags.insert(flags.end(), {"--shards", "4", "--dtype", "bfloat16"});
    return record_of("tiny-llama", {1, flags}, folder, name);
  };
  const auto linear = one_device("linear", {"--reduction", "linear", "--accumulate", "float32"});
  const auto engine = one_device("engine", {"--reduction", "engine:vllm"});
  EXPECT_EQ(first_difference(linear, one_device("one-stage", {"--reduction", "vllm-one-stage"})), "");
  EXPECT_EQ(first_difference(linear, engine), "");  // every message is short
  EXPECT_EQ(first_difference(linear, one_device("symmetric", {"--reduction", "nccl-symmetric"})), "");
  EXPECT_EQ(first_difference(one_device("tree", {"--reduction", "tree"}),
                             one_device("halving", {"--reduction", "halving-doubling"})),
            "");
  const auto used = record::Reader::open(engine).run().environment.collectives;
  ASSERT_EQ(used.size(), 4U);
  for (const auto& one : used) {
    EXPECT_EQ(one.library, "vllm");
    EXPECT_EQ(one.version, "0.33.0");
    EXPECT_EQ(one.algorithm, "one-stage");
    EXPECT_EQ(one.source, "model");
    EXPECT_EQ(one.trees, std::vector<std::string>{"((0+1)+2)+3"});
  }
  // Of 9 packs the last rank adds three: another map than our two-shot's.
  const auto two = record::Reader::open(one_device("two-stage", {"--reduction", "vllm-two-stage"}))
                       .run()
                       .environment.collectives;
  ASSERT_FALSE(two.empty());
  EXPECT_EQ(two.front().count, 72);
  EXPECT_EQ(two.front().segments,
            (std::vector<record::CollectiveSegment>{{0, 16, 0}, {16, 32, 1}, {32, 48, 2}, {48, 72, 3}}));
  // (bfloat16 partials are mostly added exactly in float32: float32 ones show the order.)
  const auto wide = [&](const std::string& order) {
    return record_of("tiny-llama", {1, {"--shards", "4", "--reduction", order}}, folder, "wide-" + order);
  };
  EXPECT_NE(first_difference(wide("vllm-one-stage"), wide("vllm-two-stage")), "");
}

// A row of 60 bfloat16 numbers is no multiple of 16 bytes, so vLLM's all-reduce does not take it: said before
// the run.
TEST(PublishedOrders, MessagesThatAreNotTakenAreRefused) {
  const fs::path folder = scratch("published-orders-refused");
  for (const auto& [order, said] :
       {std::pair<std::string, std::string>("vllm-one-stage", "120 bytes, which is no multiple of 16"),
        {"engine:vllm", "engine:vllm-0.33.0: there NCCL sums a message of 120 bytes"}}) {
    const Case refused{1, {"--shards", "2", "--dtype", "bfloat16", "--reduction", order}};
    const auto output = folder / "refused.h5";
    const auto finished =
        run_program(worker_command(1, run_arguments("tiny-llama-tied-rope3", refused, output, 4)));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, ::testing::HasSubstr(said));
    EXPECT_FALSE(fs::exists(output));
  }
}

// Our own all-reduces: by the shipped profile, by one that is probed here, and one-shot by its definition
// alone.
class OurCollectives : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(OurCollectives, OneDeviceGivesTheirBits) {
  const auto& [collective, ranks] = GetParam();
  const std::string n = std::to_string(ranks);
  const fs::path shipped =
      SHARDRIFT_SOURCE_DIR "/experiments/profiles/" + collective + "-" + n + "ranks.json";
  for (const std::string dtype : {"float32", "bfloat16", "float16"}) {
    const fs::path folder = scratch("prediction-" + collective + "-" + n + "-" + dtype);
    const std::vector<std::string> live{"--tensor-parallel", n, "--dtype", dtype, "--collective", collective};
    const auto real = record_of("tiny-llama", {ranks, live}, folder, "real");
    const auto one_device = [&](const std::string& name, std::vector<std::string> flags) {
      flags.insert(flags.end(), {"--shards", n, "--dtype", dtype});
      return record_of("tiny-llama", {1, flags}, folder, name);
    };
    const std::string accumulate = dtype == "float32" ? "message" : "float32";
    const auto by_profile = [&](const std::string& name, const fs::path& profile) {
      return one_device(name, {"--reduction", "profile", "--collective-profile", profile.string(),
                               "--accumulate", accumulate});
    };
    const auto predicted = by_profile("predicted", shipped);
    EXPECT_EQ(first_difference(real, predicted), "") << collective << " " << dtype;
    if (dtype == "bfloat16" && ranks == 3) {
      probe(ranks, folder / "probed.json", dtype, "1,5,17,40", {"--collective", collective, "--check"});
      EXPECT_EQ(first_difference(real, by_profile("probed", folder / "probed.json")), "") << collective;
    }
    if (dtype == "bfloat16" && collective == "one-shot") {
      const std::vector<std::string> flags{"--reduction", "linear", "--accumulate", "float32"};
      EXPECT_EQ(first_difference(real, one_device("linear", flags)), "");
    }
    // Controls: another order; of 16-bit messages, whose float32 sums are mostly exact in any order, another
    // rounding.
    if (ranks == 4) {
      const std::vector<std::string> flags{"--reduction", dtype == "float32" ? "chain" : "linear"};
      EXPECT_NE(first_difference(real, one_device("other", flags)), "") << dtype;
    }

    const auto seen = record::Reader::open(real).run().environment.collectives;
    const auto used = record::Reader::open(predicted).run().environment.collectives;
    ASSERT_EQ(seen.size(), 4U);
    ASSERT_EQ(used.size(), 4U);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].library, "shardrift");
      EXPECT_EQ(seen[i].algorithm, collective);
      EXPECT_EQ(used[i].algorithm, collective);
      EXPECT_EQ(seen[i].segments, used[i].segments);
      EXPECT_EQ(seen[i].trees, used[i].trees);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ranks, OurCollectives,
                         ::testing::Combine(::testing::Values("one-shot", "two-shot"),
                                            ::testing::Values(2, 3, 4)));

// Replicas and stages have groups of their own, each with its own memory.
TEST(OurCollectivesInGroups, HaveTheBitsOfOneGroup) {
  const fs::path folder = scratch("prediction-groups");
  const auto bits_of = [&](const std::string& name, int ranks, const std::vector<std::string>& more) {
    std::vector<std::string> flags{"--tensor-parallel", "2",       "--dtype", "bfloat16",
                                   "--collective",      "two-shot"};
    flags.insert(flags.end(), more.begin(), more.end());
    return record_of("tiny-llama", {ranks, flags}, folder, name);
  };
  const auto one = bits_of("one", 2, {});
  EXPECT_EQ(first_difference(one, bits_of("stages", 4, {"--pipeline", "2"})), "");
  EXPECT_EQ(first_difference(one, bits_of("replicas", 4, {"--replicas", "2"})), "");
}

TEST(OurCollectivesRefusals, BeforeWeightsAreRead) {
  const fs::path folder = scratch("collective-refusals");
  const auto refused = [&](int ranks, std::vector<std::string> flags) {
    auto arguments = run_arguments("tiny-llama", {ranks, std::move(flags)}, folder / "out.h5");
    const auto finished = run_program(worker_command(ranks, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_FALSE(fs::exists(folder / "out.h5.parts"));
    return finished.output;
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refused(1, {"--collective", "one-shot"}), HasSubstr("nothing is summed between ranks"));
  EXPECT_THAT(refused(2, {"--tensor-parallel", "2", "--collective", "one-shot", "--reduction", "linear"}),
              HasSubstr("--reduction linear"));
  EXPECT_THAT(refused(2, {"--tensor-parallel", "2", "--collective", "two-shot", "--mpi-allreduce", "ring"}),
              HasSubstr("--collective two-shot: the library's all-reduce is not called"));
  EXPECT_THAT(refused(2, {"--tensor-parallel", "2", "--collective", "three-shot"}),
              HasSubstr("use library, one-shot or two-shot"));
  EXPECT_THAT(
      refused(1, {"--shards", "3", "--dtype", "bfloat16", "--reduction", "profile", "--collective-profile",
                  SHARDRIFT_SOURCE_DIR "/experiments/profiles/two-shot-3ranks.json"}),
      HasSubstr("adds bfloat16 messages in float32 and rounds once: give --accumulate float32"));
}

// A run says what its collectives did, a pinned algorithm included.
TEST(PinnedRun, RecordsWhatItTook) {
  const fs::path folder = scratch("pinned-run");
  for (const auto& [flag, algorithm] : {std::pair{"auto", "recursive-doubling"}, std::pair{"ring", "ring"}}) {
    const auto record = record_of(
        "tiny-llama", {4, {"--tensor-parallel", "4", "--mpi-allreduce", flag, "--dtype", "bfloat16"}}, folder,
        flag);
    const auto reader = record::Reader::open(record);
    ASSERT_EQ(reader.run().environment.collectives.size(), 4U);
    for (const auto& seen : reader.run().environment.collectives) {
      EXPECT_EQ(seen.algorithm, algorithm) << seen.count;
      EXPECT_EQ(seen.source, "probed");
      EXPECT_FALSE(seen.version.empty());
    }
  }
}

// Without its tuned collectives OpenMPI has nothing to pin: refused before the first prompt, on every rank.
TEST(PinnedRun, APinThatIsNotHonouredIsAnError) {
  const fs::path folder = scratch("pin-not-honoured");
  setenv("OMPI_MCA_coll", "^tuned", 1);
  const auto done =
      run_program(worker_command(4, {"run", "--model", fixture("tiny-llama").string(), "--prompts",
                                     write_prompts(folder).string(), "--output", (folder / "out.h5").string(),
                                     "--tensor-parallel", "4", "--mpi-allreduce", "ring", "--quiet"}));
  unsetenv("OMPI_MCA_coll");
  EXPECT_EQ(done.code, 70) << done.output;
  EXPECT_THAT(done.output, ::testing::HasSubstr("was not honoured"));
  EXPECT_FALSE(fs::exists(folder / "out.h5"));
}

// Control: under a pinned algorithm that adds in another order the same profile no longer predicts, its own
// does.
TEST(PredictionControl, AWrongProfileIsSeen) {
  const fs::path folder = scratch("prediction-control");
  probe(4, folder / "free.json", "float32");
  probe(4, folder / "chain.json", "float32", "1,5,17,40", {"--mpi-allreduce", "basic-linear"});
  const auto real = record_of(
      "tiny-llama", {4, {"--tensor-parallel", "4", "--mpi-allreduce", "basic-linear"}}, folder, "real");
  const auto predicted = [&](const std::string& name) {
    return record_of("tiny-llama",
                     {1,
                      {"--shards", "4", "--reduction", "profile", "--collective-profile",
                       (folder / (name + ".json")).string()}},
                     folder, "predicted-" + name);
  };
  EXPECT_EQ(first_difference(real, predicted("chain")), "");
  EXPECT_NE(first_difference(real, predicted("free")), "");
}

TEST(PredictionRefusals, ProfileFlagsGoTogether) {
  const fs::path folder = scratch("prediction-refusals");
  probe(3, folder / "three.json", "float32");
  const auto refused = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments{"run",
                                       "--model",
                                       fixture("tiny-llama").string(),
                                       "--prompts",
                                       write_prompts(folder).string(),
                                       "--output",
                                       (folder / "out.h5").string()};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto finished = run_program(worker_command(1, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    return finished.output;
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(refused({"--shards", "3", "--reduction", "profile"}), HasSubstr("--collective-profile"));
  EXPECT_THAT(refused({"--collective-profile", (folder / "three.json").string()}),
              HasSubstr("--reduction profile"));
  EXPECT_THAT(refused({"--shards", "4", "--reduction", "profile", "--collective-profile",
                       (folder / "three.json").string()}),
              HasSubstr("3 ranks"));
  EXPECT_THAT(refused({"--shards", "3", "--reduction", "profile", "--dtype", "bfloat16",
                       "--collective-profile", (folder / "three.json").string()}),
              HasSubstr("bfloat16"));  // never probed
}

}  // namespace
}  // namespace shardrift::testing
