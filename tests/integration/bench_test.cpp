// shardrift-run bench on ranks: every number is there and they belong together. How fast a machine is, no
// test asks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "program.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Words = std::vector<std::string>;
using ::testing::HasSubstr;

Finished bench(const std::string& model, int ranks, const Words& flags) {
  Words words{"bench", "--model", fixture(model).string(), "--threads", "1", "--quiet"};
  words.insert(words.end(), flags.begin(), flags.end());
  if (ranks > 1) return run_program(worker_command(ranks, words));
  words.insert(words.begin(), worker_command(1, {}).back());
  return run_program(words);
}

// The keys and values of the last line.
std::map<std::string, std::string> told(const std::string& output) {
  std::map<std::string, std::string> values;
  const auto line = output.substr(output.rfind("\nresult ") + 1);
  const std::regex pair(R"((\w+)=("[^"]*"|\S+))");
  for (std::sregex_iterator it(line.begin(), line.end(), pair), end; it != end; ++it)
    values[(*it)[1]] = (*it)[2];
  return values;
}

void expect_positive(const Json& shape, const Words& keys) {
  for (const auto& key : keys) EXPECT_GT(shape.at(key).get<double>(), 0) << key << " " << shape;
}

// rows: of a decode step of all replicas.
void expect_consistent(const Finished& finished, const fs::path& file, int rows, const Words& phases) {
  ASSERT_EQ(finished.code, 0) << finished.output;
  const Json json = Json::parse(std::ifstream(file));
  const auto line = told(finished.output);
  expect_positive(json, {"product_GB_per_s", "copy_GB_per_s"});
  expect_positive(json.at("start_s"), {"libraries", "MPI", "configuration", "device", "measuring memory",
                                       "weights", "groups of ranks", "buffers", "first token"});
  ASSERT_EQ(json.at("shapes").size(), 2U);
  for (const Json& shape : json.at("shapes")) {
    const bool decode = shape.at("phase") == "decode";
    const auto name =
        shape.at("phase").get<std::string>() + "_" + std::to_string(shape.at("length").get<int>());
    expect_positive(shape,
                    {"tokens_per_s", "ms", "pass_ms", "weight_bytes", "over_products_and_collectives"});
    for (const auto& phase : phases) EXPECT_GT(shape.at("alone_ms").at(phase).get<double>(), 0) << phase;
    const double tokens = rows * (decode ? 1.0 : shape.at("length").get<double>());
    const double ms = shape.at("ms");
    EXPECT_NEAR(shape.at("tokens_per_s").get<double>() * ms, 1000 * tokens, 1e-6 * 1000 * tokens);
    EXPECT_NEAR(shape.at("pass_ms").get<double>() + shape.at("host_ms").get<double>(), ms, 1e-6 * ms);
    auto repeats = shape.at("repeats_ms").get<std::vector<double>>();
    EXPECT_EQ(repeats.size(), 3U);
    std::sort(repeats.begin(), repeats.end());
    EXPECT_DOUBLE_EQ(repeats[1], ms) << "the median";
    const double alone = shape.at("alone_ms").at("products").get<double>() +
                         shape.at("alone_ms").at("collectives").get<double>();
    EXPECT_NEAR(shape.at("over_products_and_collectives").get<double>() * alone, ms, 1e-6 * ms);
    if (decode) {
      expect_positive(shape, {"GB_per_s", "floor_ms", "floor_share", "cache_bytes"});
      EXPECT_NEAR(shape.at("floor_share").get<double>() * ms, shape.at("floor_ms").get<double>(), 1e-6 * ms);
    }
    EXPECT_NEAR(std::stod(line.at(name + "_tokens_per_s")), shape.at("tokens_per_s").get<double>(), 0.006);
    EXPECT_NEAR(std::stod(line.at(name + "_products_ms")), shape.at("alone_ms").at("products").get<double>(),
                6e-5);
  }
  for (const auto* head : {"decode 16", "prefill 12", "share of the floor", "other operations"})
    EXPECT_THAT(finished.output, HasSubstr(head));
}

TEST(Bench, MeasuresEveryPlan) {
  const Words always{"products", "attention", "other"};
  const Words tensor{"products", "attention", "other", "collectives"};
  const Words pipeline{"products", "attention", "other", "stages"};
  struct Plan {
    std::string model;
    int ranks;
    int rows;
    Words flags, phases;
  };
  const std::vector<Plan> plans{
      {"tiny-llama", 1, 1, {}, always},
      {"tiny-llama", 1, 3, {"--batch", "3", "--prefill-batch", "3", "--shards", "3"}, always},
      {"tiny-llama", 2, 1, {"--tensor-parallel", "2", "--dtype", "bfloat16"}, tensor},
      {"tiny-llama", 2, 1, {"--tensor-parallel", "2", "--collective", "one-shot"}, tensor},
      {"tiny-llama", 2, 1, {"--pipeline", "2", "--in-flight", "1"}, pipeline},
      {"tiny-llama", 2, 2, {"--replicas", "2"}, always},
      {"tiny-mixtral", 2, 1, {"--tensor-parallel", "2"}, tensor}};
  const fs::path folder = scratch("bench-plans");
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto& plan = plans[i];
    const auto file = folder / (std::to_string(i) + ".json");
    Words flags{"--context", "16", "--prefill", "12", "--tokens", "6", "--json", file.string()};
    flags.insert(flags.end(), plan.flags.begin(), plan.flags.end());
    expect_consistent(bench(plan.model, plan.ranks, flags), file, plan.rows, plan.phases);
  }
}

