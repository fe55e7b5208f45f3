"""What temperature and nucleus do to the next token of real prompts: logits of a model too large for a page.

The page has only the best logits of each prompt. The sums over all tokens are computed beforehand for each
position of the two sliders, so what the page shows is exact over the whole vocabulary.

Axes: P prompts, V vocabulary, K tokens that travel, N temperatures (the first is 0), M values of p.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from lmbook.decoding.filters import temperature as at_temperature
from lmbook.decoding.filters import top_p
from lmbook.widgets.base import BookWidget
from lmbook.widgets.bundle import bundle, style

TEMPERATURES = [round(0.05 * i, 2) for i in range(41)]  # 0 … 2
NUCLEI = [round(0.05 * i, 2) for i in range(1, 21)]  # 0.05 … 1
MAX_PROMPTS = 12
SMOLLM2_VOCABULARY = 49_152


class PromptExplorer(BookWidget):
    """Shows the next token of prompts at the reader's temperature and nucleus, temperature first.

    Args:
        prompts: the texts, each different.
        logits: (P, V), a model's logits after each.
        tokenizer: has `decode(ids) -> str`.
        top: tokens of each prompt that the page can name; the others are one line, their probability exact.
        temperature: at first, from 0 to 2 in steps of 0.05.
        p: of the nucleus at first, from 0.05 to 1 in steps of 0.05.
        live: whether the reader can load SmolLM2 into the page and ask it anything; `logits` are SmolLM2's.

    Raises:
        ValueError: no or too many prompts, logits of another shape or not finite, a value out of range.
    """

    _esm = bundle("prompt_explorer.js", workers=("prompt",))
    _css = style("kit/sentence.css", "attention.css", "prompt_explorer.css")
    prompts = traitlets.List(traitlets.Unicode()).tag(sync=True)
    labels = traitlets.List(traitlets.List(traitlets.Unicode())).tag(sync=True)  # (P, K), best first
    vocab_size = traitlets.Int().tag(sync=True)
    temperatures = traitlets.List(traitlets.Float()).tag(sync=True)
    nuclei = traitlets.List(traitlets.Float()).tag(sync=True)
    best = traitlets.Bytes().tag(sync=True)  # (P, K) float32: logits minus the largest
    norms = traitlets.Bytes().tag(sync=True)  # (P, N) float64: log Σ exp(logit / T), all V tokens
    entropies = traitlets.Bytes().tag(sync=True)  # (P, N) float64, nats
    sizes = traitlets.Bytes().tag(sync=True)  # (P, N, M) uint32: tokens in the nucleus
    masses = traitlets.Bytes().tag(sync=True)  # (P, N, M) float64: their probability
    prompt = traitlets.Int(0).tag(sync=True)
    temperature = traitlets.Int().tag(sync=True)  # place of the slider
    nucleus = traitlets.Int().tag(sync=True)
    live = traitlets.Bool().tag(sync=True)

    def __init__(
        self,
        prompts: Sequence[str],
        logits: Float[Tensor, "P V"],
        tokenizer: Any,
        *,
        top: int = 200,
        temperature: float = 1.0,
        p: float = 0.9,
        live: bool = False,
    ):
        prompts = list(prompts)
        _check(prompts, logits, top)
        if live and logits.shape[1] != SMOLLM2_VOCABULARY:
            raise ValueError(f"live needs SmolLM2's logits, V = {SMOLLM2_VOCABULARY}, got {logits.shape[1]}")
        places = [_place(temperature, TEMPERATURES, "temperature"), _place(p, NUCLEI, "p")]
        logits = logits.detach().cpu().double()
        ordered, ids = logits.sort(dim=-1, descending=True, stable=True)
        ordered = ordered - ordered[:, :1]
        rows = [summed_up(row) for row in ordered]
        self._ordered = ordered
        packed = {
            name: np.stack([row[name] for row in rows]).astype("<u4" if name == "sizes" else "<f8").tobytes()
            for name in ("norms", "entropies", "sizes", "masses")
        }
        super().__init__(
            prompts=prompts,
            labels=[[tokenizer.decode([i]) for i in row] for row in ids[:, :top].tolist()],
            vocab_size=logits.shape[1],
            temperatures=TEMPERATURES,
            nuclei=NUCLEI,
            best=ordered[:, :top].float().numpy().astype("<f4").tobytes(),
            temperature=places[0],
            nucleus=places[1],
            live=live,
            **packed,
        )

    def __repr__(self) -> str:
        """Return for each prompt the three best tokens at T and p, with two digits of their probabilities."""
        tau, p = TEMPERATURES[self.temperature], NUCLEI[self.nucleus]
        lines = [f"PromptExplorer at T = {tau}, p = {p}"]
        for text, names, row in zip(self.prompts, self.labels, self._ordered, strict=True):
            probs = top_p(at_temperature(row, tau), p).softmax(-1)
            likeliest = [(name, float(q)) for name, q in zip(names[:3], probs, strict=False) if q > 0]
            told = ", ".join(f"{name!r} {q:.2f}" for name, q in likeliest)
            lines.append(f"{text!r}: {told}")
        return "\n".join(lines)


def summed_up(ordered: Float[Tensor, " V"]) -> dict[str, np.ndarray]:
    """Return the sums over the whole vocabulary at each position of the sliders.

    Args:
        ordered: logits minus the largest, best first.

    Returns:
        "norms" and "entropies" (N,), "sizes" and "masses" (N, M), as the traits of `PromptExplorer` say. At
        T = 0 the first token has all the probability.
    """
    norms, entropies, sizes, masses = [], [], [], []
    for tau in TEMPERATURES:
        warm = at_temperature(ordered, tau)
        probs = warm.softmax(-1)
        total = probs.cumsum(0)
        norms.append(float(warm.logsumexp(0)))
        entropies.append(float(torch.special.entr(probs).sum()))
        possible = int(warm.isfinite().sum())
        counts = [possible if p == 1 else min(int((total < p).sum()) + 1, possible) for p in NUCLEI]
        sizes.append(counts)
        masses.append([1.0 if n == possible else float(total[n - 1]) for n in counts])
    return {
        "norms": np.array(norms),
        "entropies": np.array(entropies),
        "sizes": np.array(sizes),
        "masses": np.array(masses),
    }


def _place(value: float, grid: list[float], name: str) -> int:
    near = min(range(len(grid)), key=lambda i: abs(grid[i] - value))
    if not abs(grid[near] - value) < 1e-9:
        raise ValueError(f"{name} must be from {grid[0]} to {grid[-1]} in steps of 0.05, got {value}")
    return near


def _check(prompts: list[str], logits: Tensor, top: int) -> None:
    if not 1 <= len(prompts) <= MAX_PROMPTS or len(set(prompts)) < len(prompts):
        raise ValueError(f"prompts must be from 1 to {MAX_PROMPTS} different texts, got {prompts}")
    if logits.ndim != 2 or len(logits) != len(prompts) or logits.shape[1] < 2:
        raise ValueError(f"logits must be ({len(prompts)}, V), got {tuple(logits.shape)}")
    if not bool(logits.isfinite().all()):
        raise ValueError("logits must be finite")
    if not 10 <= top <= 1000:
        raise ValueError(f"top must be from 10 to 1000, got {top}")
