// Bit equality of whole runs on GPUs, as far as there are GPUs. The CPU counterpart is
// integration/equality_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <future>
#include <map>
#include <ostream>
#include <set>
#include <sstream>

#include "model/cuda/cuda_device.hpp"
#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// whole_traces: where the plans deal shards differently; positions: where passes have other rows
enum class What { logits, positions, traces, whole_traces };

// Runs that must record the same bits as the first of them.
struct Comparison {
  std::string name;
  std::string model;
  What what = What::logits;
  std::vector<Case> cases;
};

void PrintTo(const Comparison& comparison, std::ostream* out) {
  *out << comparison.name;
}

// Stands for the first run's record among flags.
constexpr const char* kFirst = "@first";

Words joined(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

Case shards(int s, int ranks, const std::string& order = "linear", const Words& more = {}) {
  return {ranks, joined({"--shards", std::to_string(s), "--tensor-parallel", std::to_string(ranks),
                         "--reduction", order},
                        more)};
}

void add_to_all(std::vector<Case>& cases, const Words& flags) {
  for (auto& one : cases) one.flags = joined(one.flags, flags);
}

std::vector<Comparison> comparisons_of(const std::string& dtype) {
  std::vector<Comparison> all{{"stages",
                               "tiny-llama",
                               What::logits,
                               {{1, {}},
                                {1, {}},
                                {2, {"--pipeline", "2"}},
                                {2, {"--pipeline", "2", "--stage-layers", "1,4"}},
                                {2, {"--replicas", "2"}},
                                {4, {"--pipeline", "4"}}}}};
  for (const std::string model : {"tiny-llama", "tiny-mistral", "tiny-qwen2", "tiny-qwen3", "tiny-internlm2",
                                  "tiny-gemma2", "tiny-gemma3", "tiny-phi3", "tiny-olmo2", "tiny-olmo3",
                                  "tiny-granite", "tiny-mixtral", "tiny-qwen3-moe", "tiny-gpt-oss"})
    all.push_back({"shards-" + model, model, What::logits, {shards(4, 1), shards(4, 2), shards(4, 4)}});
  // The order is the plan's: the same bits on every number of GPUs.
  for (const std::string order : {"chain", "ring", "tree", "tree:7", "perm:2,0,3,1", "exact"})
    for (const Words& partial : {Words{}, Words{"--partial", "float32"}})
      all.push_back(
          {"order-" + order + (partial.empty() ? "" : "-" + partial[1]),
           "tiny-llama",
           What::logits,
           {shards(4, 1, order, partial), shards(4, 2, order, partial), shards(4, 4, order, partial)}});
  // NCCL's all-reduce of two ranks has one order.
  all.push_back({"native", "tiny-llama", What::logits, {shards(2, 1), {2, {"--tensor-parallel", "2"}}}});
  // Our own add in a stated order, in float32, and round once.
  const Words once{"--accumulate", "float32"};
  for (const int ranks : {2, 3, 4}) {
    const std::string n = std::to_string(ranks);
    const auto live = [&](const std::string& collective) -> Case {
      return {ranks, {"--tensor-parallel", n, "--collective", collective}};
    };
    const std::string profile = SHARDRIFT_SOURCE_DIR "/experiments/profiles/two-shot-" + n + "ranks.json";
    all.push_back(
        {"one-shot-" + n, "tiny-llama", What::logits, {shards(ranks, 1, "linear", once), live("one-shot")}});
    all.push_back(
        {"two-shot-" + n,
         "tiny-llama",
         What::logits,
         {shards(ranks, 1, "profile", joined(once, {"--collective-profile", profile})), live("two-shot")}});
  }
  // Weights are quantized before they are sharded.
  for (const std::string quantize : {"int8", "int4", "nf4", "fp8", "fp8-block"}) {
    const Words words{"--quantize", quantize};
    all.push_back(
        {"quantize-" + quantize,
         "tiny-llama",
         What::logits,
         {shards(4, 1, "linear", words), shards(4, 2, "linear", words), shards(4, 4, "linear", words)}});
    all.push_back({"quantize-native-" + quantize,
                   "tiny-llama",
                   What::logits,
                   {shards(2, 1, "linear", words), {2, joined({"--tensor-parallel", "2"}, words)}}});
  }
  // Several prompts in one prefill pass.
  const Words together{"--batch", "4", "--prefill-batch", "3"};
  all.push_back({"prefill-batch",
                 "tiny-llama",
                 What::logits,
                 {shards(4, 1, "linear", together), shards(4, 2, "linear", together),
                  shards(4, 4, "linear", together)}});
  all.push_back({"prefill-batch-stages",
                 "tiny-mistral",
                 What::logits,
                 {{1, together},
                  {2, joined(together, {"--pipeline", "2"})},
                  {2, joined(together, {"--replicas", "2"})}}});

  // A row's bits are its own: alone, among others, decoded, prefilled, on shards that cut columns alone.
  const Words fixed{"--products", "fixed"};
  for (const std::string model : {"tiny-llama", "tiny-gemma3", "tiny-mixtral"})
    all.push_back({"fixed-batches-" + model,
                   model,
                   What::logits,
                   {{1, fixed},
                    {1, joined(fixed, {"--batch", "3"})},
                    {1, joined(fixed, together)},
                    {2, joined(joined(fixed, together), {"--pipeline", "2"})}}});
  all.push_back({"fixed-launch",
                 "tiny-llama",
                 What::logits,
                 {{1, joined(fixed, {"--launch", "eager", "--run-ahead", "off"})},
                  {1, joined(fixed, {"--launch", "eager"})},
                  {1, joined(fixed, {"--launch", "captured"})},
                  {1, joined(joined(fixed, together), {"--launch", "captured"})}}});
  all.push_back({"fixed-prefill",
                 "tiny-llama",
                 What::positions,
                 {{1, fixed}, {1, joined(fixed, {"--mode", "score", "--follow", kFirst})}}});
  const Words gathers = joined(fixed, {"--row-linear", "gather"});
  all.push_back({"fixed-gather",
                 "tiny-llama",
                 What::logits,
                 {{1, fixed},
                  {1, joined(gathers, {"--shards", "2"})},
                  {1, joined(gathers, {"--shards", "4"})},
                  {2, joined(gathers, {"--tensor-parallel", "2"})}}});
  all.push_back({"fixed-native",
                 "tiny-llama",
                 What::logits,
                 {shards(2, 1, "linear", fixed), {2, joined(fixed, {"--tensor-parallel", "2"})}}});
  all.push_back(
      {"fixed-shards",
       "tiny-llama",
       What::logits,
       {shards(4, 1, "linear", joined(fixed, {"--launch", "eager"})),
        shards(4, 1, "linear", joined(fixed, {"--launch", "captured"})), shards(4, 2, "linear", fixed),
        shards(4, 2, "linear", joined(fixed, together)), shards(4, 4, "linear", fixed)}});

  // Weights that stay coded, and those that a cut leaves plain: one device's bits.
  for (const std::string quantize : {"int8", "int4", "nf4", "fp8", "fp8-block"}) {
    const Words coded = joined(fixed, {"--quantize", quantize});
    const Words cut = joined(coded, {"--row-linear", "gather"});
    all.push_back({"fixed-quantize-" + quantize,
                   "tiny-llama",
                   What::logits,
                   {{1, coded},
                    {1, joined(coded, together)},
                    {1, joined(coded, {"--launch", "captured"})},
                    {1, joined(cut, {"--shards", "2"})},
                    {1, joined(cut, {"--shards", "4"})},
                    {2, joined(cut, {"--tensor-parallel", "2"})}}});
  }

  // Experts: one after the other where they are traced, else at once, and captured where the dtype allows it.
  const Words by_expert = joined(fixed, {"--checksums"});
  const Words at_once = joined(fixed, dtype == "float32" ? Words{} : Words{"--launch", "captured"});
  for (const std::string model : {"tiny-mixtral", "tiny-qwen3-moe", "tiny-gpt-oss"}) {
    all.push_back({"fixed-experts-" + model,
                   model,
                   What::logits,
                   {{1, by_expert},
                    {1, joined(fixed, {"--launch", "eager", "--run-ahead", "off"})},
                    {1, joined(fixed, {"--launch", "eager"})},
                    {1, at_once},
                    {1, joined(at_once, {"--run-ahead", "off"})},
                    {1, joined(at_once, {"--batch", "3"})},
                    {1, joined(at_once, together)},
                    {1, joined(at_once, {"--shards", "2", "--row-linear", "gather"})},
                    {2, joined(at_once, {"--tensor-parallel", "2", "--row-linear", "gather"})},
                    {2, joined(at_once, {"--pipeline", "2", "--in-flight", "2"})}}});
    for (const Words& more : {Words{},
                              {"--expert-parallel"},
                              {"--partial", "rounded"},
                              {"--partial", "float32", "--expert-sum", "float32"}})
      all.push_back(
          {"fixed-experts-shards" + (more.empty() ? "" : more.back() + more.front()) + "-" + model,
           model,
           What::logits,
           {shards(4, 1, "linear", joined(by_expert, more)),
            shards(4, 1, "linear", joined(joined(fixed, {"--launch", "eager"}), more)),
            shards(4, 1, "linear", joined(at_once, more)),
            shards(4, 1, "linear", joined(joined(at_once, together), more)),
            shards(4, 2, "linear", joined(at_once, more)), shards(4, 4, "linear", joined(at_once, more))}});
  }
  for (const std::string quantize : {"int8", "int4", "nf4", "fp8", "fp8-block"})
    all.push_back({"fixed-experts-quantize-" + quantize,
                   "tiny-mixtral",
                   What::logits,
                   {{1, joined(by_expert, {"--quantize", quantize})},
                    {1, joined(at_once, {"--quantize", quantize})},
                    {1, joined(joined(at_once, together), {"--quantize", quantize})}}});
  const Words replayed{"--mode", "follow", "--follow", kFirst, "--replay-routes", kFirst};
  all.push_back({"fixed-experts-replayed",
                 "tiny-mixtral",
                 What::logits,
                 {{1, at_once}, {1, joined(by_expert, replayed)}, {1, joined(at_once, replayed)}}});

  // However passes follow each other, eager or captured.
  const Words captured{"--launch", "captured"};
  const Words eager{"--launch", "eager"};
  const Words waits = joined(eager, {"--run-ahead", "off"});
  for (const std::string model : {"tiny-llama", "tiny-gemma2", "tiny-phi3", "tiny-olmo2"})
    all.push_back({"launch-" + model,
                   model,
                   What::logits,
                   {{1, waits}, {1, eager}, {1, captured}, {1, joined(captured, {"--run-ahead", "off"})}}});
  all.push_back({"launch-batch",
                 "tiny-llama",
                 What::logits,
                 {{1, joined(together, waits)}, {1, joined(together, captured)}}});
  all.push_back({"launch-stages",
                 "tiny-llama",
                 What::logits,
                 {{1, waits},
                  {1, captured},
                  {2, joined(eager, {"--pipeline", "2", "--in-flight", "2"})},
                  {2, joined(captured, {"--pipeline", "2", "--in-flight", "3"})},
                  {4, joined(captured, {"--pipeline", "4", "--in-flight", "4"})}}});
  all.push_back({"launch-shards",
                 "tiny-llama",
                 What::logits,
                 {shards(4, 1, "linear", waits), shards(4, 1, "linear", captured),
                  shards(4, 2, "linear", captured), shards(4, 4, "linear", captured)}});
  // Shards that one device hosts: one after another where they are traced, else at once.
  const Words traced_ones{"--checksums"};
  for (const int s : {2, 3, 4, 8})
    all.push_back({"branches-" + std::to_string(s),
                   "tiny-llama",
                   What::logits,
                   {shards(s, 1, "linear", traced_ones), shards(s, 1, "linear", waits),
                    shards(s, 1, "linear", captured)}});
  for (const std::string model : {"tiny-olmo2", "tiny-qwen3", "tiny-gemma3"})
    all.push_back({"branches-" + model,
                   model,
                   What::logits,
                   {shards(4, 1, "linear", traced_ones), shards(4, 1, "linear", captured),
                    shards(4, 2, "linear", captured)}});
  for (const Words& more : {Words{"--partial", "rounded"}, Words{"--quantize", "int8"}})
    all.push_back({"branches" + more[0].substr(1) + "-" + more[1],
                   "tiny-llama",
                   What::logits,
                   {shards(4, 1, "linear", joined(traced_ones, more)),
                    shards(4, 1, "linear", joined(captured, more))}});
  all.push_back({"branches-gather",
                 "tiny-llama",
                 What::logits,
                 {{1, {"--shards", "4", "--row-linear", "gather", "--checksums"}},
                  {1, {"--shards", "4", "--row-linear", "gather", "--launch", "captured"}}}});
  for (const std::string row_linear : {"reduce", "gather"}) {
    const Words words{"--tensor-parallel", "2", "--row-linear", row_linear};
    all.push_back({"launch-" + row_linear,
                   "tiny-llama",
                   What::logits,
                   {{2, joined(words, waits)}, {2, joined(words, eager)}, {2, joined(words, captured)}}});
  }

  // Checksums of every operation and the residual stream of every layer: shards add up, whoever hosts them.
  std::vector<Comparison> traced{
      {"stages",
       "tiny-llama",
       What::traces,
       {{1, {}}, {1, {}}, {2, {"--pipeline", "2"}}, {2, {"--replicas", "2"}}}},
      {"shards", "tiny-llama", What::traces, {shards(4, 1), shards(4, 2), shards(4, 4)}},
      {"rounded",
       "tiny-llama",
       What::whole_traces,
       {{1, {"--partial", "rounded"}}, {1, {"--partial", "float32", "--reduction", "linear"}}}},
      {"exact",
       "tiny-exact-bf16",
       What::whole_traces,
       {{1, {}}, {1, together}, shards(2, 1), shards(3, 1), {2, {"--tensor-parallel", "2"}}}}};
  for (auto& comparison : traced) {
    comparison.name = "traces-" + comparison.name;
    add_to_all(comparison.cases, {"--record", "hidden", "--checksums"});
    all.push_back(std::move(comparison));
  }
  for (auto& comparison : all) {
    comparison.name += "-" + dtype;
    add_to_all(comparison.cases, {"--dtype", dtype});
  }
  return all;
}

std::vector<Comparison> all_comparisons() {
  std::vector<Comparison> all;
  for (const auto* dtype : {"float32", "float16", "bfloat16"})
    for (auto& comparison : comparisons_of(dtype)) all.push_back(std::move(comparison));
  Comparison exact{"exact-under-every-plan",
                   "tiny-exact-bf16",
                   What::logits,
                   {{1, {}},
                    shards(2, 1),
                    shards(3, 1),
                    shards(32, 1),
                    {2, {"--tensor-parallel", "2"}},
                    {2, {"--pipeline", "2"}},
                    {3, {"--tensor-parallel", "3"}},
                    {4, {"--tensor-parallel", "4"}},
                    {4, {"--tensor-parallel", "2", "--pipeline", "2"}}}};
  add_to_all(exact.cases, {"--dtype", "bfloat16"});
  all.push_back(std::move(exact));
  for (auto& comparison : all) add_to_all(comparison.cases, {"--device", "cuda"});
  return all;
}

std::string test_name(const Comparison& comparison) {
  std::string name = comparison.name;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

// Of the comparisons, those that the tests to be run ask for (--gtest_filter).
std::vector<Comparison> wanted_comparisons() {
  std::set<std::string> wanted;
  const auto* tests = ::testing::UnitTest::GetInstance();
  for (int s = 0; s < tests->total_test_suite_count(); ++s) {
    const auto* suite = tests->GetTestSuite(s);
    for (int t = 0; t < suite->total_test_count(); ++t) {
      const auto* test = suite->GetTestInfo(t);
      if (!test->should_run() || test->value_param() == nullptr) continue;
      const std::string name = test->name();
      const std::string parameter = name.substr(name.find('/') + 1);
      wanted.insert(parameter);
      for (const auto* of_program : {"stages_", "shards_"}) wanted.insert(of_program + parameter);
    }
  }
  std::vector<Comparison> comparisons = all_comparisons();
  std::erase_if(comparisons, [&](const Comparison& one) { return !wanted.contains(test_name(one)); });
  return comparisons;
}

// Every run of the comparisons that the GPUs here allow, made when first asked for: the ranks of one count
// are started once (run_cases) and make all of its runs.
class Records {
 public:
  static const Records& all() {
    static const Records records;
    return records;
  }
  // What the ranks said where a run failed; then records are missing.
  const std::string& failure() const { return failure_; }
  const std::vector<fs::path>& of(const Comparison& comparison) const { return paths_.at(comparison.name); }

 private:
  Records() {
    const int gpus = cuda_device_count();
    std::map<int, std::vector<std::string>> commands;  // by ranks: each comparison's lines
    for (const auto& comparison : wanted_comparisons()) {
      const fs::path folder = scratch("gpu-" + test_name(comparison));
      auto& paths = paths_[comparison.name];
      std::map<int, std::string> lines;
      for (const auto& one : comparison.cases) {
        if (one.ranks > gpus) continue;
        paths.push_back(folder / (std::to_string(paths.size()) + ".h5"));
        for (const auto& word : run_arguments(comparison.model, one, paths.back()))
          lines[one.ranks] += (word == kFirst ? paths.front().string() : word) + '\t';
        lines[one.ranks] += '\n';
      }
      for (auto& [ranks, text] : lines) commands[ranks].push_back(std::move(text));
    }
    const fs::path folder = scratch("gpu-cases");
    for (const auto& [ranks, lines] : commands) {
      // A run that needs no other GPU waits for the host most of the time: several at once.
      const std::size_t programs = ranks == 1 ? std::min<std::size_t>(lines.size(), 6) : 1;
      std::vector<std::future<Finished>> running;
      for (std::size_t p = 0; p < programs; ++p) {
        const fs::path file = folder / (std::to_string(ranks) + "-" + std::to_string(p));
        std::ofstream to(file);
        for (std::size_t i = p; i < lines.size(); i += programs) to << lines[i];
        to.close();
        running.push_back(std::async(std::launch::async, [ranks = ranks, file] {
          return run_program({"mpirun", "-np", std::to_string(ranks), SHARDRIFT_BINARY_DIR "/tests/run_cases",
                              file.string()});
        }));
      }
      for (auto& one : running)
        if (const auto finished = one.get(); finished.code != 0)
          failure_ += std::to_string(ranks) + " ranks: " + finished.output;
    }
  }

  std::map<std::string, std::vector<fs::path>> paths_;
  std::string failure_;
};

std::string difference_of(What what, const fs::path& one, const fs::path& other) {
  if (what == What::logits) return first_difference(one, other);
  if (what == What::positions) return first_difference_by_position(one, other);
  return first_trace_difference(one, other, what == What::traces);
}

class GpuEquality : public ::testing::TestWithParam<Comparison> {};

TEST_P(GpuEquality, EveryRunRecordsTheBitsOfTheFirst) {
  const auto& comparison = GetParam();
  ASSERT_EQ(Records::all().failure(), "");
  const auto& records = Records::all().of(comparison);
  if (comparison.what == What::logits && records.size() < 2)
    GTEST_SKIP() << cuda_device_count() << " GPU(s): nothing to compare";
  for (const auto& record : records) {
    const std::string difference = difference_of(comparison.what, records[0], record);
    EXPECT_EQ(difference, "") << record;
  }
}

INSTANTIATE_TEST_SUITE_P(Plans, GpuEquality, ::testing::ValuesIn(all_comparisons()),
                         [](const auto& one) { return test_name(one.param); });

// The program itself, in processes of their own: on one GPU, and on as many as there are.
class GpuProgram : public ::testing::TestWithParam<const char*> {};

TEST_P(GpuProgram, RecordsTheSameInProcessesOfItsOwn) {
  ASSERT_EQ(Records::all().failure(), "");
  const auto comparisons = comparisons_of(GetParam());
  const fs::path folder = scratch(std::string("gpu-program-") + GetParam());
  std::set<int> counts{1};
  const int gpus = cuda_device_count();
  counts.insert(gpus >= 4 ? 4 : gpus >= 2 ? 2 : 1);
  for (const int ranks : counts) {
    const auto& comparison = comparisons[ranks == 1 ? 0 : 1];  // stages, shards
    const auto one = std::find_if(comparison.cases.begin(), comparison.cases.end(),
                                  [&](const Case& c) { return c.ranks == ranks; });
    ASSERT_NE(one, comparison.cases.end());
    const auto record = record_of(comparison.model, {ranks, joined(one->flags, {"--device", "cuda"})}, folder,
                                  std::to_string(ranks));
    if (::testing::Test::HasFailure()) return;
    EXPECT_EQ(first_difference(Records::all().of(comparison)[0], record), "") << ranks << " ranks";
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, GpuProgram, ::testing::Values("float32", "float16", "bfloat16"),
                         [](const auto& dtype) { return std::string(dtype.param); });

TEST(GpuBadInput, MoreRanksThanGpusAreRefused) {
  const int ranks = cuda_device_count() + 1;
  const auto folder = scratch("gpu-ranks");
  const auto finished = run_program(worker_command(
      ranks,
      {"run", "--model", fixture("tiny-llama").string(), "--prompts", write_prompts(folder).string(),
       "--output", (folder / "out.h5").string(), "--device", "cuda", "--replicas", std::to_string(ranks)}));
  EXPECT_EQ(finished.code, 64) << finished.output;
  EXPECT_NE(finished.output.find("GPU"), std::string::npos) << finished.output;
}

}  // namespace
}  // namespace shardrift::testing
