"""ForwardPass: each tensor in JavaScript against PyTorch's, caught by hooks; what it says and refuses."""

import math

import pytest
import torch
from lm_parity import sharpened
from view_scope import run_js
from watched_passes import expected, watched

from lmbook.toy import ToyLanguage
from lmbook.transformer import CausalLM, MaskedLM
from lmbook.widgets import ForwardPass
from lmbook.widgets.forward_pass import switch_names, tensor_axes
from lmbook.widgets.packing import rounded

SENTENCES = [
    "the gulls that follow the crab sleep.",
    "every horse near the barn rests. it sees the hen.",
    "a",
]
SWITCHES = switch_names(2, 4)


@pytest.fixture(scope="module")
def language():
    return ToyLanguage()


@pytest.fixture(scope="module")
def model(language):
    torch.manual_seed(0)
    sizes = {"context_length": 29, "num_kv_heads": 2, "d_ff": 17, "tie_embeddings": False}
    return sharpened(CausalLM(language.vocab_size, 24, 4, 2, **sizes), 2.0)


@pytest.fixture(scope="module")
def widget(language, model):
    return ForwardPass(model, language)


@pytest.mark.parametrize(
    "off", [[], *([name] for name in SWITCHES), ["head 1.2", "feed-forward 2"], SWITCHES], ids=", ".join
)
def test_every_tensor_is_pytorchs(language, model, widget, tmp_path, off):
    data = {"rows": [language.encode(text) for text in SENTENCES], "off": off}
    script = """const [net] = loadModels(model.get('headers'), model.get('weights'));
    print(saved.data.rows.map((ids) => [...forwardPass(net, ids, saved.data.off)]));"""
    plain = expected(model, torch.tensor([data["rows"][0]]), [])
    for ids, got in zip(data["rows"], run_js(tmp_path, widget, script, data), strict=True):
        want = expected(model, torch.tensor([ids]), off)
        assert [name for name, _ in got] == list(tensor_axes(2))
        assert set(want) == set(tensor_axes(2))
        for name, tensor in got:
            mine = [-math.inf if number is None else number for number in tensor["data"]]
            mine = torch.tensor(mine, dtype=torch.float64).reshape(tensor["shape"])
            torch.testing.assert_close(mine, want[name], atol=1e-5, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
        if ids == data["rows"][0] and off:  # a switch that changes nothing would be told apart by nothing
            assert (want["logits"] - plain["logits"]).abs().max() > 0.01


def test_distances_from_the_exact_language(language, model, widget, tmp_path):
    data = [language.encode(text) for text in SENTENCES]
    script = """const { net, exact, vocab } = readPair(model);
    print(saved.data.map((ids) => {
      const run = runOf(net, exact, vocab, ids, []);
      return [run.words, run.distances, meanDivergence(run)];
    }));"""
    twin = rounded(model).double()
    for ids, (words, distances, mean) in zip(data, run_js(tmp_path, widget, script, data), strict=True):
        one = torch.tensor([ids])
        log_p, log_q = language(one)[0].double(), twin(one)[0].log_softmax(-1).detach()
        p = log_p.exp()
        cross_entropy = -(p * log_q).sum(-1)
        entropy = -torch.xlogy(p, p).sum(-1)
        assert words == [language.vocab[i] for i in ids]
        got = torch.tensor([[d["crossEntropy"], d["entropy"], d["divergence"]] for d in distances]).double()
        want = torch.stack([cross_entropy, entropy, cross_entropy - entropy], dim=1)
        torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
        assert mean == pytest.approx(float((cross_entropy - entropy).mean()), abs=1e-5)


def test_the_marked_number(language, model, widget, tmp_path):
    """−1 marks the largest of the row, of all heads or of one; a key that two heads share is either's."""
    ids = language.encode(SENTENCES[0])
    cases = [
        ("2.weights", -1, 5, -1),
        ("2.weights", 1, 5, -1),
        ("2.scores", 3, 0, -1),
        ("1.key", 3, 2, 4),
        ("1.key", 1, 2, 99),
        ("logits", -1, 99, -1),
        ("norm", -1, 1, 6),
        ("probabilities", 2, 6, 0),
    ]
    script = """const { net, exact, vocab } = readPair(model);
    const run = runOf(net, exact, vocab, saved.data.ids, []);
    print(saved.data.cases.map(([name, head, place, column]) => {
      const parts = panelsOf(run.tensors.get(name));
      const cell = cellOf({ head, place, column }, parts, net.H);
      return [cell, parts.valueAt(cell), tellNumber(run, vocab, name, cell)];
    }));"""
    with torch.no_grad():
        want = watched(rounded(model).double(), torch.tensor([ids]), [])
    got = run_js(tmp_path, widget, script, {"ids": ids, "cases": cases})
    cells = [(cell["panel"], cell["t"], cell["column"]) for cell, _, _ in got]
    weights = want["2.weights"]
    best = int(weights[:, 5].argmax())
    largest = (best // 8, 5, best % 8)
    logit = int(want["logits"][7].abs().argmax())
    assert cells == [
        largest, (1, 5, int(weights[1, 5].argmax())), (3, 0, 0), (1, 2, 4), (0, 2, 5), (0, 7, logit),
        (0, 1, 6), (0, 6, 0),
    ]  # fmt: skip
    for (name, *_), (panel, t, column), (_, value, _) in zip(cases, cells, got, strict=True):
        tensor = want[name]
        own = tensor[panel, t, column] if tensor.ndim == 3 else tensor[t, column]
        assert value == pytest.approx(float(own), abs=1e-5)
    told = [text for _, _, text in got]
    words = [language.vocab[i] for i in ids]
    assert told[0].startswith(f"head {largest[0] + 1}, from “crab” to “{words[largest[2]]}”: 0.")
    assert told[3].startswith("head 2, “that”, number 5 of 6: ")
    assert told[5].startswith(f"“{language.vocab[logit]}” after “.”: ")
    assert told[6].startswith("“gulls”, number 7 of 24: ")
    assert told[7].startswith(f"“{language.vocab[0]}” after “sleep”: ")


def test_plain_text(language, model):
    assert repr(ForwardPass(model, language, place=3, tensor="1.key", off=["mask", "head 2.1"])) == (
        "ForwardPass: 2 blocks of 4 heads on 'the gulls that follow the crab sleep.'; off: head 2.1, mask\n"
        "showing 1.key, 2 × 8 × 6\n"
        "after 'the gulls that follow' exactly: the 0.500, a 0.160, some 0.140"
    )
    assert repr(ForwardPass(model, language, text="a gull")).split("\n")[:2] == [
        "ForwardPass: 2 blocks of 4 heads on 'a gull'",
        "showing 2.weights, 4 × 2 × 2",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": "the cat"}, "text has words .* 'cat'"),
        ({"text": ""}, "text must have from 1 to 24 words, '' has 0"),
        ({"place": 8}, "place must be at most 7, got 8"),
        ({"place": -1}, "place must be at least 0, got -1"),
        ({"tensor": "3.weights"}, "tensor must be one of embedding, 1.attention_norm, .*; got '3.weights'"),
        ({"off": ["head 1.5"]}, "off must be one of head 1.1, .*, positions, mask; got 'head 1.5'"),
        ({"off": "mask"}, "off must be a list of switches, got 'mask'"),
    ],
)
def test_wrong_arguments_are_named(language, model, change, message):
    with pytest.raises(ValueError, match=message):
        ForwardPass(model, language, **change)


@pytest.mark.usefixtures("as_readers_run_it")
def test_other_models_are_refused(language):
    masked = MaskedLM(language.vocab_size, 12, 3, 1, context_length=29)
    with pytest.raises(TypeError, match="ForwardPass runs a CausalLM, got MaskedLM"):
        ForwardPass(masked, language)
