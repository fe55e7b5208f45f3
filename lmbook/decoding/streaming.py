"""Text while it is written: a stream of tokens, and strings that end it.

A token needn't end where a character ends: the bytes of "é" may be two tokens, and "." followed by a line
break may be one. So text that is shown as it comes must wait for whole characters, and text that is to end
before a stop string must wait until it can't become one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Generator, Tensor

from lmbook.decoding.filters import Filter
from lmbook.decoding.incremental import check_request
from lmbook.decoding.sampling import TokenLogProbs, sampler, write
from lmbook.interface import LanguageModel, TextCodec, check_codec, check_generator, evaluating, list_of

UNFINISHED = "\ufffd"  # what a tokenizer makes of bytes that are no character, or none yet


class StopStrings:
    """True of tokens whose text contains one of `strings`: `greedy_decode(…, stop=StopStrings(…))`.

    A string may end inside a token, or be spread over several. Only the last tokens are looked at, so ask
    after each new one.

    Args:
        tokenizer: what made the ids; each of its tokens stands for at least one byte.
        strings: at least one; none empty.

    Raises:
        TypeError: no list of texts. ValueError: no string, or an empty one.
    """

    def __init__(self, tokenizer: TextCodec, strings: Sequence[str]):
        check_codec(tokenizer, "decode")
        self.tokenizer, self.strings = tokenizer, checked_strings(strings)
        if not self.strings:
            raise ValueError("strings must hold at least 1 text, got none")
        self.reach = 1 + max(len(string.encode()) for string in self.strings)

    def __call__(self, new_ids: Int[Tensor, " N"] | Sequence[int]) -> bool:
        """Whether the last token completes one of the strings."""
        text = self.tokenizer.decode(list_of("new_ids", new_ids[-self.reach :]))
        return any(string in text for string in self.strings)


@dataclass(frozen=True, kw_only=True)
class StreamedToken:
    """A new token of `stream`.

    Attributes:
        id: its id.
        text: what can be shown now; all of these joined are the text.
        log_prob: log P of the token under the model, in nats.
    """

    id: int
    text: str
    log_prob: float


def stream(
    model: LanguageModel,
    tokenizer: TextCodec,
    prompt: str,
    filters: Iterable[Filter] = (),
    max_length: int = 100,
    *,
    generator: Generator | None = None,
    eos_token_id: int | None = None,
    stop_strings: Sequence[str] = (),
) -> Iterator[StreamedToken]:
    """Draw tokens as `sample_decode` does, and yield each as soon as it is drawn.

    The text ends before the first stop string, or before the end token. It never shows a part of a character;
    bytes that make none at the very end are left out.

    Args:
        model: any causal language model.
        tokenizer: of the model's ids.
        prompt: a text of at least one token.
        filters: as for `sample_decode`; temperature 0 makes the stream greedy.
        max_length: number of new tokens at most.
        generator: source of the draws; None: torch's default one.
        eos_token_id: the stream ends with this token.
        stop_strings: it ends, too, with the token that completes one of these.

    Raises:
        TypeError, ValueError: as `sample_decode` and `StopStrings`, at once, before the first token.
    """
    if not isinstance(prompt, str):
        raise TypeError(f"prompt must be a text, got {prompt!r}")
    check_codec(tokenizer, "encode", "decode")
    input_ids = torch.tensor([tokenizer.encode(prompt)], dtype=torch.int64)
    max_length, eos_token_id = check_request(model, "stream", input_ids, max_length, eos_token_id, None)
    check_generator(generator, input_ids.device)
    choose, log_probs = sampler(filters, generator), TokenLogProbs()
    ids = F.pad(input_ids, (0, max_length))
    steps = write(model, ids, max_length, choose, eos_token_id, log_probs=log_probs)
    text = _Text(tokenizer, int(input_ids[0, -1]), checked_strings(stop_strings))

    def tokens() -> Iterator[StreamedToken]:
        for place in range(max_length):
            with evaluating(model):  # not around the yield: the caller's code is no part of it
                token = int(ids[0, next(steps)])
            ended = token == eos_token_id
            shown = text.rest() if ended else text.after(token, is_last=place == max_length - 1)
            yield StreamedToken(id=token, text=shown, log_prob=log_probs.model[0, place].item())
            if ended or text.stopped:
                return

    return tokens()


def checked_strings(strings: Sequence[str]) -> list[str]:
    """The strings as a list; raise unless they are texts, none of them empty."""
    if isinstance(strings, str):
        raise TypeError(f"stop strings must be a list of texts, got the text {strings!r}")
    texts = list_of("stop strings", strings)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"a stop string must be a text, got {text!r}")
        if not text:
            raise ValueError(f"a stop string must have at least 1 character, got {texts}")
    return texts


class _Text:
    """The text of growing ids, handed out as far as it is certain."""

    def __init__(self, tokenizer: TextCodec, last: int, stops: list[str]):
        self.tokenizer, self.stops, self.stopped = tokenizer, stops, False
        self.waiting = ""  # whole characters that may turn out to begin a stop string
        self._begin(last)

    def _begin(self, last: int) -> None:
        """Only the last token is needed for the text of the next: it may put a space between them."""
        self.window, self.known = [last], len(self.tokenizer.decode([last]))

    def after(self, token: int, *, is_last: bool) -> str:
        """What can be shown once `token` is there."""
        self.window.append(token)
        text = self.tokenizer.decode(self.window)
        whole = text.rstrip(UNFINISHED)
        self.waiting += whole[self.known :]
        self.known = max(self.known, len(whole))
        if whole == text:
            self._begin(token)
        return self._certain(is_last)

    def rest(self) -> str:
        """What is left at the end."""
        return self._certain(is_last=True)

    def _certain(self, is_last: bool) -> str:
        found = [self.waiting.index(stop) for stop in self.stops if stop in self.waiting]
        self.stopped = bool(found)
        held = 0 if is_last else max((_overlap(self.waiting, stop) for stop in self.stops), default=0)
        cut = min(found, default=len(self.waiting) - held)
        shown, self.waiting = self.waiting[:cut], self.waiting[cut:]
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    return next(n for n in range(min(len(text), len(stop) - 1), -1, -1) if text.endswith(stop[:n]))
