#!/usr/bin/env python3
"""Writes tests/unit/codings/references: small quantized checkpoints, and what the reference packages decode them to.

A folder a case: config.json's quantization_config, model.safetensors (made-up codes and scales, fixed seeds, in the
format's own tensors) and decoded.safetensors, whose one tensor the decoders have to meet to the bit. Run by hand; CI reads
what is committed. In an environment of its own, from here:

    python3 -m venv /tmp/refq && /tmp/refq/bin/pip install torch==2.11.0 transformers==5.24.0 numpy safetensors
    /tmp/refq/bin/pip install --no-deps compressed-tensors==0.20.1 loguru bitsandbytes==0.50.2 autoawq==0.2.9 auto-gptq==0.7.1
    /tmp/refq/bin/python make-references.py
    /tmp/refq/bin/pip install --target /tmp/ct --no-deps compressed-tensors==0.12.2
    PYTHONPATH=/tmp/ct /tmp/refq/bin/python make-references.py --act-order  # later versions have no weight_g_idx

The packages run on the CPU, with their own code for it. Two formulas are written down here from published source, because
theirs runs on GPUs alone or not at all in this environment: DeepSeek-V3's inference/kernel.py, weight_dequant, for
blocks that do not divide the matrix; gptqmodel 7.7.0's nn_modules/qlinear/__init__.py, _dequantize_from_codes, for gptq_v2.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

ROOT = Path(__file__).parent / "references"
MODULE = "model.layers.0.mlp.up_proj"
WEIGHT = MODULE + ".weight"


def without_init(package: str, *within: str) -> types.ModuleType:
    """A module of a package whose __init__ wants what this environment has not."""
    folder = Path(importlib.util.find_spec(package).submodule_search_locations[0])
    names = [package, *(".".join([package, *within[: i + 1]]) for i in range(len(within) - 1))]
    for name in names:
        stub = types.ModuleType(name)
        stub.__path__ = [str(folder.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = stub
    return importlib.import_module(".".join([package, *within]))


def write(case: str, config: dict, tensors: dict[str, torch.Tensor], decoded: torch.Tensor, name: str = WEIGHT) -> None:
    folder = ROOT / case
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "model.safetensors")
    save_file({name: decoded.contiguous()}, folder / "decoded.safetensors")


def scales(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Of many magnitudes, some of them where float16 has few bits left."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(shape, generator=generator) * 2.0 ** torch.randint(-12, 2, shape, generator=generator) + 1e-6).to(dtype)


def codes(shape: tuple[int, ...], below: int, seed: int) -> torch.Tensor:
    return torch.randint(0, below, shape, generator=torch.Generator().manual_seed(seed))


def words(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Packed along the last dimension, the first in the lowest bits."""
    binary = (values.unsqueeze(-1) >> torch.arange(bits)) & 1
    binary = binary.reshape(*values.shape[:-1], -1, 32)
    packed = (binary.to(torch.int64) << torch.arange(32)).sum(-1)
    return torch.from_numpy(packed.numpy().astype(np.uint32).view(np.int32))


