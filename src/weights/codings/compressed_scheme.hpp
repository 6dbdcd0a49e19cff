// config.json's description of a compressed-tensors checkpoint: which modules are quantized, and how.
#pragma once
#include <optional>
#include <regex>
#include <string>
#include <vector>

#include "common/json_reader.hpp"

namespace shardrift {

enum class CompressedFormat { naive, packed };                 // a code each, or several in a word
enum class CompressedScope { tensor, channel, group, block };  // that have a scale

struct CompressedScheme {
  std::string format;  // its name
  CompressedFormat storage = CompressedFormat::naive;
  bool floats = false;  // fp8; else integers
  int bits = 8;
  bool symmetric = true;
  CompressedScope scope = CompressedScope::tensor;
  std::int64_t group_size = 0;
  std::vector<std::int64_t> block;  // [rows, columns]
  bool act_order = false;           // by groups: weight_g_idx
  bool activations = false;         // are quantized, too, when the model is served
};
std::string describe(const CompressedScheme& scheme);  // "int4, groups of 128"

class CompressedSchemes {
 public:
  // Throws bad_data for formats, sizes and patterns that are not known, and for sparsity and transforms.
  explicit CompressedSchemes(const JsonObject& config);

  // A module's, as compressed-tensors finds it: by name, then by pattern, then by class; ignored ones have
  // none.
  const CompressedScheme* of(const std::string& module) const;
  bool ignores(const std::string& module) const;
  std::string description() const;

 private:
  struct Target {
    std::string text;
    std::optional<std::regex> pattern;  // of "re:…"
    std::size_t scheme = 0;             // unused in ignore
    bool names(const std::string& module) const;
  };
  static Target target(const JsonObject& config, const char* key, const std::string& text);

  std::vector<CompressedScheme> schemes_;
  std::vector<Target> targets_, ignored_;
};

}  // namespace shardrift