TEST(Bench, CountsTheRepeatsOfGroupsInFlight) {
  const auto file = scratch("bench-flight") / "out.json";
  const auto finished = bench("tiny-llama", 2,
                              {"--pipeline", "2", "--in-flight", "2", "--context", "5,16", "--tokens", "4",
                               "--prefill", "9", "--repeats", "2", "--json", file.string()});
  ASSERT_EQ(finished.code, 0) << finished.output;
  const Json json = Json::parse(std::ifstream(file));
  ASSERT_EQ(json.at("shapes").size(), 3U);
  EXPECT_EQ(json.at("shapes").at(1).at("length"), 16);
  EXPECT_EQ(json.at("shapes").at(1).at("repeats_ms").size(), 2U);
  EXPECT_EQ(json.at("shapes").at(2).at("repeats_ms").size(), 4U) << "every pass of both groups";
}

TEST(Bench, SaysWhatAMixtureCannotTell) {
  const auto finished = bench("tiny-mixtral", 1, {"--tokens", "2", "--repeats", "1"});
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(finished.output, HasSubstr("a mixture's routes are read by the host"));
}

TEST(Bench, Refuses) {
  const std::vector<std::pair<Words, std::string>> cases{
      {{"--context", "0"}, "--context 0: prompts have at least 1 token"},
      {{"--context", "5,nan"}, "--context 5,nan: 'nan' is not a number"},
      {{"--context", "5,5"}, "--context 5: is there twice"},
      {{"--context", ""}, "nothing to measure"},
      {{"--context", "16,"}, "--context 16,: '' is not a number"},
      {{"--tensor-parallel", "0"}, "--tensor-parallel 0: must be at least 1"},
      {{"--run-ahead", "on", "--in-flight", "2"}, "--run-ahead on with --in-flight 2"},
      {{"--context", "200", "--tokens", "55"},
       "--context 200: with --tokens 55 it needs 257 positions, this model has 256"},
      {{"--prefill", "257"}, "--prefill 257: this model has 256 positions"},
      {{"--tokens", "0"}, "--tokens 0: must be at least 1"},
      {{"--tokens", "2147483647"}, "positions"},
      {{"--repeats", "0"}, "--repeats 0: use 1 to 1000"},
      {{"--prompts", "p.jsonl"}, "unrecognised option '--prompts'; see shardrift-run bench --help"},
      {{"--launch", "captured"}, "--device cuda"},
      {{"--prefill-batch", "2"}, "--prefill-batch 2 with --batch 1"}};
  for (const auto& [flags, says] : cases) {
    const auto finished = bench("tiny-llama", 1, flags);
    EXPECT_EQ(finished.code, 64) << says << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(says));
  }
}

const Words kLittle{"--tokens", "1", "--context", "4", "--repeats", "1"};

// A model of its own, which a test may damage where the program would.
fs::path copied_model(const fs::path& to) {
  fs::copy(fixture("tiny-llama"), to, fs::copy_options::recursive);
  return to;
}

std::string bytes_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(BenchJson, IsNotWrittenOverWhatIsRead) {
  const auto folder = scratch("bench-json-refused");
  const auto model = copied_model(folder / "model");
  const auto names = names_in(model);
  const auto profile = folder / "profile.json";
  std::ofstream(profile) << "mine";
  const auto link = folder / "link.json";
  fs::create_symlink(model / "config.json", link);
  const std::vector<std::pair<fs::path, std::string>> cases{
      {model / "config.json", "is one of the files that are read; name another"},
      {model / "model.safetensors", "is one of the files that are read; name another"},
      {model / "new.json", "which is read; name another folder"},
      {link, "is one of the files that are read; name another"},
      {profile, "is one of the files that are read; name another"}};
  for (const auto& [json, says] : cases) {
    const auto before = bytes_of(json);
    const auto finished =
        bench(model, 1, {"--collective-profile", profile.string(), "--json", json.string()});
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("--json " + json.string() + ": "));
    EXPECT_THAT(finished.output, HasSubstr(says));
    EXPECT_EQ(bytes_of(json), before) << json;
  }
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(names_in(model), names);
}

TEST(BenchJson, WhereItCannotBeWrittenIsKnownBeforeAnythingIsMeasured) {
  const auto folder = scratch("bench-json-nowhere");
  fs::create_directory(folder / "d");
  for (const auto& [json, why] : {std::pair{folder / "none" / "b.json", "No such file or directory"},
                                  std::pair{folder / "d", "Is a directory"}}) {
    const auto finished = bench("tiny-llama", 1, {"--json", json.string()});
    EXPECT_EQ(finished.code, 70) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("--json " + json.string() + ": cannot be written: " + why));
    EXPECT_EQ(finished.output.find("memory:"), std::string::npos);
  }
  EXPECT_EQ(names_in(folder), Words{"d"});
}

