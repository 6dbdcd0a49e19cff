#include "weights/gguf/gguf_pretokenizers.hpp"

#include <array>

namespace shardrift {
namespace {

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::array kAll{
    GgufPreTokenizer{.name = "llama-bpe", .split = kLlama3, .ignore_merges = true, .adds_bos = true},
    GgufPreTokenizer{.name = "llama3", .split = kLlama3, .ignore_merges = true, .adds_bos = true},
    GgufPreTokenizer{.name = "llama-v3", .split = kLlama3, .ignore_merges = true, .adds_bos = true},
    GgufPreTokenizer{.name = "smaug-bpe", .split = kLlama3},
    GgufPreTokenizer{.name = "dbrx", .split = kLlama3},
    GgufPreTokenizer{.name = "qwen2", .split = kQwen2, .nfc = true},
    GgufPreTokenizer{.name = "deepseek-r1-qwen", .split = kQwen2},
    GgufPreTokenizer{.name = "gpt-4o", .split = kGpt4o},
    GgufPreTokenizer{.name = "tekken", .split = kTekken, .ignore_merges = true, .adds_bos = true},
    GgufPreTokenizer{.name = "gpt-2"},
    GgufPreTokenizer{.name = "olmo"},
    GgufPreTokenizer{.name = "smollm", .digits = true},
    GgufPreTokenizer{.name = "starcoder", .digits = true},
    GgufPreTokenizer{.name = "refact", .digits = true},
    GgufPreTokenizer{.name = "codeshell", .digits = true},
};

}  // namespace

const GgufPreTokenizer* find_pretokenizer(std::string_view name) {
  for (const auto& one : kAll)
    if (one.name == name) return &one;
  return nullptr;
}

std::string pretokenizer_names() {
  std::string names;
  for (const auto& one : kAll) names.append(names.empty() ? "" : ", ").append(one.name);
  return names;
}

}  // namespace shardrift
