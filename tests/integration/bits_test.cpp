// The bits of whole runs, held still: bits.txt says what each run's logits hash to. Nothing here says that a
// bit is right (the goldens do); it says that a change of structure changed none.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "common/hash.hpp"
#include "program.hpp"
#include "record/reader.hpp"
#include "recorded.hpp"

namespace shardrift::testing {
namespace {

namespace fs = std::filesystem;
const fs::path kSource = SHARDRIFT_SOURCE_DIR;

struct Run {
  std::string hash;  // "-": not the same on every machine
  std::string model;
  Case what;
  std::string line;  // without the hash
};

std::vector<Run> runs() {
  std::ifstream file(kSource / "tests/integration/bits.txt");
  std::vector<Run> all;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    Run run;
    words >> run.hash >> run.model >> run.what.ranks;
    for (std::string word; words >> word;) run.what.flags.push_back(word);
    run.line = line.substr(run.hash.size() + 1);
    all.push_back(std::move(run));
  }
  return all;
}

// Of every prompt: its logits' hash, and what was traced.
std::string hash_of(const fs::path& path) {
  const auto reader = record::Reader::open(path);
  Sha256 hash;
  std::vector<std::byte> words;
  for (const auto& id : reader.prompt_ids()) {
    const auto prompt = reader.prompt(id);
    hash.update(prompt.hash);
    // In the order and extent that bits.txt was written with: before norms of queries and keys, and routers,
    // had a place.
    const auto& checksums = prompt.checksums;
    for (std::int64_t point = 0; !checksums.empty() && point < record::point_count(checksums.layers);
         ++point) {
      const auto operation = record::point_at(point, checksums.layers).operation;
      const bool newer =
          operation == record::Operation::query_key_norm || operation == record::Operation::router;
      if (newer && !checksums.has(operation)) continue;
      const auto* sums = checksums.sums.data() + point * checksums.rows;
      hash.update(
          {reinterpret_cast<const char*>(sums), static_cast<std::size_t>(checksums.rows) * sizeof(*sums)});
    }
    for (std::int64_t stream = 0; stream < prompt.hidden.streams; ++stream) {
      reader.read_hidden(id, stream, 0, static_cast<std::int64_t>(prompt.rows.size()), words);
      hash.update({reinterpret_cast<const char*>(words.data()), words.size()});
    }
  }
  return hash.hex();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// SHARDRIFT_BITS_OUT=FILE: runs the machine-dependent lines too and writes all as this machine has them, to
// be compared with another build's (diff). SHARDRIFT_BITS_DEVICE=cuda: on GPUs, where no hash but another
// build's is known.
TEST(Bits, AreThoseOfBits) {
  const std::string out_path = environment("SHARDRIFT_BITS_OUT");
  const bool cuda = environment("SHARDRIFT_BITS_DEVICE") == "cuda";
  const int gpus = cuda ? std::max(1, std::atoi(environment("SHARDRIFT_BITS_GPUS").c_str())) : 0;
  const fs::path smollm2 = kSource / "models/smollm2-135m";
  const bool has_smollm2 = fs::exists(smollm2) || std::getenv("SHARDRIFT_REQUIRE_MODEL") != nullptr;
  // MKL's code path and the instruction set of torch's own kernels, the same on every x86-64. (Products in 16
  // bits ask the CPU itself.)
  setenv("MKL_CBWR", "COMPATIBLE", 1);
  setenv("ATEN_CPU_CAPABILITY", "default", 1);
  const fs::path folder = scratch("bits");
  std::ofstream out;
  if (!out_path.empty()) out.open(out_path);
  int i = 0;
  int compared = 0;
  for (auto& run : runs()) {
    const std::string name = std::to_string(i++);
    const bool wanted = !out_path.empty() || run.hash != "-" || i == 1;
    if (!wanted || (cuda && run.what.ranks > gpus) || (run.model == "smollm2-135m" && !has_smollm2)) continue;
    for (auto& flag : run.what.flags) {
      if (flag == "{first}") flag = (folder / "0.h5").string();
      if (flag.starts_with("experiments/")) flag = (kSource / flag).string();
    }
    if (cuda) run.what.flags.insert(run.what.flags.end(), {"--device", "cuda"});
    const std::string model = run.model == "smollm2-135m" ? smollm2.string() : run.model;
    const fs::path record = record_of(model, run.what, folder, name);
    if (HasFailure()) FAIL() << run.line;
    const std::string hash = hash_of(record);
    if (out.is_open()) out << hash << ' ' << run.line << '\n' << std::flush;
    if (cuda || run.hash == "-") continue;
    EXPECT_EQ(hash, run.hash) << run.line;
    ++compared;
  }
  if (!cuda && out_path.empty()) {
    EXPECT_GE(compared, 40);
  }
}

}  // namespace
}  // namespace shardrift::testing
