"""ForwardPass: each tensor in JavaScript against PyTorch's, caught by hooks; what it says and refuses."""

import math
from collections.abc import Callable

import pytest
import torch
from lm_parity import sharpened
from torch import Tensor
from view_scope import run_js

import lmbook.transformer.model as transformer
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


def watched(model: CausalLM, ids: Tensor, off: list[str]) -> dict[str, Tensor]:
    """The tensors of the model's own pass over ids (1, T), with hooks that switch off and hooks that look."""
    found, config = {}, model.config
    handles = []

    def zero_heads(layer: int) -> Callable:
        def hook(_: torch.nn.Module, args: tuple) -> tuple:
            heads = args[0].clone().unflatten(-1, (config.num_heads, -1))
            for head in range(config.num_heads):
                if f"head {layer}.{head + 1}" in off:
                    heads[..., head, :] = 0
            return (heads.flatten(-2),)

        return hook

    def catch(name: str, module: torch.nn.Module, *, of_input: bool = False) -> None:
        def hook(_: torch.nn.Module, args: tuple, output: Tensor) -> None:
            found[name] = (args[0] if of_input else output)[0]

        handles.append(module.register_forward_hook(hook))

    catch("embedding", model.embedding)
    for n, block in enumerate(model.blocks, 1):
        handles.append(block.attention.out.register_forward_pre_hook(zero_heads(n)))
        if f"feed-forward {n}" in off:
            handles.append(block.feed_forward.register_forward_hook(lambda _, args, out: out * 0))
        catch(f"{n}.attention_norm", block.attention_norm)
        catch(f"{n}.qkv", block.attention.qkv)
        catch(f"{n}.context", block.attention.out, of_input=True)
        catch(f"{n}.attention", block.attention.out)
        catch(f"{n}.after_attention", block.feed_forward_norm, of_input=True)
        catch(f"{n}.feed_forward_norm", block.feed_forward_norm)
        catch(f"{n}.gate_up", block.feed_forward.gate_up)
        catch(f"{n}.gated", block.feed_forward.down, of_input=True)
        catch(f"{n}.feed_forward", block.feed_forward)
        catch(f"{n}.output", block)
    catch("norm", model.norm)
    found["logits"] = model(ids)[0]
    for handle in handles:
        handle.remove()
    for n, block in enumerate(model.blocks, 1):
        found |= attention_tensors(block.attention, found, n)
    found["probabilities"] = found["logits"].softmax(-1)
    return found


def attention_tensors(attention: torch.nn.Module, found: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """What attention makes inside one call, from the model's own methods on what the hooks caught."""
    c, normed = attention.config, found[f"{n}.attention_norm"][None]
    qkv = found.pop(f"{n}.qkv").unflatten(-1, (-1, c.d_head)).transpose(0, 1)
    query, key, value = qkv.split((c.num_heads, c.num_kv_heads, c.num_kv_heads))
    gate, up = found.pop(f"{n}.gate_up").chunk(2, dim=-1)
    tables = transformer.rotary_tables(c.context_length, c.d_head, c.rope_base, normed.device)
    cos, sin = (table[: normed.shape[1]] for table in tables)
    rotated_query, rotated_key, _ = (x[0] for x in attention.project(normed, cos, sin))
    keys = rotated_key.repeat_interleave(c.num_heads // c.num_kv_heads, dim=0)
    mask = transformer.attention_mask(normed.shape[1], normed.shape[1], c.causal)
    scores = (rotated_query @ keys.mT / math.sqrt(c.d_head)).masked_fill(~mask[0], -math.inf)
    named = {
        "query": query, "key": key, "value": value, "gate": gate, "up": up, "scores": scores,
        "rotated_query": rotated_query, "rotated_key": rotated_key,
        "weights": attention.weights(normed, cos, sin, mask)[0],
        "context": found[f"{n}.context"].unflatten(-1, (c.num_heads, -1)).transpose(0, 1),
    }  # fmt: skip
    return {f"{n}.{part}": tensor for part, tensor in named.items()}


@torch.no_grad()
def expected(model: CausalLM, ids: Tensor, off: list[str], monkeypatch: pytest.MonkeyPatch) -> dict:
    twin = rounded(model).double()
    if "mask" in off:
        object.__setattr__(twin.config, "causal", False)
    with monkeypatch.context() as patch:
        if "positions" in off:
            patch.setattr(transformer, "rotate", lambda x, cos, sin: x)
        return watched(twin, ids, off)


@pytest.mark.parametrize(
    "off", [[], *([name] for name in SWITCHES), ["head 1.2", "feed-forward 2"], SWITCHES], ids=", ".join
)
def test_every_tensor_is_pytorchs(language, model, widget, monkeypatch, tmp_path, off):
    data = {"rows": [language.encode(text) for text in SENTENCES], "off": off}
    script = """const [net] = loadModels(model.get('headers'), model.get('weights'));
    print(saved.data.rows.map((ids) => [...forwardPass(net, ids, saved.data.off)]));"""
    plain = expected(model, torch.tensor([data["rows"][0]]), [], monkeypatch)
    for ids, got in zip(data["rows"], run_js(tmp_path, widget, script, data), strict=True):
        want = expected(model, torch.tensor([ids]), off, monkeypatch)
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
