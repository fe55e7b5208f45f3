"""Export a run's model for the package `transformers`: `LlamaForCausalLM` and a fast tokenizer.

    python -m lmbook.pretrain export run folder

The trunk is Llama's, so the weights only get other names; query, key and value, which are one matrix here,
are cut apart, and so are the two halves of the feed-forward part.
"""

import argparse
import json
import sys
from pathlib import Path

from torch import Tensor

from lmbook.tokenizer.base import ByteTokenizer, CharTokenizer, Tokenizer
from lmbook.tokenizer.bpe import BPETokenizer
from lmbook.tokenizer.pretrained import byte_of
from lmbook.training.checkpoint import load_run
from lmbook.transformer.causal import CausalLM

# lmbook.tokenizer.base.PIECES with its classes spelled out: \\w, \\d and \\s aren't Python's in every engine.
LETTER, DIGIT, SPACE = r"\p{L}\p{Nl}\p{No}", r"\p{Nd}", r"\s\x1c-\x1f\x85"
PIECES = rf" ?[{LETTER}]+| ?{DIGIT}+| ?[^{LETTER}{DIGIT}{SPACE}]+|[{SPACE}]+?(?= ?[^{SPACE}])|[{SPACE}]+"


def export_command(argv: list[str]) -> None:
    """The command `lmbook.pretrain export`; exit code 2 if the run can't be exported."""
    parser = argparse.ArgumentParser(
        prog="lmbook.pretrain export", description="Write a run's model and tokenizer for transformers."
    )
    parser.add_argument("run", type=Path, help="folder of the run, or its checkpoint")
    parser.add_argument("folder", type=Path, help="new folder for the model")
    arguments = parser.parse_args(argv)
    try:
        export(arguments.run, arguments.folder)
    except (ImportError, OSError, ValueError) as error:
        parser.error(str(error))
    print(f'transformers.AutoModelForCausalLM.from_pretrained("{arguments.folder}")', file=sys.stderr)


def export(run: str | Path, folder: str | Path) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tokenizer_config.json into `folder`.

    Args:
        run: a run's folder, or its checkpoint.
        folder: is created; if it exists, it must be empty.

    Raises:
        FileNotFoundError: no such run.
        FileExistsError: `folder` has something in it.
        ValueError: not a run's checkpoint, or that of a masked model.
        ModuleNotFoundError: the package tokenizers isn't installed.
    """
    model, tokenizer = load_run(run)
    if not isinstance(model, CausalLM):
        raise ValueError(
            f"export knows causal models; {run} has a masked one, which transformers has no class for"
        )
    fast = fast_tokenizer(tokenizer)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} has something in it already; choose another folder")
    from safetensors.torch import save_file

    save_file(llama_weights(model), folder / "model.safetensors", metadata={"format": "pt"})
    fast.save(str(folder / "tokenizer.json"))
    names = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": model.context_length,
        "clean_up_tokenization_spaces": False,
    }
    for name, content in ("config.json", llama_config(model)), ("tokenizer_config.json", names):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def llama_config(model: CausalLM) -> dict:
    """The model's shape under the names of `LlamaConfig`."""
    c = model.config
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": c.vocab_size,
        "hidden_size": c.d_model,
        "intermediate_size": c.d_ff,
        "num_hidden_layers": c.num_layers,
        "num_attention_heads": c.num_heads,
        "num_key_value_heads": c.num_kv_heads,
        "head_dim": c.d_head,
        "max_position_embeddings": c.context_length,
        "rms_norm_eps": c.norm_eps,
        "rope_theta": c.rope_base,  # as versions before 5 call it
        "rope_parameters": {"rope_type": "default", "rope_theta": c.rope_base},
        "tie_word_embeddings": c.tie_embeddings,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": None,
        "torch_dtype": "float32",
    }


def llama_weights(model: CausalLM) -> dict[str, Tensor]:
    """The model's weights under the names of `LlamaForCausalLM`."""
    c = model.config
    weights = {
        "model.embed_tokens.weight": model.embedding.weight,
        "model.norm.weight": model.norm.weight,
    }
    if not c.tie_embeddings:
        weights["lm_head.weight"] = model.unembedding.weight
    heads = (c.num_heads, c.num_kv_heads, c.num_kv_heads)
    for number, block in enumerate(model.blocks):
        qkv = block.attention.qkv.weight.split([n * c.d_head for n in heads])
        gate, up = block.feed_forward.gate_up.weight.chunk(2)
        parts = {
            "self_attn.q_proj": qkv[0],
            "self_attn.k_proj": qkv[1],
            "self_attn.v_proj": qkv[2],
            "self_attn.o_proj": block.attention.out.weight,
            "mlp.gate_proj": gate,
            "mlp.up_proj": up,
            "mlp.down_proj": block.feed_forward.down.weight,
            "input_layernorm": block.attention_norm.weight,
            "post_attention_layernorm": block.feed_forward_norm.weight,
        }
        weights |= {f"model.layers.{number}.{name}.weight": weight for name, weight in parts.items()}
    return {name: weight.detach().clone().contiguous() for name, weight in weights.items()}


def fast_tokenizer(tokenizer: Tokenizer):
    """The same tokenizer in the package `tokenizers`.

    A text that `tokenizer` takes gets equal ids, if this Python knows all its characters (its Unicode version
    is `unicodedata.unidata_version`). The package may know later letters and digits, which Python takes for
    signs, so that bytes in and beside them may be merged differently.

    Raises:
        ValueError: a kind of tokenizer that runs don't have.
        ModuleNotFoundError: the package isn't installed.
    """
    try:
        import tokenizers
    except ImportError:
        raise ModuleNotFoundError("export needs the package tokenizers: pip install tokenizers") from None
    cut, models, decoders = tokenizers.pre_tokenizers, tokenizers.models, tokenizers.decoders
    if isinstance(tokenizer, CharTokenizer):
        made = tokenizers.Tokenizer(models.BPE({char: i for i, char in enumerate(tokenizer.tokens)}, []))
        made.decoder = decoders.Fuse()
        return made
    if type(tokenizer) not in (ByteTokenizer, BPETokenizer):
        raise ValueError(f"export knows the tokenizers char, byte and bpe; got {tokenizer!r}")
    spelling = {byte: char for char, byte in byte_of().items()}
    spelled = ["".join(spelling[byte] for byte in token) for token in tokenizer.tokens]
    merges = [(spelled[left], spelled[right]) for left, right in getattr(tokenizer, "merges", [])]
    made = tokenizers.Tokenizer(models.BPE({token: i for i, token in enumerate(spelled)}, merges))
    made.pre_tokenizer = cut.Sequence(
        [
            cut.Split(tokenizers.Regex(PIECES), "isolated"),
            cut.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made
