import re
from inspect import unwrap

import pytest
import torch
from table_models import CachedTableModel, TableModel

from lmbook.decoding import incremental
from lmbook.decoding.incremental import IncrementalForward, check_possible, check_request, left_pad, prompts
from lmbook.transformer import CausalLM


def test_left_pad():
    ids, mask = left_pad([[7, 8, 9], [5], [1, 2]], 4)
    assert ids.tolist() == [[7, 8, 9], [4, 4, 5], [4, 1, 2]]
    assert mask.tolist() == [[False] * 3, [True, True, False], [True, False, False]]
    assert ids.dtype == torch.int64
    assert left_pad([[5], [1, 2]])[0].tolist() == [[0, 5], [1, 2]]


@pytest.mark.parametrize(("prompts", "lengths"), [([], r"\[\]"), ([[1], []], r"\[1, 0\]")])
def test_left_pad_refuses_empty_prompts(prompts, lengths):
    with pytest.raises(ValueError, match=f"each prompt must hold at least 1 token, got lengths {lengths}"):
        left_pad(prompts)


@pytest.mark.parametrize("token", [1.5, 2.0, True, "3", None, float("nan")])
def test_left_pad_refuses_what_is_no_id(token):
    left_pad = unwrap(incremental.left_pad)  # the suite's check of type hints would answer first
    with pytest.raises(TypeError, match=re.escape(f"got {token!r}")):
        left_pad([[1, 2], [1, token]])
    with pytest.raises(TypeError, match=re.escape(f"got {token!r}")):
        left_pad([[1]], token)


def test_left_pad_takes_tensors():
    left_pad = unwrap(incremental.left_pad)
    assert left_pad([torch.tensor([1, 2]), [3]])[0].tolist() == [[1, 2], [0, 3]]
    with pytest.raises(TypeError, match=r"got 1\.0"):
        left_pad([torch.tensor([1.0])])


def test_reader_goes_back_and_on():
    """Read, forget, read other tokens, reorder rows: always the logits that a model without a cache gives."""
    generator = torch.Generator().manual_seed(0)
    plain, cached = TableModel(7), CachedTableModel(7)
    ids = torch.randint(7, (3, 11), generator=generator)
    reader = IncrementalForward(cached, 3)
    assert torch.equal(reader(ids[:, :5]), plain(ids[:, :5])[:, -1:])
    assert torch.equal(reader(ids[:, :9], 3), plain(ids[:, :9])[:, -3:])
    reader.truncate(6)
    other = torch.cat((ids[:, :6], ids[:, :2]), dim=1)
    assert torch.equal(reader(other, 2), plain(other)[:, -2:])
    assert cached.calls[-1] == (3, 2)
    rows = torch.tensor([2, 2, 0, 1])
    reader.select(rows)
    grown = torch.cat((other[rows], ids[:1, :4].T), dim=1)
    assert torch.equal(reader(grown), plain(grown)[:, -1:])
    reader.truncate(99)  # nothing to forget
    assert reader.cache.length == 9


def test_check_possible_takes_any_leading_axes():
    check_possible(torch.tensor([[[0.0, -torch.inf]]]))
    with pytest.raises(ValueError, match=r"got -inf in row \(0, 1\)"):
        check_possible(torch.tensor([[[0.0], [-torch.inf]]]))


def test_reader_of_hidden_states_goes_on_where_it_was():
    torch.manual_seed(0)
    model = CausalLM(7, 8, 2, 1).eval()
    ids = torch.randint(7, (3, 11))
    reader = IncrementalForward(model, 3)
    with torch.no_grad():
        whole = model.hidden_states(ids)
        assert torch.allclose(reader.hidden(ids[:, :5], 2), whole[:, 3:5], atol=1e-5)
        assert torch.allclose(reader.hidden(ids, 5), whole[:, 6:], atol=1e-5)
    assert reader.cache.length == 11


def test_prompts_are_the_rows_without_their_padding():
    ids, mask = left_pad([[7, 8, 9], [5]])
    rows = [(padding, prompt.tolist()) for padding, prompt in prompts(ids, mask)]
    assert rows == [(0, [[7, 8, 9]]), (2, [[5]])]
    assert [(padding, prompt.tolist()) for padding, prompt in prompts(ids[:1], None)] == [(0, [[7, 8, 9]])]


def test_padding_on_the_left_alone_is_accepted():
    def check(mask):
        check_request(
            TableModel(7), "a test", torch.zeros(1, len(mask), dtype=torch.int64), 2, None, mask[None]
        )

    check(torch.tensor([True, True, False]))
    for mask in (
        [False, False, True],
        [False, True, False],
        [True, False, True, False],
        [True, True, True],
        [True],
    ):
        with pytest.raises(ValueError, match="padding_mask must be True on the left of a row only"):
            check(torch.tensor(mask))
