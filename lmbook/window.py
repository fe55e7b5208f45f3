"""A network that reads a window: the last n tokens through one hidden layer, after Bengio et al. 2003.

**What it computes.** The n last tokens become vectors, which are laid end to end, oldest first:
h = tanh(hidden(x)), logits = output(h). Where a text has fewer than n tokens, row V of the embedding stands
in each place before its first one.

**How n counts.** The network predicts from n tokens. An n-gram model is named for the tokens that it counts,
the predicted one among them, so the same window is that of `NGramLM(n + 1, …)`, and the exact limit of both
is `ToyLanguage.conditional_entropy(n + 1)`.

Axes: B batch, T time, V vocabulary, n window, E width of a token's vector, H hidden units.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from lmbook.interface import Ids, Mask, check_ids, check_int, check_looked_up, check_mask, check_number

MAX_WINDOW = 1000
MAX_WEIGHTS = 10**10  # 40 GB in float32


class WindowLM(nn.Module):
    """Predicts the next token from the last `window` ones; row t of the logits predicts token t + 1.

    The weights begin as PyTorch draws them: the embedding from N(0, 1), the layers uniformly within one over
    the root of their number of inputs. Call `torch.manual_seed` first to make them reproducible.

    Args:
        vocab_size: V.
        window: n, the tokens that a prediction depends on, from 1 to 1,000: those of an n-gram model of order
            n + 1, whose limit is `conditional_entropy(n + 1)`.
        d_embedding: E, width of a token's vector.
        d_hidden: H, hidden units.
        dropout: share of the hidden units set to 0 in training.

    Attributes:
        embedding: weight (V + 1, E); row V stands for "before the text".
        hidden: weight (H, n·E), the oldest token's E columns first; bias (H,).
        output: weight (V, H), bias (V,).
        markov_order: n, as the interface names it.

    Raises:
        TypeError: a size that isn't an int, a dropout that isn't a number.
        ValueError: a size below 1, a window above 1,000, more than 10 ** 10 weights, dropout outside [0, 1).

    Source: Bengio, Ducharme, Vincent and Jauvin 2003, A Neural Probabilistic Language Model, section 2; here
    without their direct connections from the vectors to the output.
    """

    accepts_padding = True

    def __init__(
        self, vocab_size: int, window: int, d_embedding: int, d_hidden: int, *, dropout: float = 0.0
    ):
        super().__init__()
        self.vocab_size = V = check_int("vocab_size", vocab_size)
        self.window = self.markov_order = n = check_int("window", window, 1, MAX_WINDOW)
        E, H = check_int("d_embedding", d_embedding), check_int("d_hidden", d_hidden)
        check_int("the number of weights", (V + 1) * E + (n * E + 1) * H + (H + 1) * V, 1, MAX_WEIGHTS)
        self.dropout = nn.Dropout(check_number("dropout", dropout, "[0, 1)"))
        self.embedding = nn.Embedding(V + 1, E)
        self.hidden = nn.Linear(n * E, H)
        self.output = nn.Linear(H, V)

    def forward(self, input_ids: Ids, *, padding_mask: Mask | None = None) -> Float[Tensor, "B T V"]:
        """Logits (B, T, V), row t for token t + 1.

        Args:
            input_ids: (B, T) int64.
            padding_mask: (B, T), True where a token is padding; it is read as "before the text". So a row of
                padding alone gives the logits of a text's first token.

        Raises:
            TypeError: ids that aren't int64.
            ValueError: an id outside the vocabulary, no token, a mask of another shape.
        """
        _check(input_ids, self.vocab_size)
        if padding_mask is not None:
            check_mask("padding_mask", padding_mask, input_ids.shape, input_ids.device)
            input_ids = input_ids.masked_fill(padding_mask, self.vocab_size)
        padded = F.pad(input_ids, (self.window - 1, 0), value=self.vocab_size)
        vectors = self.embedding(padded.unfold(1, self.window, 1))  # (B, T, n, E)
        check_looked_up(input_ids, vectors)
        return self.output(self.dropout(torch.tanh(self.hidden(vectors.flatten(2)))))


def _check(input_ids: Tensor, vocab_size: int) -> None:
    """Check ids; on the device "meta", where they have no values, only their kind and shape."""
    on_meta = isinstance(input_ids, Tensor) and input_ids.is_meta and input_ids.dtype == torch.int64
    if not (on_meta and input_ids.ndim == 2 and input_ids.numel()):
        check_ids(input_ids, vocab_size)