TEST(BenchJson, ALinksTargetIsWrittenAndNothingBesideIt) {
  const auto folder = scratch("bench-json-link");
  fs::create_directory(folder / "results");
  std::ofstream(folder / "results" / "b.json") << "earlier";
  std::ofstream(folder / "results" / "b.json.tmp") << "somebody's";
  fs::create_symlink("results/b.json", folder / "link.json");
  auto flags = kLittle;
  flags.insert(flags.end(), {"--json", (folder / "link.json").string()});
  const auto finished = bench("tiny-llama", 1, flags);
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_TRUE(fs::is_symlink(folder / "link.json"));
  EXPECT_EQ(Json::parse(bytes_of(folder / "results" / "b.json")).at("shapes").size(), 1U);
  EXPECT_EQ(bytes_of(folder / "results" / "b.json.tmp"), "somebody's");
  EXPECT_EQ(names_in(folder / "results"), (Words{"b.json", "b.json.tmp"}));
}

// Opened here for both, so that neither side waits for the other; a pipe takes all of it.
TEST(BenchJson, APipeIsWrittenInto) {
  const auto pipe = scratch("bench-json-pipe") / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int descriptor = open(pipe.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(descriptor, 0);
  auto flags = kLittle;
  flags.insert(flags.end(), {"--json", pipe.string()});
  const auto finished = bench("tiny-llama", 1, flags);
  EXPECT_EQ(finished.code, 0) << finished.output;
  std::string text(std::size_t{1} << 16U, '\0');
  const auto bytes = read(descriptor, text.data(), text.size());
  close(descriptor);
  ASSERT_GT(bytes, 0);
  text.resize(static_cast<std::size_t>(bytes));
  EXPECT_EQ(Json::parse(text).at("shapes").size(), 1U);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(BenchJson, NamesMayBeAnyBytes) {
  const auto folder = scratch("bench-json-bytes");
  const auto model = copied_model(folder / "mod\xe9le");
  const auto json = folder / "r\xe9sultat.json";
  Words flags{"--prefill", "4", "--context", "", "--repeats", "1", "--json", json.string()};
  const auto finished = bench(model, 1, flags);
  ASSERT_EQ(finished.code, 0) << finished.output;
  EXPECT_THAT(Json::parse(bytes_of(json)).at("command").get<std::string>(), HasSubstr("mod\uFFFDle"));
  EXPECT_EQ(finished.output.find("decoded after each context"), std::string::npos) << finished.output;
}

// What OpenMPI was told by the environment, as it says itself.
TEST(Bench, OneRankLooksForNoNetworks) {
  const auto told = [](int ranks, const std::string& chosen) {
    setenv("OMPI_MCA_mpi_show_mca_params", "enviro", 1);
    if (!chosen.empty()) setenv("OMPI_MCA_pml", chosen.c_str(), 1);
    Words flags{"--tokens", "1", "--repeats", "1", "--replicas", std::to_string(ranks)};
    const auto finished = bench("tiny-llama", ranks, flags);
    unsetenv("OMPI_MCA_mpi_show_mca_params");
    unsetenv("OMPI_MCA_pml");
    EXPECT_EQ(finished.code, 0) << finished.output;
    return finished.output;
  };
  EXPECT_THAT(told(1, ""),
              ::testing::AllOf(HasSubstr("pml=ob1 (environment)"), HasSubstr("btl=self (environment)")));
  EXPECT_THAT(told(1, "^ucx"), HasSubstr("pml=^ucx (environment)")) << "the user's choice";
  EXPECT_THAT(told(2, ""), ::testing::Not(HasSubstr("pml=ob1")));
}

TEST(Bench, Help) {
  const auto help = run_program({worker_command(1, {}).back(), "bench", "--help"});
  EXPECT_EQ(help.code, 0);
  for (const auto* said :
       {"--context", "--tensor-parallel", "--nccl-algorithm", "products alone is the floor"})
    EXPECT_THAT(help.output, HasSubstr(said));
  for (const Words& words :
       {Words{"--model", "none", "--help"}, {"-h"}, {"--json", "b.json", "-h", "--quiet"}}) {
    Words command{worker_command(1, {}).back(), "bench"};
    command.insert(command.end(), words.begin(), words.end());
    const auto asked = run_program(command);
    EXPECT_EQ(asked.code, 0) << asked.output;
    EXPECT_EQ(asked.output, help.output);
  }
  for (const Words& words : {Words{"run", "--model", "none", "-h"}, {"probe", "--quiet", "--help"}}) {
    Words command{worker_command(1, {}).back()};
    command.insert(command.end(), words.begin(), words.end());
    const auto asked = run_program(command);
    EXPECT_EQ(asked.code, 0) << asked.output;
    EXPECT_THAT(asked.output, HasSubstr("shardrift-run " + words[0] + ": "));
  }
}

}  // namespace
}  // namespace shardrift::testing
