"""Training: one `loop`, two `objectives`, the `recipes` of the book's own models, and runs that `pretrain`
starts from the command line and that a `checkpoint` survives.
"""

from lmbook.training.checkpoint import load_checkpoint, load_run, save_checkpoint
from lmbook.training.loop import evaluate, fit, warmup_cosine
from lmbook.training.objectives import causal_loss, masked_loss, train_clm, train_mlm

__all__ = [
    "causal_loss",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_run",
    "masked_loss",
    "save_checkpoint",
    "train_clm",
    "train_mlm",
    "warmup_cosine",
]
