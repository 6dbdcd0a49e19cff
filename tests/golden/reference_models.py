"""Checkpoints as transformers computes them, for make-goldens.py."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file


def load(directory: Path, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """A fresh model: dynamic and longrope keep state between calls."""
    config = json.loads((directory / "config.json").read_text())
    if config["model_type"] == "internlm2":
        return internlm2_as_llama(directory).to(dtype).eval()
    coded = {"quantization_config": transformers.Mxfp4Config(dequantize=True)} if "quantization_config" in config else {}
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager", experts_implementation="eager", **coded)
    return model.eval()


class Routes:
    """What the routers of a model decide, while it is entered."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.routers = [(int(name.split(".")[2]), module) for name, module in model.named_modules()
                        if type(module).__name__.endswith("TopKRouter")]
        self.layers = [layer for layer, _ in self.routers]
        self.calls: dict[int, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {layer: [] for layer in self.layers}
        self.hooks: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Routes:
        for layer, router in self.routers:
            self.hooks.append(router.register_forward_hook(
                lambda module, inputs, output, layer=layer: self.calls[layer].append(output)))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def experts(self) -> np.ndarray:
        """[layers, positions, k], ascending for each position."""
        return np.stack([torch.cat([chosen.sort(-1).values for _, _, chosen in self.calls[layer]]).numpy()
                         for layer in self.layers])

    def weights(self) -> np.ndarray:
        return np.stack([torch.cat([weights.gather(-1, chosen.sort(-1).indices) for _, weights, chosen in self.calls[layer]])
                         .float().numpy() for layer in self.layers])

    def margin(self) -> float:
        """Between the logits of the last expert that was chosen and of the first that was not; the smallest."""
        smallest = float("inf")
        for layer in self.layers:
            for logits, _, chosen in self.calls[layer]:
                top = logits.double().sort(-1, descending=True).values
                k = chosen.shape[-1]
                smallest = min(smallest, float((top[:, k - 1] - top[:, k]).min()))
        return smallest


def internlm2_as_llama(directory: Path) -> torch.nn.Module:
    """transformers has InternLM2 no more: it is Llama with the query, key and value weights of a KV group in a row."""
    read = json.loads((directory / "config.json").read_text())
    scaling = dict(read["rope_scaling"])
    config = transformers.LlamaConfig(
        **{key: read[key] for key in ("hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads",
                                      "num_hidden_layers", "num_key_value_heads", "rms_norm_eps", "vocab_size",
                                      "tie_word_embeddings")},
        rope_parameters={"rope_type": scaling.pop("type"), "rope_theta": read["rope_theta"], **scaling},
        attn_implementation="eager")
    heads, groups = config.num_attention_heads, config.num_key_value_heads
    names = {"attention_norm": "input_layernorm", "attention.wo": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
             "feed_forward.w1": "mlp.gate_proj", "feed_forward.w3": "mlp.up_proj", "feed_forward.w2": "mlp.down_proj",
             "model.tok_embeddings": "model.embed_tokens", "output.": "lm_head."}
    weights = {}
    for name, tensor in load_file(directory / "model.safetensors").items():
        for old, new in names.items():
            name = name.replace(old, new)
        if "attention.wqkv" in name:
            packed = tensor.view(groups, heads // groups + 2, config.head_dim, config.hidden_size)
            for letter, rows in (("q", packed[:, :-2]), ("k", packed[:, -2]), ("v", packed[:, -1])):
                weights[name.replace("attention.wqkv", f"self_attn.{letter}_proj")] = rows.reshape(-1, config.hidden_size)
        else:
            weights[name] = tensor
    model = transformers.LlamaForCausalLM(config)
    model.load_state_dict(weights)
    return model


@contextlib.contextmanager
def all_in_float64() -> Iterator[None]:
    """transformers' float64 models compute norms and softmax in float32; here they do not. Rope's cosines and sines stay
    float32, as ours are, but those nearest to the angle's: torch's own float32 functions miss that by one unit at times."""
    softmax, cosine, sine = torch.nn.functional.softmax, torch.Tensor.cos, torch.Tensor.sin

    def norm(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        from_one = hasattr(self, "_norm")  # Gemma's, which multiply by 1 + w
        eps = self.eps if from_one else self.variance_epsilon
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * (1.0 + self.weight if from_one else self.weight)

    def mixtral_router(self: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, ...]:  # its own rounds to float32
        logits = torch.nn.functional.linear(x.reshape(-1, self.hidden_dim), self.weight)
        weights, chosen = torch.topk(softmax(logits, dim=-1), self.top_k, dim=-1)
        return logits, weights / weights.sum(dim=-1, keepdim=True), chosen

    classes = {kind for kind in subclasses(torch.nn.Module)
               if kind.__name__.endswith("RMSNorm") and kind.__module__.startswith("transformers.models.")}
    kept = {kind: kind.forward for kind in classes}
    torch.nn.functional.softmax = lambda x, dim, dtype: softmax(x, dim=dim, dtype=torch.float64)
    torch.Tensor.cos = lambda x: cosine(x.double()).to(x.dtype)
    torch.Tensor.sin = lambda x: sine(x.double()).to(x.dtype)
    for kind in classes:
        kind.forward = norm
    router = transformers.models.mixtral.modeling_mixtral.MixtralTopKRouter
    kept[router], router.forward = router.forward, mixtral_router
    try:
        yield
    finally:
        torch.nn.functional.softmax, torch.Tensor.cos, torch.Tensor.sin = softmax, cosine, sine
        for kind, forward in kept.items():
            kind.forward = forward


def subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)
