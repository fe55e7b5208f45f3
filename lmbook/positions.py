"""Where a token stands, and what it may see: rotary positions and the mask of attention.

Axes: B batch, T time (queries), S sources (keys), N heads, E a head's width, D model width.
"""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@lru_cache(maxsize=16)
def rotary_tables(length: int, d_head: int, base: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines of position × frequency, each (length, 1, d_head), float32.

    Frequency i, base^(−2i / d_head), turns the pair of numbers (i, i + d_head / 2).

    Source: Su et al. 2021, RoFormer, section 3.2; the halves are paired as in Llama's published weights.
    """
    with torch.inference_mode(False):  # a table first made while decoding must serve training too
        exponents = torch.arange(0, d_head, 2, device=device, dtype=torch.float32) / d_head
        angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), base**-exponents)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), -1).unsqueeze(1), torch.cat((-sin, sin), -1).unsqueeze(1)


def rotate(x: Float[Tensor, "B T N E"], cos: Float[Tensor, "T 1 E"], sin: Float[Tensor, "T 1 E"]) -> Tensor:
    """Turn each pair (x_i, x_{i+E/2}) by its angle; then a query · key depends on their distance alone."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin).type_as(x)


def visibility(
    x: Float[Tensor, "B T D"], num_seen: int, causal: bool, padding: Bool[Tensor, "B S"] | None = None
) -> Bool[Tensor, "_ 1 T S"]:
    """True where query t may look at source s: not ahead (if causal), not at padding, always at itself.

    The T queries are the last of the S = `num_seen` sources. Padding looks at itself, as the softmax of a row
    that sees nothing would be 0 / 0.
    """
    num_new, past = x.shape[1], num_seen - x.shape[1]
    everything = torch.ones(num_new, num_seen, dtype=torch.bool, device=x.device)
    sight = everything.tril(past) if causal else everything
    if padding is None:
        return sight[None, None]
    return sight & ~padding[:, None, None, :] | everything.tril(past).triu(past)
