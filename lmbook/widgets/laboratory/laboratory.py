"""The laboratory: the reader trains a model in the page, beside the exact floor of its language.

Axes: B batch, T time, V vocabulary.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import traitlets
from jaxtyping import Int
from torch import Tensor

from lmbook.interface import TextCodec, check_ids
from lmbook.tokenizer.base import Tokenizer, tokenizer_from_json
from lmbook.toy.language import ToyLanguage
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.model import TransformerConfig
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style
from lmbook.widgets.packing import check_size, pack_language, pack_tokenizer
from lmbook.window import WindowLM

SENTENCES = (
    "the gulls that follow the crab sleep .",
    "the crab that the gulls follow sleeps .",
    "a young fox near the oak waits and listens .",
)
MIN_LETTERS = 1500
UNSEEN_ROW = 129  # tokens of a row that no run learns from
MAX_WEIGHTS = 4_000_000  # in the page
BROKEN = {
    "mask": "a causal mask",
    "positions": "positions",
    "residuals": "residual paths",
    "norms": "norms",
    "rows": "attention along rows",
}


class Laboratory(BookWidget):
    """Trains a model in the reader's browser: data, model, optimiser, and switches that break it.

    While it trains it shows the loss on training and on unseen text beside the exact floor and n-grams, the
    predictions in a sentence beside the exact ones, and samples. Nothing calls the kernel. The toy language
    is always there; so is a text that the reader pastes.

    Args:
        text: to be learnt by letters, from 1,500 characters.
        unseen: text of the same kind that no run learns from; "": the last tenth of `text`.
        name: what the page calls that text.
        config: a shape of your own, offered as a third kind of model; causal, without dropout.
        ids: (N,) or (B, T), a text of your own in ids; its last tenth is kept unseen.
        tokenizer: of `ids`: words or characters. None: tokens are shown as their numbers.

    Raises:
        TypeError: a config that isn't a `TransformerConfig`, ids that aren't int64, another tokenizer.
        ValueError: a text that is too short, a config with dropout or without the causal mask or with more
            than 4,000,000 weights, ids outside the vocabulary, more than a widget may hold.
    """

    _esm = bundle("laboratory/view.js", workers=("laboratory",))
    _css = style("kit/sentence.css", "playground/playground.css", "laboratory/laboratory.css")
    vocab = traitlets.List(traitlets.Unicode()).tag(sync=True)
    row_starts = traitlets.Bytes().tag(sync=True)  # the tables of LanguageWidget
    row_words = traitlets.Bytes().tag(sync=True)
    row_next = traitlets.Bytes().tag(sync=True)
    row_log_probs = traitlets.Bytes().tag(sync=True)
    sentences = traitlets.List(traitlets.Unicode()).tag(sync=True)
    text = traitlets.Dict().tag(sync=True)  # name, text, unseen; or nothing
    config = traitlets.Dict().tag(sync=True)  # the reader's own; or nothing
    ids = traitlets.Bytes().tag(sync=True)  # uint16, row by row
    row_length = traitlets.Int().tag(sync=True)
    names = traitlets.Dict().tag(sync=True)  # of the ids: kind, tokens

    def __init__(
        self,
        text: str = "",
        *,
        unseen: str = "",
        name: str = "Text",
        config: TransformerConfig | None = None,
        ids: Tensor | None = None,
        tokenizer: TextCodec | None = None,
    ):
        own: dict[str, Any] = {}
        if text:
            _check_text(text, unseen)
            own["text"] = {"name": name, "text": text, "unseen": unseen}
        if config is not None:
            _check_config(config)
            own["config"] = asdict(config)
        if ids is not None:
            own |= _pack_ids(ids, _names(config, ids, tokenizer))
        super().__init__(**pack_language(ToyLanguage()), sentences=list(SENTENCES), **own)

    def __repr__(self) -> str:
        """Return what there is to train on."""
        texts = ["the toy language, beside its exact floor"]
        if self.text:
            texts.append(f"{self.text['name']}, by letters")
        if self.ids:
            texts.append(f"{len(self.ids) // 2:,} ids")
        texts = [f"trains a model on {text}" for text in [*texts, "a text of your own, by letters"]]
        return "\n".join(["Laboratory, which needs a browser that runs scripts:", *texts])

    @staticmethod
    def load_model(path: str | Path) -> tuple[CausalLM | WindowLM, TextCodec | None]:
        """The model and the tokenizer of a file that the laboratory saved; the model is in eval mode.

        The tokenizer is None where the file's tokens have no names.

        Raises:
            ValueError: not a file of the laboratory, or a model that was trained with a part switched off,
                which no class of lmbook has.
        """
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(path, framework="pt") as file:
            info = json.loads((file.metadata() or {}).get("info", "null"))
        if not isinstance(info, dict) or info.get("model") not in ("transformer", "window"):
            raise ValueError(f"{path} isn't a file that the laboratory saved")
        off = [what for part, what in BROKEN.items() if not info["settings"].get("parts", {}).get(part, True)]
        if off and info["model"] == "transformer":
            raise ValueError(f"this model was trained without {' and '.join(off)}: lmbook has no such model")
        config = dict(info["config"])
        if info["model"] == "window":
            model = WindowLM(**config)
        else:
            shape = [config.pop(key) for key in ("vocab_size", "d_model", "num_heads", "num_layers")]
            extra, causal = config.pop("extra_input_ids", 0), config.pop("causal", True)
            if extra or not causal:
                raise ValueError(f"{path} holds no CausalLM: extra_input_ids {extra}, causal {causal}")
            model = CausalLM(*shape, **config)
        model.load_state_dict(load_file(path))
        return model.eval(), _tokenizer(info["tokenizer"])

    @staticmethod
    def save_model(path: str | Path, model: CausalLM | WindowLM, tokenizer: TextCodec) -> None:
        """Write a file that the laboratory opens on the same vocabulary.

        Raises:
            TypeError: another model, a tokenizer that isn't of words or characters.
        """
        from safetensors.torch import save_file

        if isinstance(model, WindowLM):
            sizes = {"window": model.window, "hidden": model.hidden.out_features}
            settings = {"model": "window", "vectors": model.embedding.embedding_dim} | sizes
            config = {"vocab_size": model.vocab_size, "window": model.window}
            config |= {"d_embedding": settings["vectors"], "d_hidden": settings["hidden"]}
        elif isinstance(model, CausalLM):
            c = model.config
            config, settings = asdict(c), {"model": "transformer", "layers": c.num_layers}
            settings |= {"width": c.d_model, "heads": c.num_heads, "context": min(c.context_length, 128)}
        else:
            raise TypeError(f"the laboratory opens CausalLM and WindowLM, got {type(model).__name__}")
        info = {"model": settings["model"], "config": config, "settings": settings}
        info["tokenizer"] = _listed(tokenizer)
        weights = {name: weight.detach().float().contiguous() for name, weight in model.state_dict().items()}
        save_file(weights, path, {"format": "pt", "info": json.dumps(info)})


def _check_text(text: str, unseen: str) -> None:
    if len(text) < MIN_LETTERS:
        raise ValueError(f"text must have at least {MIN_LETTERS} characters, got {len(text)}")
    if unseen and len(unseen) < UNSEEN_ROW:
        raise ValueError(f"unseen must have at least {UNSEEN_ROW} characters, got {len(unseen)}")
    check_size(len(text.encode()) + len(unseen.encode()), "the text")


def _check_config(config: TransformerConfig) -> None:
    if not isinstance(config, TransformerConfig):
        raise TypeError(f"config must be a TransformerConfig, got {type(config).__name__}")
    if config.dropout or not config.causal:
        raise ValueError(
            f"the laboratory trains causal models without dropout, got causal {config.causal}, "
            f"dropout {config.dropout}"
        )
    with torch.device("meta"):
        shape = asdict(config)
        extra = shape.pop("extra_input_ids")
        shape.pop("causal")
        sizes = [shape.pop(key) for key in ("vocab_size", "d_model", "num_heads", "num_layers")]
        weights = sum(p.numel() for p in CausalLM(*sizes, **shape).parameters()) + extra * config.d_model
    if weights > MAX_WEIGHTS:
        raise ValueError(f"a model in the page may have {MAX_WEIGHTS:,} weights, config has {weights:,}")


def _listed(tokenizer: TextCodec) -> dict[str, Any]:
    """The tokens of a tokenizer by id, as the page reads them."""
    packed = pack_tokenizer(tokenizer)
    if "tokens" not in packed:
        raise TypeError(f"the laboratory reads words and characters, got {tokenizer!r}")
    return {"kind": packed["kind"], "tokens": packed["tokens"]}


def _names(config: TransformerConfig | None, ids: Tensor, tokenizer: TextCodec | None) -> dict[str, Any]:
    if tokenizer is not None:
        return _listed(tokenizer)
    size = config.vocab_size if config else int(ids.max()) + 1
    return {"kind": "words", "tokens": [str(i) for i in range(size)]}


def _pack_ids(ids: Int[Tensor, "..."], names: dict[str, Any]) -> dict[str, Any]:
    rows = ids[None] if ids.ndim == 1 else ids
    check_ids(rows, len(names["tokens"]), name="ids", min_length=2)
    check_size(2 * rows.numel(), "the ids")
    count, length = rows.shape
    unseen = (count - max(1, 9 * count // 10)) * length if count > 1 else length - 9 * length // 10
    if unseen < UNSEEN_ROW:
        raise ValueError(f"the last tenth of ids must have {UNSEEN_ROW} tokens, got {unseen}")
    return {"ids": rows.cpu().numpy().astype("<u2").tobytes(), "row_length": length, "names": names}


def _tokenizer(names: dict[str, Any]) -> TextCodec | None:
    if names["kind"] == "words":
        language = ToyLanguage()
        return language if names["tokens"] == list(language.vocab) else None
    tokenizer: Tokenizer = tokenizer_from_json(json.dumps(names))
    return tokenizer
