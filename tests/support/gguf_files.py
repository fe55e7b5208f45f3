"""GGUF files of tiny models, written by the package gguf."""

import gguf
import numpy as np

from lmbook.tokenizer.pretrained import byte_of

# V 258, D 20, 5 heads of 4, F 13, 3 blocks
TINY = {
    "general.architecture": "llama",
    "llama.embedding_length": 20,
    "llama.block_count": 3,
    "llama.feed_forward_length": 13,
    "llama.context_length": 37,
    "llama.attention.head_count": 5,
    "llama.attention.head_count_kv": 5,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.freq_base": 500.0,
    "llama.rope.dimension_count": 4,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": ["<|end|>", *byte_of(), "ab"],
    "tokenizer.ggml.token_type": [3] + 257 * [1],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 0,
}


def tensors_of(settings, tied=True, seed=0):
    rng = np.random.default_rng(seed)
    d, f = settings["llama.embedding_length"], settings["llama.feed_forward_length"]
    kv = d // settings["llama.attention.head_count"] * settings["llama.attention.head_count_kv"]
    shapes = {"token_embd": (258, d), "output_norm": (d,)} | ({} if tied else {"output": (258, d)})
    for layer in range(settings["llama.block_count"]):
        shapes |= {
            f"blk.{layer}.attn_norm": (d,),
            f"blk.{layer}.attn_q": (d, d),
            f"blk.{layer}.attn_k": (kv, d),
            f"blk.{layer}.attn_v": (kv, d),
            f"blk.{layer}.attn_output": (d, d),
            f"blk.{layer}.ffn_norm": (d,),
            f"blk.{layer}.ffn_gate": (f, d),
            f"blk.{layer}.ffn_up": (f, d),
            f"blk.{layer}.ffn_down": (d, f),
        }
    return {f"{name}.weight": rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def add_settings(writer, settings):
    """Add settings, each in the type of GGUF that its value has; the architecture is the writer's own."""
    for name, value in settings.items():
        if name == "general.architecture":
            continue
        if isinstance(value, list):
            writer.add_array(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        elif isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif -(2**31) <= value < 0:
            writer.add_int32(name, value)
        elif value < 2**32:
            writer.add_uint32(name, value)
        else:
            writer.add_uint64(name, value)


def write(path, settings, tensors, quantized=None):
    """Write a file; matrices are quantized to a `gguf.GGMLQuantizationType` where one is given."""
    writer = gguf.GGUFWriter(path, settings.get("general.architecture", "llama"))
    add_settings(writer, settings)
    for name, tensor in tensors.items():
        if quantized is not None and tensor.ndim == 2:
            writer.add_tensor(name, gguf.quants.quantize(tensor, quantized), raw_dtype=quantized)
        else:
            writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
