#include "weights/gguf/gguf_names.hpp"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "common/text.hpp"

namespace shardrift {
namespace {

constexpr std::array kLlama{
    GgufName{"attn_norm", "input_layernorm"},    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},      GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"}, GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"}, GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"ffn_gate", "mlp.gate_proj"},       GgufName{"ffn_up", "mlp.up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},
};

constexpr std::array kMixtral{
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"ffn_gate_inp", "block_sparse_moe.gate"},
    GgufName{"ffn_gate_exps", "block_sparse_moe.experts.{}.w1"},
    GgufName{"ffn_down_exps", "block_sparse_moe.experts.{}.w2"},
    GgufName{"ffn_up_exps", "block_sparse_moe.experts.{}.w3"},
};

constexpr std::array kQwen3Moe{
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"},
    GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"ffn_gate_inp", "mlp.gate"},
    GgufName{"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
    GgufName{"ffn_up_exps", "mlp.experts.{}.up_proj"},
    GgufName{"ffn_down_exps", "mlp.experts.{}.down_proj"},
};

constexpr std::array kGptOss{
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"attn_sinks", "self_attn.sinks"},
    GgufName{"post_attention_norm", "post_attention_layernorm"},
    GgufName{"ffn_gate_inp", "mlp.router"},
    GgufName{"ffn_gate_exps", "mlp.experts.gate_proj"},
    GgufName{"ffn_up_exps", "mlp.experts.up_proj"},
    GgufName{"ffn_down_exps", "mlp.experts.down_proj"},
};

// Gemma's and OLMo's norms after the blocks.
constexpr std::array kFourNorms{
    GgufName{"attn_norm", "input_layernorm"},
    GgufName{"attn_q", "self_attn.q_proj"},
    GgufName{"attn_k", "self_attn.k_proj"},
    GgufName{"attn_v", "self_attn.v_proj"},
    GgufName{"attn_output", "self_attn.o_proj"},
    GgufName{"attn_q_norm", "self_attn.q_norm"},
    GgufName{"attn_k_norm", "self_attn.k_norm"},
    GgufName{"post_attention_norm", "post_attention_layernorm"},
    GgufName{"ffn_norm", "pre_feedforward_layernorm"},
    GgufName{"post_ffw_norm", "post_feedforward_layernorm"},
    GgufName{"ffn_gate", "mlp.gate_proj"},
    GgufName{"ffn_up", "mlp.up_proj"},
    GgufName{"ffn_down", "mlp.down_proj"},
};

constexpr std::array kPhi3{
    GgufName{"attn_norm", "input_layernorm"},    GgufName{"attn_qkv", "self_attn.qkv_proj"},
    GgufName{"attn_output", "self_attn.o_proj"}, GgufName{"ffn_norm", "post_attention_layernorm"},
    GgufName{"ffn_up", "mlp.gate_up_proj"},      GgufName{"ffn_down", "mlp.down_proj"},
};

constexpr std::array kAll{
    GgufArchitecture{"llama", kLlama, true, false},
    GgufArchitecture{"qwen2", kLlama, false, false},
    GgufArchitecture{"qwen3", kLlama, false, false},
    GgufArchitecture{"qwen3moe", kQwen3Moe, false, false},
    GgufArchitecture{"gemma2", kFourNorms, false, true},
    GgufArchitecture{"gemma3", kFourNorms, false, true},
    GgufArchitecture{"phi3", kPhi3, false, false},
    GgufArchitecture{"olmo2", kFourNorms, false, false},
    GgufArchitecture{"granite", kLlama, true, false},
    GgufArchitecture{"gpt-oss", kGptOss, false, false, true},
};
constexpr GgufArchitecture kLlamaOfExperts{"llama", kMixtral, true, false};

// "blk.7.attn_q.weight" -> "attn_q"; empty: no layer's.
std::string kind_of(std::string_view gguf) {
  const auto parts = split(gguf, '.');
  return parts.size() == 4 && parts[0] == "blk" ? parts[2] : std::string();
}

// Parameters of gpt-oss that are no module's: "sinks", "down_proj", "down_proj_bias".
constexpr std::string_view kExperts = ".experts.";

std::string with_ending(std::string ours, const std::string& ending) {
  const auto experts = ours.find(kExperts);
  const bool parameter =
      ours.ends_with(".sinks") ||
      (experts != std::string::npos && ours.find('.', experts + kExperts.size()) == std::string::npos);
  if (!parameter) return ours + "." + ending;
  return ending == "bias" ? ours + "_bias" : ours;
}

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name, bool experts) {
  if (name == kLlamaOfExperts.name && experts) return &kLlamaOfExperts;
  for (const auto& architecture : kAll)
    if (architecture.name == name) return &architecture;
  return nullptr;
}

std::string gguf_architecture_names() {
  std::string names;
  for (const auto& architecture : kAll) names.append(names.empty() ? "" : ", ").append(architecture.name);
  return names;
}

std::string our_name(const GgufArchitecture& architecture, std::string_view gguf) {
  if (gguf == "token_embd.weight") return "model.embed_tokens.weight";
  if (gguf == "output_norm.weight") return "model.norm.weight";
  if (gguf == "output.weight") return "lm_head.weight";
  const auto kind = kind_of(gguf);
  if (kind.empty()) return {};
  const auto parts = split(gguf, '.');
  for (const auto& name : architecture.layer)
    if (name.gguf == kind && number_from<std::uint32_t>(parts[1]) &&
        (parts[3] == "weight" || parts[3] == "bias"))
      return with_ending("model.layers." + parts[1] + "." + std::string(name.ours), parts[3]);
  return {};
}

std::string gguf_name(const GgufArchitecture& architecture, std::string_view ours) {
  for (const auto* outside : {"token_embd.weight", "output_norm.weight", "output.weight"})
    if (our_name(architecture, outside) == ours) return outside;
  const auto parts = split(ours, '.');
  if (parts.size() < 3 || parts[1] != "layers") return std::string(ours);
  for (const auto& name : architecture.layer)
    for (const auto* ending : {"weight", "bias"}) {
      const auto gguf = fmt::format("blk.{}.{}.{}", parts[2], name.gguf, ending);
      auto pattern = our_name(architecture, gguf);
      const auto expert = pattern.find("{}");
      if (expert == std::string::npos) {
        if (pattern == ours) return gguf;
      } else if (ours.starts_with(pattern.substr(0, expert)) && ours.ends_with(pattern.substr(expert + 2))) {
        return gguf;
      }
    }
  return std::string(ours);
}

bool is_query(std::string_view gguf) {
  return kind_of(gguf) == "attn_q";
}
bool is_key(std::string_view gguf) {
  return kind_of(gguf) == "attn_k";
}
bool is_norm(std::string_view gguf) {
  return gguf.ends_with("norm.weight");
}
bool is_rope_tensor(std::string_view gguf) {
  return gguf == "rope_freqs.weight" || gguf == "rope_factors_long.weight" ||
         gguf == "rope_factors_short.weight";
}

}  // namespace shardrift
