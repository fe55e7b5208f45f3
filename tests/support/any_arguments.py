"""Arguments of all kinds for property tests: models, prompts, logits, numbers, masks; and what they lead to.

The environment variable EXAMPLES is how many examples of each property are tried, such as 2000.
"""

import math
import os
import traceback
from decimal import Decimal
from fractions import Fraction

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from lmbook import CausalLM, MaskedLM, NGramLM, ToyLanguage, WindowLM

NAN, INF = math.nan, math.inf
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
NO_FLOATS = [torch.float8_e4m3fn, torch.float8_e5m2, torch.int64, torch.bool, torch.complex64]

often = settings(
    max_examples=int(os.environ.get("EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class Own(Exception):
    """What a reader's own model or function raises."""


def outcome(call, documented=(TypeError, ValueError)):
    """What `call` returns; None if it says what is wrong, with a `raise` of the package's own."""
    try:
        return call()
    except documented as caught:
        error = caught
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert f"{os.sep}lmbook{os.sep}" in last.filename, f"raised in {last.filename}: {error!r}"
    assert last.line.startswith("raise"), f"raised by {last.line}: {error!r}"
    return None


# Numbers

ODD = [
    *(NAN, INF, -INF, -1, 0, 1, 2, 1.5, 1e308, 1e-308, 5e-324, 2**40, 10**30, -(10**30), 10**400),
    *(True, None, "2", b"2", 1j, [1], Fraction(1, 2), Decimal(2)),
    *(np.int64(2), np.float32(0.5), np.float64(NAN), torch.tensor(2), torch.tensor(0.5)),
]
usual = st.integers(0, 4)
numbers = st.one_of(usual, st.sampled_from([0.1, 0.5, 0.9, *ODD]))
lengths = st.one_of(usual, st.sampled_from(ODD))
ends = st.sampled_from([None, None, 0, 1, 3, 7, *ODD])

# Ids and masks

LAYOUTS = {
    "dense": lambda x: x,
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "every other": lambda x: torch.stack((x, x), -1)[..., 0],
    "one expanded": lambda x: x[:1].expand(x.shape) if x.ndim else x,
}
layouts = st.sampled_from(["dense"] * 5 + [*LAYOUTS])
SHAPES = [(1, 1), (2, 3), (3, 3), (0, 3), (2, 0), (3,), (), (1, 2, 3)]
values = st.sampled_from([0, 0, 1, 2, 3, -1, 5, 10**9, 2**63 - 1])


def ids_of(shape, dtype, layout, some):
    count = math.prod(shape)
    ids = torch.tensor((some * count)[:count], dtype=torch.int64).reshape(shape).to(dtype)
    return LAYOUTS["dense" if layout == "sparse" and dtype == torch.uint64 else layout](ids)


id_dtypes = st.sampled_from(
    [torch.int64] * 7 + [torch.int32, torch.uint8, torch.uint64, torch.float32, torch.bool]
)
some_ids = st.one_of(
    st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(values, min_size=1, max_size=6)
)
prompts = st.one_of(
    st.builds(ids_of, st.sampled_from([(2, 3)] * 5 + SHAPES), id_dtypes, layouts, some_ids),
    st.sampled_from([None, [[0, 1]], "01", 3]),
)


def mask_of(shape, place, dtype, layout):
    mask = torch.zeros(shape, dtype=torch.bool)
    if place is not None and mask.ndim == 2 and mask.numel():
        mask[0, place] = True
    return LAYOUTS[layout](mask.to(dtype))


masks = st.one_of(
    st.none(),
    st.builds(
        mask_of,
        st.sampled_from([(2, 3)] * 4 + [(1, 3), (3,), (), (2, 0)]),
        st.sampled_from([None, 0, -1]),
        st.sampled_from([torch.bool] * 4 + [torch.int64, torch.float32]),
        layouts,
    ),
    st.sampled_from(["mask", [[False] * 3] * 2]),
)

# Models

RETURNS = {
    "right": lambda logits: logits,
    "no time": lambda logits: logits[:, -1],
    "no batch": lambda logits: logits[0],
    "one row more": lambda logits: torch.cat((logits, logits[:1])),
    "one token less": lambda logits: logits[:, 1:],
    "V + 1": lambda logits: torch.cat((logits, logits[..., :1]), -1),
    "V odd or even": lambda logits: logits[..., : 1 + logits.shape[1] % 2],
    "transposed": lambda logits: logits.transpose(0, 1),
    "ints": lambda logits: logits.float().nan_to_num(0, 0, 0).long(),
    "bools": lambda logits: logits > 0,
    "8 bits": lambda logits: logits.to(torch.float8_e4m3fn),
    "sparse": lambda logits: logits.to_sparse(),
    "meta": lambda logits: logits.to("meta"),
    "a tuple": lambda logits: (logits,),
    "nothing": lambda logits: None,
    "a view": lambda logits: logits.repeat_interleave(2, -1)[..., ::2],
}


class Model:
    """A table of logits, some of which may be broken; the last token chooses the row."""

    def __init__(self, vocab_size, dtype, broken, returns, told):
        self.table = torch.randn(vocab_size, vocab_size, generator=torch.Generator().manual_seed(0))
        for (row, token), value in broken.items():
            self.table[row % vocab_size, token % vocab_size] = value
        self.table, self.returns = self.table.to(dtype).requires_grad_(), returns
        vars(self).update({name: vocab_size if value == "V" else value for name, value in told.items()})

    def __call__(self, ids):
        if self.returns == "fails":
            raise Own("this model fails")
        return RETURNS[self.returns](self.table[ids % len(self.table)])

    def __repr__(self):
        return f"Model({self.table.tolist()}, {self.table.dtype}, {self.returns}, {vars(self).keys()})"


class HiddenModel(Model):
    """The same, in two steps."""

    def hidden_states(self, ids):
        return self(ids)

    def unembed(self, states):
        return states.clone()


ARGUMENTS = (
    st.integers(1, 4),
    st.sampled_from(DTYPES),
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)), st.sampled_from([NAN, INF, -INF, 1e4]), max_size=2
    ),
    st.sampled_from(["right"] * 12 + [*RETURNS, "fails"]),
    st.fixed_dictionaries(
        {},
        optional={
            "vocab_size": st.sampled_from(["V"] * 9 + [0, 7, 2.0, "3", None]),
            "context_length": st.sampled_from([1, 4, 8, 100, None, None, 0, 2.5]),
            "markov_order": st.sampled_from([0, 1, 2, None, -1, "1", 10**30]),
            "mask_token_id": st.sampled_from([0, 1, None, -1, 10**30]),
            "predicts": st.sampled_from(["next", "next", "same", "other"]),
        },
    ),
)
GRAMMAR = {0: {"a": (0.5, 1), "b": (0.5, 0)}, 1: {"b": (0.25, 0), "c": (0.75, 1)}}
TOY = ToyLanguage(grammar=GRAMMAR)
COUNTED = NGramLM(2, 3).fit(torch.tensor([0, 1, 2, 0, 1, 1, 2]))
torch.manual_seed(0)
CAUSAL, MASKED = CausalLM(3, 8, 2, 2, context_length=16), MaskedLM(3, 8, 2, 2, context_length=16)
WINDOW = WindowLM(3, 2, 4, 5)
models = st.one_of(
    st.builds(Model, *ARGUMENTS),
    st.builds(Model, *ARGUMENTS),
    st.builds(HiddenModel, *ARGUMENTS),
    st.sampled_from([TOY, COUNTED, WINDOW, CAUSAL, MASKED]),
    st.sampled_from([None, 3]),
)


# Logits and functions


def logits_of(shape, dtype, layout, some):
    count = math.prod(shape)
    numbers = torch.tensor((some * count)[:count], dtype=torch.float64).reshape(shape)
    layout = "dense" if layout == "sparse" and dtype.itemsize == 1 else layout
    return LAYOUTS[layout]((numbers if dtype in DTYPES else numbers.nan_to_num(0, 0, 0)).to(dtype))


some_logits = st.lists(
    st.one_of(st.floats(-9, 9, width=16), st.sampled_from([NAN, INF, -INF, 1e4, 6e4, -6e4, 0.0])),
    min_size=1,
    max_size=9,
)
rows_of_logits = st.one_of(
    st.builds(
        logits_of,
        st.sampled_from([(2, 3)] * 4 + [(5,), (2, 2, 4), (), (0,), (2, 0), (0, 3), (1, 1)]),
        st.sampled_from(DTYPES * 3 + NO_FLOATS),
        layouts,
        some_logits,
    ),
    st.sampled_from([None, [[0.0, 1.0]], 1.0]),
)
