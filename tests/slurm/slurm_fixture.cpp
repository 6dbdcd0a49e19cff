#include "slurm_fixture.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <regex>

#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::unique_ptr<Cluster>& cluster() {
  static std::unique_ptr<Cluster> one;
  return one;
}

// Ends with the program, after the last test of whichever suite.
class StopCluster : public ::testing::Environment {
  void TearDown() override { cluster().reset(); }
};
const auto* const kStop = ::testing::AddGlobalTestEnvironment(new StopCluster);

}  // namespace

bool queue_is_empty() {
  return run_program({"squeue", "--noheader"}).output.empty();
}

void Slurm::SetUpTestSuite() {
  if (cluster() || !slurm_missing().empty()) return;
  setenv("CREDENTIALS_EXPIRE", "3600", 1);  // a requeued job waits until start_again
  cluster() = std::make_unique<Cluster>(std::vector<std::string>{"h1:2", "a1:2", "c1"});
  setenv("SHARDRIFT_RUN", SHARDRIFT_BINARY_DIR "/bin/shardrift-run", 1);
}

void Slurm::SetUp() {
  if (const auto missing = slurm_missing(); !missing.empty()) {
    if (std::getenv("SHARDRIFT_REQUIRE_SLURM") != nullptr) FAIL() << missing;
    GTEST_SKIP() << missing;
  }
  folder_ = scratch("slurm/" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
}

void Slurm::TearDown() {
  if (!cluster()) return;
  unsetenv("SHARDRIFT_HOLD");
  run_program({"scancel", "--user=" + std::to_string(geteuid())});
  EXPECT_TRUE(wait_on_slurm("an empty queue", queue_is_empty));
  if (HasFailure() && !folder_.empty()) {
    std::printf("%s\n", status().c_str());
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_ / "out/slurm/logs", ignored))
      if (!entry.is_symlink())
        std::printf("==> %s\n%s", entry.path().c_str(), contents(entry.path()).c_str());
  }
}

void Slurm::write(const std::string& name, const std::string& text) const {
  std::ofstream(folder_ / name) << text;
}

void Slurm::write_site(const std::map<std::string, std::string>& keys) const {
  std::map<std::string, std::string> all{{"time_limit", "\"60\""},
                                         {"gpus", "\"none\""},
                                         {"ranks_per_node", "4"},
                                         {"cpus", "1"},
                                         {"signal_seconds", "10"}};
  for (const auto& [key, value] : keys) all[key] = value;
  std::string text;
  for (const auto& [key, value] : all) text += key + " = " + value + "\n";
  write("site.toml", text);
}

void Slurm::write_study(const std::string& more, const std::string& run, int prompts) const {
  const auto file = write_prompts(folder_, prompts);
  write("study.toml", "[run]\nmodel = \"" + fixture("tiny-llama").string() + "\"\nprompts = \"" +
                          file.filename().string() + "\"\ndtype = \"float32\"\nignore-eos = true\n" + run +
                          "[reference]\n[[candidate]]\nname = \"tp2\"\ntensor-parallel = 2\n"
                          "[[candidate]]\nname = \"pp2\"\npipeline = 2\n" +
                          more);
}

Finished Slurm::submit(std::vector<std::string> more) const {
  std::vector<std::string> words{"submit", "study.toml", "--profile", "./site.toml", "--output", "out"};
  words.insert(words.end(), more.begin(), more.end());
  return shardrift(folder_, words);
}

std::string Slurm::status() const {
  return shardrift(folder_, {"status", "out"}).output;
}

std::string Slurm::wait_for_end() const {
  std::string text;
  const auto ended = wait_on_slurm("the end of the study", [&] {
    const auto asked = shardrift(folder_, {"status", "out"});
    text = asked.output;
    return asked.code == 0 || asked.code == 70;
  });
  EXPECT_TRUE(ended) << text;
  return text;
}

void Slurm::hold(const std::string& where) {
  setenv("SHARDRIFT_HOLD", where.c_str(), 1);
}

::testing::AssertionResult Slurm::says(const std::string& name, const std::string& words) const {
  std::string text;
  auto told =
      wait_on_slurm(name + ": " + words, [&] { return (text = row(name)).find(words) != std::string::npos; });
  return told ? told : told << "; its row is\n" << text << "\nand its log\n" << log(name);
}

void Slurm::start_again(const std::string& name) const {
  ASSERT_TRUE(says(name, "was requeued"));
  // What ended its first life must not hit its second: the messages are all delivered, and credentials, whose
  // stamps have seconds, are not of the second in which the earlier ones were revoked.
  ASSERT_TRUE(wait_on_slurm("slurmctld to have delivered everything", [] {
    return std::regex_search(run_program({"sdiag"}).output, std::regex("\nAgent count: +0\n"));
  }));
  ASSERT_EQ(run_program({"scontrol", "update", "JobId=" + job(name), "TimeLimit=60", "StartTime=now+2"}).code,
            0);
}

std::string Slurm::log(const std::string& name) const {
  return contents(folder_ / "out/slurm/logs" / (name + ".log"));
}

}  // namespace shardrift::testing
