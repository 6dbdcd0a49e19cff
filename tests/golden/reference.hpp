// References of transformers (tests/golden/references/*.json, written by make-goldens.py), runs of the worker
// on their prompts, and the error between the two.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "record/reader.hpp"

namespace shardrift::golden {

constexpr double kTolerance = 1e-4;  // relative error of a prompt's float32 logits

nlohmann::json read_reference(const std::string& model);
// Where a reference's model is: the real one under models/, the small ones among the fixtures.
std::filesystem::path model_directory(const std::string& model);

std::vector<std::byte> bytes_from_base64(const std::string& text);
template <typename T>
std::vector<T> from_base64(const std::string& text) {
  const auto bytes = bytes_from_base64(text);
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

struct Run {
  std::filesystem::path model;
  std::string name;  // of its files, in build/golden
  std::vector<nlohmann::json> prompts;
  int ranks = 1;
  std::vector<std::string> flags;
  std::string dtype = "float32";
};
// Throws with all that the worker printed where its exit code is not 0.
record::Reader run_worker(const Run& run);

// A row of logits, whatever they are stored in.
std::vector<double> row_of(const record::Reader& reader, const std::string& id, std::int64_t row);

// Of all that was added, as a share of the reference's size.
class RelativeError {
 public:
  void add(double ours, double reference) {
    difference_ += (ours - reference) * (ours - reference);
    size_ += reference * reference;
  }
  double value() const { return std::sqrt(difference_ / size_); }

 private:
  double difference_ = 0;
  double size_ = 0;
};

// One prompt of a reference against the record of a run with --mode score: logits, and the argmax where the
// reference's choice is clear. Fails the current test.
void expect_scored(const record::Reader& reader, const nlohmann::json& expected);

// Id and tokens of a reference's prompts, as a prompts file has them.
std::vector<nlohmann::json> token_prompts(const nlohmann::json& reference);

}  // namespace shardrift::golden
