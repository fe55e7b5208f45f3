"""Language models whose every probability is known: a table of logits, indexed by all that was read.

Axes: B batch, T time, V vocabulary, M rows of the table.
"""

import math
from collections import defaultdict

import torch


class Bigram:
    """The next token depends on the last one alone; `attributes` are what the model tells of itself."""

    def __init__(self, logits, **attributes):
        self.logits = torch.as_tensor(logits, dtype=torch.float32)
        vars(self).update(attributes)

    def __call__(self, ids):
        return self.logits[ids]


TABLE = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))


class TableModel:
    """Logits are a row of a random table, chosen by the whole prefix: no two prefixes behave alike.

    `calls` lists the shapes read. `impossible` is the share of tokens at −inf.
    """

    def __init__(self, vocab_size=3, *, seed=0, rows=997, scale=1.5, impossible=0.0):
        generator = torch.Generator().manual_seed(seed)
        self.vocab_size = vocab_size
        self.table = torch.randn(rows, vocab_size, generator=generator) * scale
        gone = torch.rand(rows, vocab_size, generator=generator) < impossible
        gone[:, -1] = False
        self.table[gone] = -math.inf
        self.calls = []

    def __call__(self, input_ids):
        self.calls.append(tuple(input_ids.shape))
        return self.table[self.states(input_ids, torch.zeros_like(input_ids[:, :1]))]

    def states(self, input_ids, state):
        """Which row of the table each place looks at, (B, T), from the state (B, 1) before it."""
        out = []
        for t in range(input_ids.shape[1]):
            state = (state * 31 + input_ids[:, t : t + 1] * 7 + 1) % len(self.table)
            out.append(state)
        return torch.cat(out, dim=1)


class Cache:
    def __init__(self, batch_size, device):
        self.states = torch.zeros(batch_size, 1, dtype=torch.int64, device=device)

    @property
    def length(self):
        return self.states.shape[1] - 1

    def truncate(self, length):
        assert 0 <= length <= self.length
        self.states = self.states[:, : length + 1]

    def select(self, rows):
        self.states = self.states[rows]


class CachedTableModel(TableModel):
    """The same with a cache."""

    def new_cache(self, batch_size):
        return Cache(batch_size, self.table.device)

    def __call__(self, input_ids, cache=None):
        if cache is None:
            return super().__call__(input_ids)
        self.calls.append(tuple(input_ids.shape))
        states = self.states(input_ids, cache.states[:, -1:])
        cache.states = torch.cat((cache.states, states), dim=1)
        return self.table[states]


class PaddedTableModel(TableModel):
    """The same, and padded prompts are read as if they stood alone."""

    accepts_padding = True

    def __call__(self, input_ids, padding_mask=None):
        if padding_mask is None:
            return super().__call__(input_ids)
        self.calls.append(tuple(input_ids.shape))
        logits = torch.full((*input_ids.shape, self.vocab_size), math.nan)
        for row, padding in enumerate(padding_mask.sum(1).tolist()):
            logits[row : row + 1, padding:] = TableModel.__call__(self, input_ids[row : row + 1, padding:])
        return logits


class FunctionModel:
    """Next-token probabilities as a function of the tuple of all tokens read; tells no vocab_size."""

    def __init__(self, probabilities):
        self.probabilities = probabilities

    def __call__(self, input_ids):
        rows = [
            [self.probabilities(tuple(row[: t + 1])) for t in range(len(row))] for row in input_ids.tolist()
        ]
        return torch.tensor(rows).log()


class SizedFunctionModel(FunctionModel):
    def __init__(self, probabilities, vocab_size):
        super().__init__(probabilities)
        self.vocab_size = vocab_size


def sequence_log_prob(model, ids, prompt_length, eos=None):
    """log P of one row's continuation, token by token, up to and with the first `eos`; plain Python."""
    logp = model(ids[None])[0].double().log_softmax(-1)
    total = 0.0
    for t in range(prompt_length, len(ids)):
        total += float(logp[t - 1, ids[t]])
        if int(ids[t]) == eos:
            break
    return total


class Path:
    """One way through a program's random choices: those of `script`, then the first possible each time."""

    def __init__(self, script):
        self.script, self.weight, self.place, self.others = list(script), 1.0, 0, []

    def choose(self, weights):
        """An index; the branches not taken are noted in `others`."""
        if self.place == len(self.script):
            first, *rest = (i for i, weight in enumerate(weights) if weight > 0)
            self.others += [[*self.script, i] for i in rest]
            self.script.append(first)
        index = self.script[self.place]
        self.place += 1
        self.weight *= weights[index]
        return index


def every_outcome(run):
    """Exact distribution of what `run(choose)` returns: each path through its random choices is taken once.

    `choose(weights)` stands for a random choice with these probabilities, and returns an index.
    """
    outcomes, scripts = defaultdict(float), [[]]
    while scripts:
        path = Path(scripts.pop())
        outcomes[run(path.choose)] += path.weight
        scripts += path.others
    return dict(outcomes)
