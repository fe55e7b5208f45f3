"""Small masked models with decided weights, and what their tests share."""

import torch

from lmbook.transformer import MaskedLM


def small(seed=5, **options):
    torch.manual_seed(seed)
    model = MaskedLM(23, 42, 3, 2, **{"context_length": 211, **options}).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.2 + (weight.ndim == 1))
    return model


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)
