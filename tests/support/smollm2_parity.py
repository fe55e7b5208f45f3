"""SmolLM2 in the page's core against lmbook.smollm2: awkward texts, 30 prompts, and what is asked after each.

Axes: V vocabulary.
"""

import functools
from collections.abc import Callable, Sequence

import lm_parity as parity
import numpy as np
import torch

from lmbook.corpora import load_shakespeare, load_speeches
from lmbook.smollm2 import load_smollm2, load_smollm2_tokenizer

NEAR = 1e-3  # for logits; and where two of them are nearer, either token is right
TEXTS = [
    *parity.AWKWARD,
    "안녕하세요, 세계! 😀😀 👩‍👩‍👧‍👦",
    " " * 40,
    "a\r\nb\r\n\r\n  c \r\n",
    "x" * 5000,
    "".join(chr(97 + i * i % 26) for i in range(5000)),
    "<|im_start|>user\nHi<|im_end|>\n<|im_end|<|endoftext|>|>",
    "  1 2\u00a03\u30004  5a6 ",
    "it's THEY'RE we'll'd 've",
    "ⅷ²½٣٤ x²y",
]


@functools.cache
def tokenizer():
    return load_smollm2_tokenizer()


def allowed(text):
    """The text without characters that have no token, which Python refuses."""
    missing = {chr(b) for b in tokenizer()._missing if b < 128}
    return "".join(char for char in text if char not in missing and char < "\U000c0000")


@functools.cache
def smollm2():
    return load_smollm2()[0]


def prompts() -> list[str]:
    """Return 30 texts: short and long, of every sort."""
    play, speech = load_shakespeare("validation")["Hamlet"], load_speeches("validation")["1863-Lincoln-1"]
    starts = [
        "The capital of France is",
        "Hello",
        " ",
        "1 + 1 =",
        "def fib(n):\n    ",
        "안녕하세요 😀",
        "\r\n\r\n",
    ]
    pieces = [
        text[at : at + size] for text in (play, speech) for at, size in ((900, 40), (3000, 200), (9000, 700))
    ]
    questions = ["What is gravity?", "Name three colours.", "Write a poem.", "Is 7 prime?", "Hi!"]
    chats = [tokenizer().chat([{"role": "user", "content": text}]) for text in questions]
    odd = [TEXTS[4], TEXTS[13][:50], "x" * 100, TEXTS[9][:30], "<|im_start|><|im_start|>", "a b " * 40]
    more = [
        "Once upon a time",
        "The quick brown fox",
        "In 1905 Einstein",
        "Dear Sir,",
        '{"name": ',
        "¿Qué hora es?",
    ]
    return [allowed(text) for text in [*starts, *pieces, *chats, *odd, *more]]


# The body of a function of (model, data): `data.length` tokens written greedily after each prompt.
WRITE = """
return data.prompts.map((text) => {
  const { ids } = model.tokenizer.encode(text);
  const session = model.session(ids);
  const { logits } = session;
  const written = [];
  while (written.length < data.length) {
    const row = session.logits;
    written.push(row.reduce((best, logit, id) => (logit > row[best] ? id : best), 0));
    session.push(written.at(-1));
  }
  return { ids, written, logits: toBase64(logits) };
});
"""


def check(write: Callable[[dict], list[dict]], texts: Sequence[str], length: int) -> None:
    """The logits after each text, and the `length` tokens that the page writes, are PyTorch's.

    Prints how far the logits are apart, and how many tokens a margin decides: `pytest -s`.
    """
    answers = write({"prompts": list(texts), "length": length})
    for text, got in zip(texts, answers, strict=True):
        ids = tokenizer().encode(text)
        assert got["ids"] == ids
        with torch.inference_mode():
            rows = smollm2()(torch.tensor([ids + got["written"]]))[0, len(ids) - 1 :]
        apart = np.abs(parity.decoded(got["logits"], "<f4") - rows[0].numpy()).max()
        assert apart < NEAR, f"{text!r}: a logit is off by {apart}"
        best = rows[:-1].topk(2)
        clear = best.values[:, 0] - best.values[:, 1] > NEAR
        print(f"logits {apart:.1e} apart, {int(clear.sum())} of {length} tokens clear after {text[:20]!r}")
        for t, token in enumerate(got["written"]):
            assert token == best.indices[t, 0] or not clear[t], f"{text!r}: token {t} is {token}"
