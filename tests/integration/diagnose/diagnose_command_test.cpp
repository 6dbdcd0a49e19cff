// shardrift diagnose: its runs through the worker, on records of real ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

struct Diagnosed {
  Finished finished;
  json document;  // null where there is none
};

Diagnosed diagnose(const fs::path& folder, const fs::path& reference, const fs::path& candidate,
                   const std::vector<std::string>& more = {}) {
  const fs::path out = folder / "diagnosis.json";
  fs::remove(out);
  std::vector<std::string> command{SHARDRIFT_BINARY_DIR "/bin/shardrift",
                                   "diagnose",
                                   reference.string(),
                                   candidate.string(),
                                   "--model",
                                   fixture("tiny-llama").string(),
                                   "--output",
                                   (folder / candidate.stem()).string(),
                                   "--json",
                                   out.string(),
                                   "--device",
                                   "cpu"};
  command.insert(command.end(), more.begin(), more.end());
  Diagnosed diagnosed{run_program(command), nullptr};
  if (fs::exists(out)) diagnosed.document = json::parse(std::ifstream(out));
  return diagnosed;
}

Case sketched(Case what) {
  what.flags.insert(what.flags.end(), {"--sketches", "--record", "hidden"});
  return what;
}

TEST(DiagnoseCommand, RealRanksAreNoise) {
  const fs::path folder = scratch("diagnose-ranks");
  const auto one = record_of("tiny-llama", sketched({1, {"--dtype", "bfloat16"}}), folder, "one", 3);
  const auto tp3 = record_of("tiny-llama",
                             sketched({3, {"--dtype", "bfloat16", "--tensor-parallel", "3", "--batch", "2"}}),
                             folder, "tp3", 3);
  const auto found = diagnose(folder, one, tp3);
  ASSERT_EQ(found.finished.code, 0) << found.finished.output;
  EXPECT_THAT(found.finished.output,
              AllOf(HasSubstr("noise\n"), HasSubstr("tp3 has every bit of its own plan")));
  EXPECT_EQ(found.document["sides"][0]["bit_equal"], true);
  EXPECT_EQ(found.document["sides"][1]["bit_equal"], false);
  // Without sketches and hidden states the logits say it too.
  const auto plain =
      record_of("tiny-llama", {3, {"--dtype", "bfloat16", "--tensor-parallel", "3", "--batch", "2"}}, folder,
                "plain", 3);
  const auto by_logits = diagnose(folder, one, plain);
  EXPECT_EQ(by_logits.finished.code, 0) << by_logits.finished.output;
  EXPECT_EQ(by_logits.document["sides"][0]["seen"], "logits");
  // Finished runs are kept.
  EXPECT_THAT(diagnose(folder, one, plain).finished.output, HasSubstr("done already"));
}

// Another checkpoint of the same shape: the record says so, and the numbers say where.
TEST(DiagnoseCommand, OtherWeightsAreADefectFromTheEmbeddingOn) {
  const fs::path folder = scratch("diagnose-weights");
  const auto one =
      record_of("tiny-llama", sketched({1, {"--dtype", "float32", "--mode", "score"}}), folder, "one", 2);
  const auto other = record_of(
      "tiny-sharded", sketched({2, {"--dtype", "float32", "--mode", "score", "--tensor-parallel", "2"}}),
      folder, "other", 2);
  const auto found = diagnose(folder, one, other);
  ASSERT_EQ(found.finished.code, 1) << found.finished.output;
  EXPECT_THAT(found.finished.output, AllOf(HasSubstr("defect: embedding;"), HasSubstr("other weights: ")));
  EXPECT_EQ(found.document["defect"]["operation"], "embedding");
  EXPECT_EQ(found.document["other_weights"], true);
}

TEST(DiagnoseCommand, RefusesWhatItCannotUse) {
  const fs::path folder = scratch("diagnose-refused");
  const auto run = [](const std::vector<std::string>& words) {
    std::vector<std::string> command{SHARDRIFT_BINARY_DIR "/bin/shardrift", "diagnose"};
    command.insert(command.end(), words.begin(), words.end());
    return run_program(command);
  };
  EXPECT_EQ(run({"a.h5"}).code, 64);
  EXPECT_THAT(run({"a.h5", "b.h5"}).output, HasSubstr("--model DIR is needed"));
  EXPECT_EQ(run({"a.h5", "b.h5", "--model", fixture("tiny-llama").string()}).code, 65);
  EXPECT_THAT(run({"--help"}).output, HasSubstr("cannot tell"));
  const auto one = record_of("tiny-llama", {1, {"--mode", "score"}}, folder, "one", 1);
  const auto over =
      run({one.string(), one.string(), "--model", fixture("tiny-llama").string(), "--json", one.string()});
  EXPECT_EQ(over.code, 64) << over.output;
  // The candidate is no repeat of itself.
  const auto itself =
      run({one.string(), one.string(), "--model", fixture("tiny-llama").string(), "--repeat", one.string()});
  EXPECT_EQ(itself.code, 65) << itself.output;
  EXPECT_THAT(itself.output, HasSubstr("it is the same file"));
  // Another epsilon of the norms in the directory, which no record was made with.
  const fs::path other = folder / "other";
  fs::copy(fixture("tiny-llama"), other);
  auto config = json::parse(std::ifstream(other / "config.json"));
  config["rms_norm_eps"] = 0.001;
  std::ofstream(other / "config.json") << config;
  const auto refused = run({one.string(), one.string(), "--model", other.string()});
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output,
              AllOf(HasSubstr("was made with another model: its config.json says rms_norm_eps "),
                    HasSubstr(" 0.001: give its own --model")));
}

}  // namespace
}  // namespace shardrift::testing
