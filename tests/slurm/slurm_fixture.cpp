#include "slurm_fixture.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

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

void Slurm::SetUpTestSuite() {
  if (cluster() || !slurm_missing().empty()) return;
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
  run_program({"scancel", "--user=" + std::to_string(geteuid())});
  wait_until([] { return run_program({"squeue", "--noheader"}).output.empty(); }, 20);
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
  std::map<std::string, std::string> all{{"time_limit", "\"5\""},
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

std::string Slurm::wait_for_end(double seconds) const {
  std::string text;
  const bool ended = wait_until(
      [&] {
        const auto asked = shardrift(folder_, {"status", "out"});
        text = asked.output;
        return asked.code == 0 || asked.code == 70;
      },
      seconds);
  EXPECT_TRUE(ended) << "after " << seconds << " s:\n" << text;
  return text;
}

std::string Slurm::log(const std::string& name) const {
  return contents(folder_ / "out/slurm/logs" / (name + ".log"));
}

std::vector<int> Slurm::workers(const std::string& name) const {
  std::vector<int> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const auto command = contents(entry.path() / "cmdline");
    if (command.starts_with(SHARDRIFT_BINARY_DIR "/bin/shardrift-run") &&
        command.find(record(name)) != std::string::npos)
      found.push_back(std::atoi(entry.path().filename().c_str()));
  }
  return found;
}

}  // namespace shardrift::testing
