"""What make_model.py knows of each architecture: the keys of its config.json and the tensors of its checkpoints, with
the names, shapes and packing that published ones have.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace

Shape = tuple[int, ...]
Options = argparse.Namespace

# What a tensor is to the model decides how large its values are.
EMBEDDING, HEAD, BIAS = "embedding", "head", "bias"
NORM = "norm"  # multiplied by: around 1
NORM_FROM_ONE = "norm from one"  # multiplied by 1 + w: around 0
INNER = "inner"  # a matrix that reads the residual stream
OUTER = "outer"  # a matrix whose products are added to it
ROUTER = "router"  # a matrix whose products say to which experts a token goes
BLOCKS, SCALES = "blocks", "scales"  # of MXFP4: bytes of two 4-bit numbers, and the exponents of 32 such numbers


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: Shape
    role: str
    seed_name: str = ""  # the name its values are drawn by
    inputs: int = 0  # columns of the matrix; 0: all dimensions but the first
    dtype: str = ""  # where it is not the checkpoint's

    @property
    def drawn_by(self) -> str:
        return self.seed_name or self.name


@dataclass(frozen=True)
class Architecture:
    name: str  # in config.json's architectures
    model_type: str
    layer: Callable[[Options], list[Tensor]]  # of one layer, their names relative to it
    keys: Callable[[Options], dict[str, object]]  # of config.json, beside those that all have
    accepts: frozenset[str] = frozenset()  # options that not all have
    defaults: dict[str, object] = field(default_factory=dict)
    prefix: str = "model."
    embedding: str = "embed_tokens"
    layers: str = "layers"
    head: str = "lm_head"
    norm_role: str = NORM
    scales_embedding: bool = False  # by the root of hidden
    key_of_activation: str = "hidden_act"
    activation: str = "silu"
    dense: Callable[[Options], list[Tensor]] | None = None  # of a layer without experts, where there are such


# -- layers --------------------------------------------------------------------------------------------------


def linear(name: str, rows: int, columns: int, role: str, bias: bool = False) -> list[Tensor]:
    weight = Tensor(f"{name}.weight", (rows, columns), role)
    return [weight, Tensor(f"{name}.bias", (rows,), BIAS)] if bias else [weight]


def norm(name: str, width: int, role: str = NORM) -> list[Tensor]:
    return [Tensor(f"{name}.weight", (width,), role)]


def attention(a: Options, bias: bool, output_bias: bool) -> list[Tensor]:
    query, key = a.heads * a.head_dim, a.kv_heads * a.head_dim
    return [
        *linear("self_attn.q_proj", query, a.hidden, INNER, bias),
        *linear("self_attn.k_proj", key, a.hidden, INNER, bias),
        *linear("self_attn.v_proj", key, a.hidden, INNER, bias),
        *linear("self_attn.o_proj", a.hidden, query, OUTER, output_bias),
    ]


def mlp(a: Options, bias: bool) -> list[Tensor]:
    return [
        *linear("mlp.gate_proj", a.intermediate, a.hidden, INNER, bias),
        *linear("mlp.up_proj", a.intermediate, a.hidden, INNER, bias),
        *linear("mlp.down_proj", a.hidden, a.intermediate, OUTER, bias),
    ]


def llama_layer(a: Options) -> list[Tensor]:
    return [*norm("input_layernorm", a.hidden), *attention(a, a.attention_bias, a.attention_bias),
            *norm("post_attention_layernorm", a.hidden), *mlp(a, a.mlp_bias)]


def qwen2_layer(a: Options) -> list[Tensor]:
    return [*norm("input_layernorm", a.hidden), *attention(a, bias=True, output_bias=False),
            *norm("post_attention_layernorm", a.hidden), *mlp(a, bias=False)]


def qwen3_layer(a: Options) -> list[Tensor]:
    return [*llama_layer(a), *norm("self_attn.q_norm", a.head_dim), *norm("self_attn.k_norm", a.head_dim)]


def internlm2_layer(a: Options) -> list[Tensor]:
    packed = (a.heads + 2 * a.kv_heads) * a.head_dim  # for each KV group its query heads, then k, then v
    return [
        *norm("attention_norm", a.hidden),
        *linear("attention.wqkv", packed, a.hidden, INNER, a.attention_bias),
        *linear("attention.wo", a.hidden, a.heads * a.head_dim, OUTER, a.attention_bias),
        *norm("ffn_norm", a.hidden),
        *linear("feed_forward.w1", a.intermediate, a.hidden, INNER),  # gate
        *linear("feed_forward.w3", a.intermediate, a.hidden, INNER),  # up
        *linear("feed_forward.w2", a.hidden, a.intermediate, OUTER),
    ]


def gemma2_layer(a: Options) -> list[Tensor]:
    names = ("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")
    return [*attention(a, a.attention_bias, a.attention_bias), *mlp(a, bias=False),
            *(tensor for name in names for tensor in norm(name, a.hidden, NORM_FROM_ONE))]


def gemma3_layer(a: Options) -> list[Tensor]:
    return [*gemma2_layer(a), *norm("self_attn.q_norm", a.head_dim, NORM_FROM_ONE),
            *norm("self_attn.k_norm", a.head_dim, NORM_FROM_ONE)]


def phi3_layer(a: Options) -> list[Tensor]:
    query, key = a.heads * a.head_dim, a.kv_heads * a.head_dim
    return [
        *norm("input_layernorm", a.hidden),
        *linear("self_attn.qkv_proj", query + 2 * key, a.hidden, INNER),
        *linear("self_attn.o_proj", a.hidden, query, OUTER),
        *norm("post_attention_layernorm", a.hidden),
        *linear("mlp.gate_up_proj", 2 * a.intermediate, a.hidden, INNER),
        *linear("mlp.down_proj", a.hidden, a.intermediate, OUTER),
    ]


def olmo2_layer(a: Options) -> list[Tensor]:
    return [*attention(a, a.attention_bias, a.attention_bias), *mlp(a, bias=False),
            *norm("post_attention_layernorm", a.hidden), *norm("post_feedforward_layernorm", a.hidden),
            *norm("self_attn.q_norm", a.heads * a.head_dim), *norm("self_attn.k_norm", a.kv_heads * a.head_dim)]


def mixtral_layer(a: Options) -> list[Tensor]:
    tensors = [*norm("input_layernorm", a.hidden), *attention(a, bias=False, output_bias=False),
               *norm("post_attention_layernorm", a.hidden),
               *linear("block_sparse_moe.gate", a.experts, a.hidden, ROUTER)]
    for expert in range(a.experts):
        name = f"block_sparse_moe.experts.{expert}"
        tensors += [*linear(f"{name}.w1", a.intermediate, a.hidden, INNER),  # gate
                    *linear(f"{name}.w2", a.hidden, a.intermediate, OUTER),  # down
                    *linear(f"{name}.w3", a.intermediate, a.hidden, INNER)]  # up
    return tensors


def qwen3_moe_layer(a: Options) -> list[Tensor]:
    tensors = [tensor for tensor in qwen3_layer(a) if not tensor.name.startswith("mlp.")]
    tensors += linear("mlp.gate", a.experts, a.hidden, ROUTER)
    for expert in range(a.experts):
        name = f"mlp.experts.{expert}"
        tensors += [*linear(f"{name}.gate_proj", a.expert_intermediate, a.hidden, INNER),
                    *linear(f"{name}.up_proj", a.expert_intermediate, a.hidden, INNER),
                    *linear(f"{name}.down_proj", a.hidden, a.expert_intermediate, OUTER)]
    return tensors


def gpt_oss_layer(a: Options) -> list[Tensor]:
    def experts(name: str, inputs: int, outputs: int, role: str) -> list[Tensor]:
        bias = Tensor(f"mlp.experts.{name}_bias", (a.experts, outputs), BIAS)
        if not a.mxfp4:  # a row for each input
            return [Tensor(f"mlp.experts.{name}", (a.experts, inputs, outputs), role, inputs=inputs), bias]
        return [Tensor(f"mlp.experts.{name}_blocks", (a.experts, outputs, inputs // 32, 16), BLOCKS, dtype="uint8"), bias,
                Tensor(f"mlp.experts.{name}_scales", (a.experts, outputs, inputs // 32), SCALES, inputs=inputs,
                       dtype="uint8")]

    return [
        *norm("input_layernorm", a.hidden),
        *attention(a, a.attention_bias, a.attention_bias),
        Tensor("self_attn.sinks", (a.heads,), BIAS),
        *norm("post_attention_layernorm", a.hidden),
        *linear("mlp.router", a.experts, a.hidden, ROUTER, bias=True),
        *experts("gate_up_proj", a.hidden, 2 * a.intermediate, INNER),  # gate and up in turn
        *experts("down_proj", a.intermediate, a.hidden, OUTER),
    ]


def has_experts(a: Options, layer: int) -> bool:
    return layer not in a.dense_layers and (layer + 1) % a.sparse_step == 0


# -- config.json ---------------------------------------------------------------------------------------------


def llama_keys(a: Options) -> dict[str, object]:
    return {"attention_bias": a.attention_bias, "mlp_bias": a.mlp_bias}


def mistral_keys(a: Options) -> dict[str, object]:
    return {"sliding_window": a.sliding_window or None}


def layer_types(a: Options, sliding: Callable[[int], bool]) -> list[str]:
    return ["sliding_attention" if sliding(layer) else "full_attention" for layer in range(a.layers)]


def qwen2_keys(a: Options) -> dict[str, object]:
    first = a.layers if a.max_window_layers is None else a.max_window_layers
    keys: dict[str, object] = {"max_window_layers": first, "use_sliding_window": bool(a.sliding_window),
                               "attention_dropout": 0.0, "use_cache": True}
    if a.config_style == "v4":
        # Published ones name a window that is not used.
        return keys | {"sliding_window": a.sliding_window or a.max_positions}
    return keys | {"sliding_window": a.sliding_window or None,
                   "layer_types": layer_types(a, lambda layer: bool(a.sliding_window) and layer >= first)}


def qwen3_keys(a: Options) -> dict[str, object]:
    keys = qwen2_keys(a) | {"attention_bias": a.attention_bias}
    return keys if a.sliding_window else keys | {"sliding_window": None}


def internlm2_keys(a: Options) -> dict[str, object]:
    return {"attn_implementation": "eager", "bias": a.attention_bias, "pad_token_id": 2, "pretraining_tp": 1,
            "use_cache": True}


def gemma2_keys(a: Options) -> dict[str, object]:
    keys = {"attention_bias": a.attention_bias, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
            "query_pre_attn_scalar": a.head_dim, "sliding_window": a.sliding_window or 4096, "bos_token_id": 2,
            "eos_token_id": 1, "pad_token_id": 0}
    if a.config_style == "v4":  # its even layers have the window
        return keys | {"hidden_act": "gelu_pytorch_tanh", "cache_implementation": "hybrid"}
    return keys | {"layer_types": layer_types(a, lambda layer: layer % 2 == 0), "use_bidirectional_attention": None}


def gemma3_keys(a: Options) -> dict[str, object]:
    keys = {"attention_bias": a.attention_bias, "attn_logit_softcapping": None, "final_logit_softcapping": None,
            "query_pre_attn_scalar": a.head_dim, "sliding_window": a.sliding_window or 512, "bos_token_id": 2,
            "eos_token_id": [1, 106], "pad_token_id": 0}
    if a.config_style == "v4":  # every window_pattern-th layer is global
        return keys | {"sliding_window_pattern": a.window_pattern, "cache_implementation": "hybrid"}
    return keys | {"layer_types": layer_types(a, lambda layer: (layer + 1) % a.window_pattern != 0),
                   "_sliding_window_pattern": a.window_pattern, "use_bidirectional_attention": False}


def phi3_keys(a: Options) -> dict[str, object]:
    return {"attention_bias": False, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "pad_token_id": 2,
            "original_max_position_embeddings": a.original_positions or a.max_positions,
            "sliding_window": a.sliding_window or None}


def olmo2_keys(a: Options) -> dict[str, object]:
    return {"attention_bias": a.attention_bias, "attention_dropout": 0.0, "pad_token_id": 1, "use_cache": True}


def olmo3_keys(a: Options) -> dict[str, object]:
    return olmo2_keys(a) | {"sliding_window": a.sliding_window or 4096,
                            "layer_types": layer_types(a, lambda layer: (layer + 1) % 4 != 0)}


def granite_keys(a: Options) -> dict[str, object]:
    return llama_keys(a) | {"embedding_multiplier": 12.0, "attention_multiplier": 0.0078125,
                            "residual_multiplier": 0.22, "logits_scaling": 16.0, "pad_token_id": 0}


def mixtral_keys(a: Options) -> dict[str, object]:
    return mistral_keys(a) | {"num_local_experts": a.experts, "num_experts_per_tok": a.experts_per_token,
                              "output_router_logits": False, "router_aux_loss_coef": 0.02}


def qwen3_moe_keys(a: Options) -> dict[str, object]:
    keys = qwen3_keys(a) | {"decoder_sparse_step": a.sparse_step, "mlp_only_layers": a.dense_layers,
                            "moe_intermediate_size": a.expert_intermediate, "norm_topk_prob": a.renormalize,
                            "num_experts": a.experts, "num_experts_per_tok": a.experts_per_token,
                            "output_router_logits": False, "router_aux_loss_coef": 0.001}
    return {key: value for key, value in keys.items() if key != "layer_types"}  # all its layers have the window


def gpt_oss_keys(a: Options) -> dict[str, object]:
    keys = {"attention_bias": a.attention_bias, "num_local_experts": a.experts, "num_experts_per_tok": a.experts_per_token,
            "output_router_logits": False, "router_aux_loss_coef": 0.9, "sliding_window": a.sliding_window or 128,
            "layer_types": layer_types(a, lambda layer: layer % 2 == 0), "swiglu_limit": 7.0}
    if a.config_style == "v4":  # published ones say some things twice
        keys |= {"experts_per_token": a.experts_per_token, "initial_context_length": a.original_positions or a.max_positions}
    if a.mxfp4:
        keys["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": [
            "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
    return keys


# -- all of them ---------------------------------------------------------------------------------------------

HEAD_DIM, WINDOW, ATTENTION_BIAS, MLP_BIAS = "head_dim", "sliding_window", "attention_bias", "mlp_bias"
EXPERTS = ("experts", "experts_per_token")
GEMMA = {"norm_role": NORM_FROM_ONE, "scales_embedding": True,
         "key_of_activation": "hidden_activation", "activation": "gelu_pytorch_tanh"}
GEMMA3 = Architecture("Gemma3ForCausalLM", "gemma3_text", gemma3_layer, gemma3_keys,
                      frozenset({HEAD_DIM, WINDOW, ATTENTION_BIAS, "window_pattern", "rope_local_theta"}),
                      {"tied": True, "eps": 1e-6, "rope_theta": 1e6}, **GEMMA)

ARCHITECTURES: dict[str, Architecture] = {
    "llama": Architecture("LlamaForCausalLM", "llama", llama_layer, llama_keys,
                          frozenset({HEAD_DIM, ATTENTION_BIAS, MLP_BIAS})),
    "mistral": Architecture("MistralForCausalLM", "mistral", llama_layer, mistral_keys, frozenset({HEAD_DIM, WINDOW})),
    "qwen2": Architecture("Qwen2ForCausalLM", "qwen2", qwen2_layer, qwen2_keys,
                          frozenset({WINDOW, "max_window_layers"}), {"eps": 1e-6, "rope_theta": 1e6}),
    "qwen3": Architecture("Qwen3ForCausalLM", "qwen3", qwen3_layer, qwen3_keys,
                          frozenset({HEAD_DIM, WINDOW, ATTENTION_BIAS, "max_window_layers"}),
                          {"eps": 1e-6, "rope_theta": 1e6}),
    "internlm2": Architecture("InternLM2ForCausalLM", "internlm2", internlm2_layer, internlm2_keys,
                              frozenset({ATTENTION_BIAS}), {"rope_theta": 1e6}, embedding="tok_embeddings", head="output"),
    "gemma2": Architecture("Gemma2ForCausalLM", "gemma2", gemma2_layer, gemma2_keys,
                           frozenset({HEAD_DIM, WINDOW, ATTENTION_BIAS}), {"tied": True, "eps": 1e-6}, **GEMMA),
    "gemma3": GEMMA3,
    # The text model inside the one that sees images too.
    "gemma3-wrapper": replace(GEMMA3, prefix="language_model.model.", head="language_model.lm_head"),
    "phi3": Architecture("Phi3ForCausalLM", "phi3", phi3_layer, phi3_keys,
                         frozenset({WINDOW, "partial_rotary_factor", "original_positions"})),
    "olmo2": Architecture("Olmo2ForCausalLM", "olmo2", olmo2_layer, olmo2_keys, frozenset({ATTENTION_BIAS}),
                          {"eps": 1e-6, "rope_theta": 5e5}),
    "olmo3": Architecture("Olmo3ForCausalLM", "olmo3", olmo2_layer, olmo3_keys, frozenset({WINDOW, ATTENTION_BIAS}),
                          {"eps": 1e-6, "rope_theta": 5e5}),
    "granite": Architecture("GraniteForCausalLM", "granite", llama_layer, granite_keys,
                            frozenset({ATTENTION_BIAS, MLP_BIAS}), {"tied": True}),
    "mixtral": Architecture("MixtralForCausalLM", "mixtral", mixtral_layer, mixtral_keys,
                            frozenset({HEAD_DIM, WINDOW, *EXPERTS}), {"rope_theta": 1e6}),
    "qwen3-moe": Architecture("Qwen3MoeForCausalLM", "qwen3_moe", qwen3_moe_layer, qwen3_moe_keys,
                              frozenset({HEAD_DIM, WINDOW, ATTENTION_BIAS, *EXPERTS, "expert_intermediate", "sparse_step",
                                         "dense_layers", "renormalize"}),
                              {"eps": 1e-6, "rope_theta": 1e6}, dense=qwen3_layer),
    "gpt-oss": Architecture("GptOssForCausalLM", "gpt_oss", gpt_oss_layer, gpt_oss_keys,
                            frozenset({HEAD_DIM, WINDOW, ATTENTION_BIAS, *EXPERTS, "mxfp4"}),
                            {"rope_theta": 150000.0, "attention_bias": True}),
}


def text_tensors(a: Options, kind: Architecture) -> list[Tensor]:
    tensors = [Tensor(f"{kind.prefix}{kind.embedding}.weight", (a.vocab, a.hidden), EMBEDDING)]
    for layer in range(a.layers):
        make = kind.layer if kind.dense is None or has_experts(a, layer) else kind.dense
        tensors += [replace(tensor, name=f"{kind.prefix}{kind.layers}.{layer}.{tensor.name}") for tensor in make(a)]
    tensors += norm(f"{kind.prefix}norm", a.hidden, kind.norm_role)
    if not a.tied:
        tensors.append(Tensor(f"{kind.head}.weight", (a.vocab, a.hidden), HEAD))
    return tensors


def tensors_of(a: Options) -> list[Tensor]:
    kind = ARCHITECTURES[a.architecture]
    if a.architecture != "gemma3-wrapper":
        return text_tensors(a, kind)
    # The same values as the text model alone.
    text = [replace(tensor, seed_name=alone.name)
            for tensor, alone in zip(text_tensors(a, kind), text_tensors(a, GEMMA3), strict=True)]
    return [*vision_tensors(a), *text]


# -- the rest of a model that sees images --------------------------------------------------------------------

VISION = {"hidden_size": 8, "image_size": 4, "intermediate_size": 12, "model_type": "siglip_vision_model",
          "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 2, "vision_use_head": False}


def vision_tensors(a: Options) -> list[Tensor]:
    width, inner, patch, tower = 8, 12, 2, "vision_tower.vision_model."
    layer = f"{tower}encoder.layers.0."

    def affine(name: str) -> list[Tensor]:
        return [*norm(name, width), Tensor(f"{name}.bias", (width,), BIAS)]

    tensors = [
        Tensor("multi_modal_projector.mm_input_projection_weight", (width, a.hidden), INNER),
        *norm("multi_modal_projector.mm_soft_emb_norm", width, NORM_FROM_ONE),
        Tensor(f"{tower}embeddings.patch_embedding.weight", (width, 3, patch, patch), INNER),
        Tensor(f"{tower}embeddings.patch_embedding.bias", (width,), BIAS),
        Tensor(f"{tower}embeddings.position_embedding.weight", (4, width), EMBEDDING),
        *affine(f"{layer}layer_norm1"), *affine(f"{layer}layer_norm2"),
        *linear(f"{layer}mlp.fc1", inner, width, INNER, bias=True), *linear(f"{layer}mlp.fc2", width, inner, OUTER, bias=True),
        *affine(f"{tower}post_layernorm"),
    ]
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        tensors += linear(f"{layer}self_attn.{name}", width, width, INNER, bias=True)
    return tensors
