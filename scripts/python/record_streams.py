"""The residual stream of a transformers model at one pass: after the embedding, and after each decoder layer.

As our worker's stream has it (src/model/trace.cpp): the first with the embedding's multiplier, so it is what the first layer is
given; the last before the final norm, which transformers' own output_hidden_states gives after it. So hooks on the layers take
them. Which modules the layers are is found by their number; a model of which that cannot be said is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from record_inputs import Refused


def layers_of(model: Any, count: int) -> tuple[str, list[Any]]:
    """The name and the modules of the only list of `count` modules that lies in no other such list."""
    lists = {name: module for name, module in model.named_modules() if type(module).__name__ == "ModuleList" and len(module) == count}
    outer = [name for name in lists if not any(name.startswith(other + ".") for other in lists)]
    if len(outer) != 1:
        raise Refused(f"--record hidden: {type(model).__name__} has {' and '.join(sorted(outer)) or 'no list'} of "
                      f"{count} modules, num_hidden_layers of its config.json: which its decoder layers are cannot be said: "
                      "use --record logits")
    return outer[0], list(lists[outer[0]])


class Streams:
    """Hooks on the decoder layers. `take` gives what the pass before it left."""

    def __init__(self, model: Any, count: int) -> None:
        self.model = type(model).__name__
        self.name, layers = layers_of(model, count)
        self.count = len(layers)
        self.kept: list[Any] = []  # copies: a layer may go on in the same memory
        for number, layer in enumerate(layers):
            layer.register_forward_pre_hook(self.before(number), with_kwargs=True)
            layer.register_forward_hook(self.after(number))

    def before(self, number: int) -> Any:
        def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = args[0] if args else kwargs.get("hidden_states")
            if number == 0 and not self.kept:
                self.keep(given)
            if len(self.kept) != number + 1:
                self.refuse(f"its {self.name} do not run once each, one after another")
            if not same(whole(given), self.kept[number]):
                self.refuse(f"{self.name}.{number} is not given what {self.name}.{number - 1} gave")

        return hook

    def after(self, number: int) -> Any:
        def hook(module: Any, args: tuple[Any, ...], output: Any) -> None:
            self.keep(output[0] if isinstance(output, tuple) else output)

        return hook

    def keep(self, stream: Any) -> None:
        if not hasattr(stream, "detach"):
            self.refuse(f"stream {len(self.kept)} is a {type(stream).__name__} and no tensor")
        self.kept.append(whole(stream).detach().clone())

    def refuse(self, why: str) -> None:
        raise Refused(f"--record hidden: {self.model}: {why}: its residual stream cannot be told: use --record logits")

    def take(self, rows: int) -> list[Any]:
        """[layers + 1] tensors of [rows, hidden]."""
        kept, self.kept = self.kept, []
        if len(kept) != self.count + 1:
            self.refuse(f"{max(0, len(kept) - 1)} of its {self.count} {self.name} ran")
        for number, stream in enumerate(kept):
            if stream.dim() != 3 or stream.shape[:2] != (1, rows) or stream.shape != kept[0].shape:
                self.refuse(f"stream {number} is of shape {tuple(stream.shape)}, not (1, {rows}, hidden)")
        return [stream[0] for stream in kept]


def same(a: Any, b: Any) -> bool:
    import torch

    return a is b or (a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=0, equal_nan=True))


def whole(tensor: Any) -> Any:
    """Of a tensor that lies in parts on ranks all of it, on every rank."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def words_of(tensor: Any) -> np.ndarray:
    """As it is stored: bfloat16 as its words."""
    import torch

    tensor = tensor.detach().to("cpu").contiguous()
    return tensor.view(torch.uint16).numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()
