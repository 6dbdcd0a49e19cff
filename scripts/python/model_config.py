"""config.json of a checkpoint, as transformers 4 or transformers 5 writes it."""

from __future__ import annotations

from architectures import ARCHITECTURES, VISION, Options

ROPE_TYPES = ["none", "linear", "dynamic", "yarn", "llama3", "longrope"]
# transformers' defaults of a Gemma 3 text model: published wrappers leave them out.
GEMMA3_DEFAULTS = {"attention_bias": False, "attn_logit_softcapping": None, "final_logit_softcapping": None,
                   "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "rope_theta": 1e6,
                   "rope_local_base_freq": 1e4, "tie_word_embeddings": True, "bos_token_id": 2, "pad_token_id": 0}


def rotated_pairs(a: Options) -> int:
    return int(a.head_dim * a.partial_rotary_factor) // 2


def rope_scaling(a: Options) -> dict[str, object] | None:
    original = {"original_max_position_embeddings": a.original_positions or max(1, a.max_positions // 8)}
    if a.rope_scaling == "none":
        return None
    parameters: dict[str, object] = {
        "linear": {"factor": 4.0},
        "dynamic": {"factor": 2.0},
        "yarn": {"factor": 4.0, **original},
        "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, **original},
        # Each pair of columns has its own factors, the long ones growing faster.
        "longrope": {"short_factor": [1.0 + 0.125 * pair for pair in range(rotated_pairs(a))],
                     "long_factor": [1.5 + 1.25 * pair for pair in range(rotated_pairs(a))],
                     # Phi-3 has it beside the other sizes
                     **({} if a.architecture == "phi3" and a.config_style == "v4" else original)},
    }[a.rope_scaling]
    return {"rope_type": a.rope_scaling, **parameters, **a.rope_parameters}


def rope_keys(a: Options) -> dict[str, object]:
    scaling = rope_scaling(a)
    local = a.architecture.startswith("gemma3")
    partial = {"partial_rotary_factor": a.partial_rotary_factor} if a.partial_rotary_factor != 1.0 else {}
    if a.config_style == "v4":
        if scaling and a.architecture in ("internlm2", "phi3", "qwen2"):  # their published files have the older word
            scaling = {"type": scaling.pop("rope_type"), **scaling}
        keys = {"rope_theta": a.rope_theta, "rope_scaling": scaling, **partial}
        return keys | ({"rope_local_base_freq": a.rope_local_theta} if local else {})
    parameters = {**(scaling or {"rope_type": "default"}), "rope_theta": a.rope_theta, **partial}
    if local or a.architecture == "olmo3":
        parameters = {"full_attention": parameters,
                      "sliding_attention": {"rope_type": "default",
                                            "rope_theta": a.rope_local_theta if local else a.rope_theta}}
    return {"rope_parameters": parameters}


def config_of(a: Options) -> dict[str, object]:
    kind = ARCHITECTURES[a.architecture]
    config: dict[str, object] = {
        "architectures": [kind.name],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "head_dim": a.head_dim,
        kind.key_of_activation: kind.activation,
        "hidden_size": a.hidden,
        "intermediate_size": a.intermediate,
        "max_position_embeddings": a.max_positions,
        "model_type": kind.model_type,
        "num_attention_heads": a.heads,
        "num_hidden_layers": a.layers,
        "num_key_value_heads": a.kv_heads,
        "rms_norm_eps": a.eps,
        "tie_word_embeddings": a.tied,
        "vocab_size": a.vocab,
    }
    if "head_dim" not in kind.accepts:
        del config["head_dim"]
    if a.config_style == "v4" and a.architecture.startswith("gemma") and a.tied:
        del config["tie_word_embeddings"]  # true unless it says otherwise
    config |= kind.keys(a) | rope_keys(a)
    dtype = {"torch_dtype" if a.config_style == "v4" else "dtype": "float32" if a.dtype == "mixed" else a.dtype}
    if a.architecture == "gemma3-wrapper":
        return wrapper_config(config | a.set, dtype, a)
    return config | dtype | a.set


def wrapper_config(text: dict[str, object], dtype: dict[str, object], a: Options) -> dict[str, object]:
    text = {key: value for key, value in text.items()
            if key != "architectures" and not (a.config_style == "v4" and GEMMA3_DEFAULTS.get(key, ...) == value)}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "boi_token_index": 3, "eoi_token_index": 4,
            "eos_token_id": text.pop("eos_token_id"), "image_token_index": a.vocab - 1, "initializer_range": 0.02,
            "mm_tokens_per_image": 4, "model_type": "gemma3", "text_config": text, **dtype, "vision_config": VISION}
