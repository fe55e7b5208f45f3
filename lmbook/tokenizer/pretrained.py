"""The tokenizer of a pretrained model: a published byte-level BPE vocabulary, and its chat format.

`lmbook.smollm2` reads its parts from the model's file.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache

from lmbook.tokenizer.base import ByteTokenizer, index_of, shown, texts, whole

ROLES = ("system", "user", "assistant")


class PretrainedTokenizer(ByteTokenizer):
    """A published byte-level BPE vocabulary, applied by the package `tokenizers`.

    Each digit is a token. The text of a special token ("<|im_end|>") is encoded as that token, and decoded to
    that text. A character with a byte that has no token is a ValueError; SmolLM2 has all but six control
    characters and two ranges of unassigned code points.
    """

    kind = "pretrained"

    def __init__(
        self,
        tokens: Sequence[str],
        merges: Sequence[str],
        special_ids: Sequence[int],
        *,
        eos_token_id: int | None = None,
        chat_template: str | None = None,
    ):
        """Take the values as the file stores them.

        Args:
            tokens: id after id, a byte spelled as one character (see `byte_of`).
            merges: two tokens with a space between them, in the order learned.
            special_ids: ids of tokens that never come from merging.
            eos_token_id: the id that ends an answer.
            chat_template: Jinja text of the ChatML family, from which `chat` takes the default system
                message.

        Raises:
            TypeError, ValueError: tokens, merges and ids that don't fit together.
        """
        self.spelled, self.merges, self.special_ids = texts(tokens), list(merges), list(special_ids)
        self.eos_token_id, self.chat_template = eos_token_id, chat_template
        self._vocab = index_of(self.spelled)
        self._check()
        special = set(special_ids)
        self.tokens = [
            token.encode() if i in special else _bytes_of(i, token) for i, token in enumerate(self.spelled)
        ]
        self._missing = frozenset(range(256)) - {token[0] for token in self.tokens if len(token) == 1}
        self._encoder = self._build()

    def _check(self) -> None:
        """Raise where the parts don't fit together: the package would panic, or encode something else."""
        ends = [] if self.eos_token_id is None else [self.eos_token_id]
        for name, ids in (("a special id", self.special_ids), ("eos_token_id", ends)):
            for i in ids:
                if not 0 <= whole(name, i) < len(self.spelled):
                    raise ValueError(f"{name} must be at least 0 and below {len(self.spelled)}, got {i}")
        for merge in self.merges:
            parts = merge.split(" ") if isinstance(merge, str) else ()
            if len(parts) != 2 or not {*parts, "".join(parts)} <= self._vocab.keys():
                raise ValueError(
                    f"a merge must be two tokens with a space between that make a third; got {shown(merge)}"
                )
        index_of(self.merges, "merge")  # of a pair listed twice the package would take the last place
        if not isinstance(self.chat_template, str | None):
            raise TypeError(f"chat_template must be a str or None, got {shown(self.chat_template)}")

    def _build(self):
        try:
            import tokenizers
        except ImportError:
            raise ModuleNotFoundError("this tokenizer needs its package: pip install tokenizers") from None
        merges = [tuple(merge.split(" ")) for merge in self.merges]
        encoder = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=self._vocab, merges=merges))
        cut = tokenizers.pre_tokenizers
        encoder.pre_tokenizer = cut.Sequence(
            [cut.Digits(individual_digits=True), cut.ByteLevel(add_prefix_space=False)]
        )
        encoder.add_special_tokens([self.spelled[i] for i in self.special_ids])
        return encoder

    def _encode(self, text: str) -> list[int]:
        missing = self._missing.intersection(text.encode())
        if missing:
            place, char = next((t, c) for t, c in enumerate(text) if not missing.isdisjoint(c.encode()))
            raise ValueError(f"character {char!r} (U+{ord(char):04X}) at position {place} has no token")
        return self._encoder.encode(text).ids

    def chat(self, messages: Sequence[Mapping[str, str]], *, add_generation_prompt: bool = True) -> str:
        """A conversation as text, in the format that the model was trained on.

        Args:
            messages: each with "role" (system, user or assistant) and "content". If the first is not from
                the system, the file's default system message is put before it.
            add_generation_prompt: end with the beginning of the assistant's next answer.

        Raises:
            TypeError: not a list of mappings.
            ValueError: no messages, a message without a known role or without text, no usable template.
        """
        if not isinstance(messages, Sequence) or not all(isinstance(m, Mapping) for m in messages):
            raise TypeError(f"messages must be a list, each with role and content; got {shown(messages)}")
        if not messages:
            raise ValueError("chat needs at least 1 message, got none")
        for message in messages:
            if message.get("role") not in ROLES or not isinstance(message.get("content"), str):
                raise ValueError(
                    f"a message has a role, one of {', '.join(ROLES)}, and a text as content: {message!r}"
                )
        default = re.search(r"<\|im_start\|>system\n(.*?)<\|im_end\|>", self.chat_template or "", re.DOTALL)
        if default is None:
            raise ValueError(f"the tokenizer's chat template is none that chat knows: {self.chat_template!r}")
        if messages[0]["role"] != "system":
            messages = [{"role": "system", "content": default[1]}, *messages]
        turns = [f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages]
        return "".join(turns) + ("<|im_start|>assistant\n" if add_generation_prompt else "")

    def _state(self) -> dict:
        return {
            "tokens": self.spelled,
            "merges": self.merges,
            "special_ids": self.special_ids,
            "eos_token_id": self.eos_token_id,
            "chat_template": self.chat_template,
        }


def _bytes_of(i: int, token: str) -> bytes:
    """The bytes that an ordinary token spells."""
    spelling = byte_of()
    unknown = [char for char in token if char not in spelling]
    if unknown or not token:
        what = f"the character {unknown[0]!r}, which spells no byte" if unknown else "no character"
        raise ValueError(f"token {i}, {shown(token)}, has {what}")
    return bytes(spelling[char] for char in token)


@cache
def byte_of() -> dict[str, int]:
    """The byte that each character stands for in byte-level vocabularies: "A" is 65, "Ġ" is 32, the space.

    Bytes that are visible characters in Latin-1 stand for themselves; the other 68 are U+0100, U+0101, … in
    order.

    Source: Radford et al. 2019, Language Models are Unsupervised Multitask Learners, section 2.2, and its
        code.
    """
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)) - set(visible))
    return {chr(b): b for b in visible} | {chr(256 + n): b for n, b in enumerate(hidden)}
