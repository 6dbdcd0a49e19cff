#include "recorded.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/dtype.hpp"
#include "program.hpp"
#include "record/reader.hpp"

namespace shardrift::testing {
namespace fs = std::filesystem;

fs::path scratch(const std::string& name) {
  const fs::path folder = fs::path(SHARDRIFT_BINARY_DIR) / "scratch" / name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

fs::path fixture(const std::string& model) {
  return fs::path(SHARDRIFT_BINARY_DIR) / "fixtures" / model;
}

fs::path write_prompts(const fs::path& folder, int prompts, unsigned vocabulary) {
  constexpr int kLengths[] = {5, 1, 17, 40};
  const fs::path path = folder / ("prompts-" + std::to_string(prompts) + ".jsonl");
  std::ofstream file(path);
  unsigned state = 7;  // a small linear congruential generator: the same tokens everywhere
  for (int p = 0; p < prompts; ++p) {
    file << R"({"id": "p)" << p << R"(", "tokens": [)";
    for (int i = 0; i < kLengths[p % 4]; ++i) {
      state = state * 1664525U + 1013904223U;
      file << (i == 0 ? "" : ", ") << (state >> 16) % vocabulary;
    }
    file << "]}\n";
  }
  return path;
}

namespace {

// Tokens that the fixture knows, the same for all that know 131.
unsigned vocabulary_of(const std::string& model) {
  auto directory = fixture(model);
  if (directory.extension() == ".gguf") directory.replace_extension();  // what it was made of
  std::ifstream file(directory / "config.json");
  return std::min(131U, nlohmann::json::parse(file).value("vocab_size", 131U));
}

}  // namespace

std::vector<std::string> run_arguments(const std::string& model, const Case& what, const fs::path& output,
                                       int prompts) {
  std::vector<std::string> arguments{"run",      "--model",       fixture(model).string(),
                                     "--output", output.string(), "--overwrite",
                                     "--quiet",  "--ignore-eos"};
  const auto given = [&](const char* flag) {
    return std::find(what.flags.begin(), what.flags.end(), flag) != what.flags.end();
  };
  if (!given("--max-new-tokens")) arguments.insert(arguments.end(), {"--max-new-tokens", "9"});
  if (!given("--follow")) {
    arguments.insert(
        arguments.end(),
        {"--prompts", write_prompts(output.parent_path(), prompts, vocabulary_of(model)).string()});
  }
  arguments.insert(arguments.end(), what.flags.begin(), what.flags.end());
  return arguments;
}

fs::path record_of(const std::string& model, const Case& what, const fs::path& folder,
                   const std::string& name, int prompts) {
  const fs::path output = folder / (name + ".h5");
  const auto finished = run_program(worker_command(what.ranks, run_arguments(model, what, output, prompts)));
  EXPECT_EQ(finished.code, 0) << name << ": " << finished.output;
  return output;
}

std::string first_difference_by_position(const fs::path& one, const fs::path& other) {
  const auto rows_of = [](const record::Reader& reader, const std::string& id) {
    std::map<std::int64_t, std::vector<std::byte>> rows;
    std::int64_t i = 0;
    for (const auto& row : reader.prompt(id).rows) {
      reader.read_logits(id, i, i + 1, rows[row.position]);
      ++i;
    }
    return rows;
  };
  const auto a = record::Reader::open(one);
  const auto b = record::Reader::open(other);
  if (a.prompt_ids().empty()) return "no prompts";
  for (const auto& id : a.prompt_ids()) {
    const auto all = rows_of(b, id);
    for (const auto& [position, logits] : rows_of(a, id)) {
      const auto found = all.find(position);
      if (logits.empty() || found == all.end() || found->second != logits)
        return id + " position " + std::to_string(position);
    }
  }
  return {};
}

std::string first_difference(const fs::path& one, const fs::path& other) {
  const auto a = record::Reader::open(one);
  const auto b = record::Reader::open(other);
  if (a.prompt_ids() != b.prompt_ids()) return "other prompts";
  if (a.prompt_ids().empty()) return "no prompts";
  if (a.run().logits_dtype != b.run().logits_dtype) return "other logits dtype";
  std::vector<std::byte> x;
  std::vector<std::byte> y;
  for (const auto& id : a.prompt_ids()) {
    const auto rows = static_cast<std::int64_t>(a.prompt(id).rows.size());
    if (rows == 0 || rows != static_cast<std::int64_t>(b.prompt(id).rows.size()))
      return id + ": other number of rows";
    for (std::int64_t row = 0; row < rows; ++row) {
      a.read_logits(id, row, row + 1, x);
      b.read_logits(id, row, row + 1, y);
      if (x.empty() || x.size() != y.size()) return id + ": other row size";
      if (std::memcmp(x.data(), y.data(), x.size()) != 0) return id + " row " + std::to_string(row);
    }
  }
  return {};
}

std::string first_trace_difference(const fs::path& one, const fs::path& other, bool shards) {
  const auto a = record::Reader::open(one);
  const auto b = record::Reader::open(other);
  if (a.prompt_ids() != b.prompt_ids() || a.prompt_ids().empty()) return "other prompts";
  std::vector<std::byte> x;
  std::vector<std::byte> y;
  for (const auto& id : a.prompt_ids()) {
    const auto p = a.prompt(id);
    const auto q = b.prompt(id);
    const auto& sums = p.checksums;
    if (sums.empty() && p.hidden.streams == 0) return id + ": not traced";
    if (sums.rows != q.checksums.rows || sums.layers != q.checksums.layers) return id + ": other checksums";
    for (std::int64_t i = 0; i < record::point_count(sums.layers) && !sums.empty(); ++i) {
      const auto point = record::point_at(i, sums.layers);
      if (record::per_shard(point.operation) &&
          (!shards || !sums.has(point.operation) || !q.checksums.has(point.operation)))
        continue;
      for (std::int64_t row = 0; row < sums.rows; ++row)
        if (sums.at(point, row) != q.checksums.at(point, row))
          return id + " row " + std::to_string(row) + ": " + std::string(name_of(point.operation)) +
                 " of layer " + std::to_string(point.layer);
    }
    if (p.hidden.streams != q.hidden.streams || p.hidden.dtype != q.hidden.dtype)
      return id + ": other streams";
    for (std::int64_t stream = 0; stream < p.hidden.streams; ++stream) {
      const auto rows = static_cast<std::int64_t>(p.rows.size());
      a.read_hidden(id, stream, 0, rows, x);
      b.read_hidden(id, stream, 0, rows, y);
      if (x.empty() || x != y) return id + ": stream " + std::to_string(stream);
    }
  }
  return {};
}

}  // namespace shardrift::testing
