#include "reference.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "common/dtype.hpp"
#include "program.hpp"

namespace shardrift::golden {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr double kClearMargin = 1e-2;  // logits further apart than this must keep their order

const fs::path kSource = SHARDRIFT_SOURCE_DIR;
const fs::path kBinary = SHARDRIFT_BINARY_DIR;

template <typename T>
T element(const std::vector<std::byte>& words, std::size_t i) {
  T value;
  std::memcpy(&value, words.data() + i * sizeof(T), sizeof(T));
  return value;
}

double widened(const std::vector<std::byte>& words, std::size_t i, DType dtype) {
  switch (dtype) {
    case DType::float64:
      return element<double>(words, i);
    case DType::float16:
      return float_from_float16(element<std::uint16_t>(words, i));
    case DType::bfloat16:
      return float_from_bfloat16(element<std::uint16_t>(words, i));
    case DType::float32:
    case DType::tf32:
      break;
  }
  return element<float>(words, i);
}

}  // namespace

json read_reference(const std::string& model) {
  const fs::path path = kSource / "tests/golden/references" / (model + ".json");
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return json::parse(file);
}

std::vector<std::byte> bytes_from_base64(const std::string& text) {
  static const std::string kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<std::byte> bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6U | static_cast<unsigned>(kDigits.find(c));
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<std::byte>(bits >> count));
    }
  }
  return bytes;
}

fs::path model_directory(const std::string& model) {
  return model.starts_with("tiny-") ? kBinary / "fixtures" / model : kSource / "models" / model;
}

record::Reader run_worker(const Run& run) {
  const fs::path folder = kBinary / "golden";
  fs::create_directories(folder);
  const fs::path stem = folder / run.name;
  const std::string prompts_file = stem.string() + ".jsonl", output = stem.string() + ".h5";
  std::ofstream file(prompts_file);
  for (const auto& prompt : run.prompts) file << prompt.dump() << '\n';
  file.close();
  // clang-format off
  std::vector<std::string> arguments = {
      "run", "--model", run.model.string(), "--prompts", prompts_file,
      "--output", output, "--overwrite", "--dtype", run.dtype, "--quiet"};
  // clang-format on
  if (const char* device = std::getenv("SHARDRIFT_GOLDEN_DEVICE"); device != nullptr)  // by hand, on a GPU
    arguments.insert(arguments.end(), {"--device", device});
  arguments.insert(arguments.end(), run.flags.begin(), run.flags.end());
  const auto finished = testing::run_program(testing::worker_command(run.ranks, arguments));
  if (finished.code != 0)
    throw std::runtime_error("exit code " + std::to_string(finished.code) + ": " + finished.output);
  return record::Reader::open(output);
}

std::vector<double> row_of(const record::Reader& reader, const std::string& id, std::int64_t row) {
  std::vector<std::byte> words;
  reader.read_logits(id, row, row + 1, words);
  const DType dtype = reader.run().logits_dtype;
  std::vector<double> values(words.size() / size_of(dtype));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = widened(words, i, dtype);
  return values;
}

void expect_scored(const record::Reader& reader, const json& expected) {
  const std::string id = expected["id"];
  SCOPED_TRACE("prompt " + id);
  const auto rows = expected["rows"].get<std::vector<std::int64_t>>();
  const auto argmax = expected["argmax"].get<std::vector<std::int32_t>>();
  const auto margin = expected["margin"].get<std::vector<double>>();
  const auto reference = from_base64<float>(expected["logits"]);
  std::vector<std::size_t> columns;
  if (!expected["columns"].is_null()) columns = expected["columns"].get<std::vector<std::size_t>>();

  const auto prompt = reader.prompt(id);
  EXPECT_EQ(prompt.prompt.tokens, expected["tokens"].get<std::vector<std::int32_t>>());
  ASSERT_EQ(prompt.rows.size(), prompt.prompt.tokens.size()) << "score records a row for every token";
  RelativeError error;
  std::size_t next = 0;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto ours = row_of(reader, id, rows[r]);
    const std::size_t count = columns.empty() ? ours.size() : columns.size();
    ASSERT_LE(next + count, reference.size()) << "the record's vocabulary is larger than the reference's";
    for (std::size_t c = 0; c < count; ++c, ++next)
      error.add(ours[columns.empty() ? c : columns[c]], reference[next]);
    if (margin[r] > kClearMargin) {
      EXPECT_EQ(prompt.rows[static_cast<std::size_t>(rows[r])].chosen, argmax[r])
          << "at position " << rows[r];
    }
  }
  EXPECT_EQ(next, reference.size());
  EXPECT_LE(error.value(), kTolerance);
}

std::vector<json> token_prompts(const json& reference) {
  std::vector<json> prompts;
  for (const auto& prompt : reference["prompts"])
    prompts.push_back({{"id", prompt["id"]}, {"tokens", prompt["tokens"]}});
  return prompts;
}

}  // namespace shardrift::golden