def any_fp8(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Every code but the two NaN."""
    values = codes(shape, 254, seed)
    return (values + (values >= 0x7F).to(values.dtype)).to(torch.uint8).view(torch.float8_e4m3fn)


def awq() -> None:
    packing = without_init("awq", "utils", "packing_utils")
    for case, group, dtype in (("awq", 16, torch.float16), ("awq-channel", -1, torch.float16),
                               ("awq-bfloat16", 32, torch.bfloat16)):
        inputs, outputs, size = 64, 72 if case == "awq" else 24, 64 if group == -1 else group
        order = [0, 2, 4, 6, 1, 3, 5, 7]
        pack = lambda values: words(values.reshape(values.shape[0], -1, 8)[..., order].reshape(values.shape), 4)
        qweight = pack(codes((inputs, outputs), 16, 1))
        qzeros = pack(codes((inputs // size, outputs), 16, 2))
        scale = scales((inputs // size, outputs), dtype, 3)
        decoded = packing.dequantize_gemm(qweight, qzeros, scale, 4, size)
        write(case, {"quant_method": "awq", "version": "gemm", "bits": 4, "group_size": group, "zero_point": True},
              {MODULE + ".qweight": qweight, MODULE + ".qzeros": qzeros, MODULE + ".scales": scale}, decoded.T)


def gptq() -> None:
    linear = without_init("auto_gptq", "nn_modules", "qlinear", "qlinear_cuda").QuantLinear
    inputs = 96

    def case(name: str, bits: int, group: int, order: bool, form: str = "gptq", dtype: torch.dtype = torch.float16) -> None:
        outputs, size = 96 if name == "gptq" else 32, inputs if group == -1 else group
        groups = inputs // size
        layer = linear(bits, group, inputs, outputs, False)
        stored = codes((inputs, outputs), 2**bits, 11)
        zeros = codes((groups, outputs), 2**bits - (form == "gptq_v2"), 12) + (form == "gptq_v2")
        layer.qweight = words(stored.T, bits).T.contiguous()
        layer.qzeros = words(zeros, bits)
        layer.scales = scales((groups, outputs), dtype, 13)
        by_size = torch.arange(inputs) // size
        layer.g_idx = (by_size[torch.randperm(inputs, generator=torch.Generator().manual_seed(14))] if order else by_size).int()
        tensors = {f"{MODULE}.{key}": getattr(layer, key).clone() for key in ("qweight", "qzeros", "scales", "g_idx")}
        if form == "gptq":
            caught: list[torch.Tensor] = []
            product, torch.matmul = torch.matmul, lambda x, weights: caught.append(weights) or product(x, weights)
            layer(torch.eye(inputs, dtype=dtype))
            torch.matmul = product
            (decoded,) = caught
        else:  # its zero is the stored one
            decoded = layer.scales[layer.g_idx.long()] * (stored.to(torch.int16) - zeros.to(torch.int16)[layer.g_idx.long()])
        if not order:
            del tensors[MODULE + ".g_idx"]
        write(name, {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": order, "sym": False,
                     "checkpoint_format": form}, tensors, decoded.T)

    case("gptq", 4, 32, False)
    case("gptq-act-order", 4, 16, True)
    case("gptq-channel", 4, -1, False)
    case("gptq-2-bits", 2, 32, True)
    case("gptq-3-bits", 3, 32, False)
    case("gptq-8-bits-act-order", 8, 48, True)
    case("gptq-v2", 4, 32, True, "gptq_v2")
    case("gptq-bfloat16", 4, 32, False, dtype=torch.bfloat16)


def fp8() -> None:
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize

    dequantize = Fp8Dequantize(None)._dequantize_one
    config = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}
    weight = any_fp8((48, 96), 21)
    for case, scale, block in (("fp8-blocks", scales((3, 3), torch.float32, 22), [16, 32]),
                               ("fp8-blocks-bfloat16", scales((3, 3), torch.bfloat16, 23), [16, 32]),
                               ("fp8-blocks-e8m0", codes((3, 3), 30, 24).to(torch.uint8).add(110).view(torch.float8_e8m0fnu),
                                [16, 32]),
                               ("fp8-channels", scales((48, 1), torch.float32, 25), None),
                               ("fp8-tensor", scales((1, 1), torch.float32, 26), None)):
        name = ".weight_scale_inv" if block else ".weight_scale"
        write(case, {**config, "weight_block_size": block}, {WEIGHT: weight, MODULE + name: scale.squeeze() if case == "fp8-tensor" else scale},
              dequantize(weight, scale, torch.bfloat16))
    # weight_dequant_kernel: y = x.to(float32) * s, stored as bfloat16; blocks at the edges are cut.
    scale = scales((3, 4), torch.float32, 27)
    whole = scale.repeat_interleave(20, 0)[:48].repeat_interleave(32, 1)[:, :100]
    weight = any_fp8((48, 100), 28)
    write("fp8-blocks-cut", {**config, "weight_block_size": [20, 32]}, {WEIGHT: weight, MODULE + ".weight_scale_inv": scale},
          (weight.float() * whole).to(torch.bfloat16))


def compressed_config(form: str, weights: dict, **group: object) -> dict:
    return {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed", "ignore": ["lm_head"],
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, **group}}}


def compressed() -> None:
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    rows, cols = 40, 96

    def case(name: str, form: str, weights: dict, tensors: dict[str, torch.Tensor], **group: object) -> None:
        config = compressed_config(form, weights, **group)
        scheme = QuantizationScheme(**config["config_groups"]["group_0"])
        decoded = BaseCompressor.get_value_from_registry(form).decompress(dict(tensors), scheme)["weight"]
        write("compressed-" + name, config, {f"{MODULE}.{key}": value for key, value in tensors.items()}, decoded)

    fp8_args = {"num_bits": 8, "type": "float", "symmetric": True}
    activations = {"num_bits": 8, "type": "float", "symmetric": True, "strategy": "token", "dynamic": True}
    weight = any_fp8((rows, cols), 31)
    case("fp8-tensor", "float-quantized", {**fp8_args, "strategy": "tensor"},
         {"weight": weight, "weight_scale": scales((1,), torch.bfloat16, 32)}, input_activations=activations)
    case("fp8-channel", "float-quantized", {**fp8_args, "strategy": "channel"},
         {"weight": weight, "weight_scale": scales((rows, 1), torch.bfloat16, 33)}, input_activations=activations)
    case("fp8-block", "naive-quantized", {**fp8_args, "strategy": "block", "block_structure": [16, 32]},
         {"weight": weight, "weight_scale": scales((3, 3), torch.float32, 34)})
    int8 = (codes((rows, cols), 256, 35) - 128).to(torch.int8)
    args = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    int_activations = {**activations, "type": "int"}
    case("int8-channel", "int-quantized", args, {"weight": int8, "weight_scale": scales((rows, 1), torch.bfloat16, 36)},
         input_activations=int_activations)
    case("int8-asymmetric", "int-quantized", {**args, "symmetric": False},
         {"weight": int8, "weight_scale": scales((rows, 1), torch.float16, 37),
          "weight_zero_point": (codes((rows, 1), 256, 38) - 128).to(torch.int8)}, input_activations=int_activations)
    for name, bits, group, symmetric, dtype in (("packed-4-bits", 4, 32, True, torch.bfloat16),
                                                ("packed-4-bits-asymmetric", 4, 16, False, torch.float16),
                                                ("packed-8-bits", 8, None, True, torch.float32),
                                                ("packed-8-bits-asymmetric", 8, None, False, torch.bfloat16),
                                                ("packed-2-bits", 2, 48, True, torch.bfloat16)):
        groups = 1 if group is None else cols // group
        tensors = {"weight_packed": words(codes((rows, cols), 2**bits, 41), bits),
                   "weight_scale": scales((rows, groups), dtype, 42), "weight_shape": torch.tensor([rows, cols])}
        if not symmetric:  # packed along the rows
            tensors["weight_zero_point"] = words(codes((groups, rows), 2**bits, 43), bits).T.contiguous()
        strategy = {"strategy": "channel"} if group is None else {"strategy": "group", "group_size": group}
        case(name, "pack-quantized", {"num_bits": bits, "type": "int", "symmetric": symmetric, **strategy}, tensors)


def compressed_act_order() -> None:
    from compressed_tensors.compressors.quantized_compressors.pack_quantized import PackedQuantizationCompressor
    from compressed_tensors.quantization import QuantizationArgs

    rows, cols, size = 40, 96, 32
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": size, "actorder": "group"}
    order = torch.randperm(cols, generator=torch.Generator().manual_seed(44))
    tensors = {"weight_packed": words(codes((rows, cols), 16, 45), 4), "weight_scale": scales((rows, cols // size), torch.float16, 46),
               "weight_shape": torch.tensor([rows, cols]), "weight_g_idx": (torch.arange(cols) // size)[order].int()}
    decoded = PackedQuantizationCompressor.decompress_weight(None, dict(tensors), QuantizationArgs(**weights))
    write("compressed-packed-act-order", compressed_config("pack-quantized", weights),
          {f"{MODULE}.{key}": value for key, value in tensors.items()}, decoded)


def bitsandbytes() -> None:
    import bitsandbytes.functional as bnb
    from bitsandbytes.backends.default.ops import _dequantize_4bit_compute

    generator = torch.Generator().manual_seed(51)
    for case, kind, nested, shape, block, dtype in (("nf4", "nf4", False, (24, 128), 64, torch.bfloat16),
                                                    ("nf4-across-rows", "nf4", False, (24, 96), 64, torch.bfloat16),
                                                    ("nf4-nested", "nf4", True, (66, 256), 64, torch.float16),
                                                    ("nf4-odd", "nf4", False, (9, 35), 64, torch.float32),
                                                    ("fp4", "fp4", False, (24, 128), 128, torch.bfloat16)):
        made = torch.randn(shape, generator=generator) * torch.rand((shape[0], 1), generator=generator)
        made[1] = 0
        weight, state = bnb.quantize_4bit(made.to(dtype), blocksize=block, quant_type=kind, compress_statistics=nested)
        tensors = {WEIGHT: weight, **{f"{WEIGHT}.{key}": value for key, value in state.as_dict(packed=True).items()}}
        config = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": kind,
                  "bnb_4bit_use_double_quant": nested}
        # Its kernel for this machine reads blocks by rows where rows are not whole blocks, unlike its other backends.
        absmax = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset if nested else state.absmax
        decoded = _dequantize_4bit_compute(weight.reshape(-1), absmax, state.code, block, shape, dtype)
        assert shape[1] % block or torch.equal(decoded, bnb.dequantize_4bit(weight, state))
        write("bitsandbytes-" + case, config, tensors, decoded)
    weight = (codes((24, 96), 255, 52) - 127).to(torch.int8)
    magnitudes = scales((24,), torch.float32, 53)
    write("bitsandbytes-int8", {"quant_method": "bitsandbytes", "load_in_8bit": True},
          {WEIGHT: weight, MODULE + ".SCB": magnitudes, MODULE + ".weight_format": torch.tensor(0, dtype=torch.uint8)},
          bnb.int8_vectorwise_dequant(weight, magnitudes))


def mxfp4() -> None:
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors

    name = "model.layers.0.mlp.experts.gate_up_proj"
    blocks = codes((3, 10, 2, 16), 256, 61).to(torch.uint8)
    exponents = (codes((3, 10, 2), 40, 62) + 100).to(torch.uint8)
    exponents[0, 0, 0], exponents[0, 0, 1] = 0, 250
    decoded = convert_moe_packed_tensors(blocks, exponents)  # [experts, columns, rows]
    write("mxfp4", {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]},
          {name + "_blocks": blocks, name + "_scales": exponents}, decoded.transpose(1, 2).reshape(30, 64), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--act-order", action="store_true", help="only what compressed-tensors 0.12.2 is needed for")
    if parser.parse_args().act_order:
        compressed_act_order()
        return
    for make in (awq, gptq, fp8, compressed, bitsandbytes, mxfp4):
        make()


if __name__ == "__main__":
    main()
