import pytest
import torch
from table_models import CachedTableModel, TableModel

from lmbook.reader import Reader, check_possible, left_pad


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


def test_reader_goes_back_and_on():
    """Read, forget, read other tokens, reorder rows: always the logits that a model without a cache gives."""
    generator = torch.Generator().manual_seed(0)
    plain, cached = TableModel(7), CachedTableModel(7)
    ids = torch.randint(7, (3, 11), generator=generator)
    reader = Reader(cached, 3)
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
