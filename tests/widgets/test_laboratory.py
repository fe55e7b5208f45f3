"""The laboratory: what Python sends and refuses, floor and n-grams, weights both ways."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from javascript import run_module, state_of
from safetensors.torch import save_file

import lmbook.widgets
from lmbook import CausalLM, NGramLM, ToyLanguage, WindowLM, cross_entropy
from lmbook.tokenizer.base import CharTokenizer
from lmbook.transformer import TransformerConfig
from lmbook.widgets import Laboratory

CORE = (Path(lmbook.widgets.__file__).parent / "core").as_uri()
LANGUAGE = ToyLanguage()
PAGE = f"""
import {{ unpack }} from '{CORE}/bytes.js';
import {{ Run }} from '{CORE}/laboratory.js';
import {{ DEFAULT_RUN }} from '{CORE}/laboratory_settings.js';
import {{ Automaton }} from '{CORE}/toy_language.js';
import {{ exactFloor, givenText, ngramLevels, toyText }} from '{CORE}/training_text.js';
const small = {{ layers: 1, width: 8, heads: 2, context: 16, vectors: 4, hidden: 8 }};
const short = {{ batch: 4, steps: 5, warmup: 1 }};
const settingsOf = (change) => ({{ ...DEFAULT_RUN, ...small, ...short, ...change }});
const finish = (steps) => {{
  for (;;) {{
    const {{ value, done }} = steps.next();
    if (done) return value;
  }}
}};
const textOf = (state) => toyText(new Automaton({{
  vocabSize: state.vocab.length,
  rowStarts: unpack(state.row_starts, Uint32Array),
  words: unpack(state.row_words, Uint8Array),
  next: unpack(state.row_next, Uint16Array),
  logProbs: unpack(state.row_log_probs, Float64Array),
}}), state.vocab, state.sentences);
"""


def test_the_floor_and_the_n_grams_are_those_of_lmbook(tmp_path):
    script = """const text = textOf(saved);
    text.seen = text.seen.subarray(0, 129 * 200);
    const levels = finish(ngramLevels(text));
    print({ seen: text.seen, unseen: text.unseen, floor: exactFloor(text), levels });"""
    got = run_module(tmp_path, PAGE, script, state_of(Laboratory()))
    seen, unseen = (torch.tensor(got[name]).view(-1, 129) for name in ("seen", "unseen"))
    assert got["floor"] == pytest.approx(cross_entropy(LANGUAGE, unseen), abs=1e-6)
    for order, level in enumerate(got["levels"], start=1):
        counted = NGramLM(order, LANGUAGE.vocab_size).fit(seen)
        assert level["name"] == f"{order}-gram"
        assert level["loss"] == pytest.approx(cross_entropy(counted, unseen), abs=1e-4)


SAVE = """const run = new Run(settingsOf(saved.change), textOf(saved.state));
for (let i = 0; i < 3; i++) run.step();
print({ bytes: run.save().toBase64(), logits: run.model.logits(saved.ids) });"""
IDS = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.mark.parametrize("change", [{}, {"model": "window"}], ids=["transformer", "window"])
def test_weights_of_the_page_are_a_model_of_lmbook(tmp_path, change):
    data = {"state": state_of(Laboratory()), "change": change, "ids": IDS}
    got = run_module(tmp_path, PAGE, SAVE, data)
    path = tmp_path / "laboratory.safetensors"
    path.write_bytes(base64.b64decode(got["bytes"]))
    model, tokenizer = Laboratory.load_model(path)
    assert isinstance(model, WindowLM if change else CausalLM)
    assert tokenizer.encode("the crab") == LANGUAGE.encode("the crab")
    with torch.no_grad():
        np.testing.assert_allclose(got["logits"], model(torch.tensor([IDS]))[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["transformer", "window"])
def test_weights_of_lmbook_open_in_the_page(tmp_path, kind):
    torch.manual_seed(0)
    V = LANGUAGE.vocab_size
    model = WindowLM(V, 3, 6, 10) if kind == "window" else CausalLM(V, 24, 2, 3, context_length=32)
    path = tmp_path / "model.safetensors"
    Laboratory.save_model(path, model, LANGUAGE)
    script = f"""import {{ infoOf }} from '{CORE}/laboratory.js';
    const bytes = new Uint8Array(saved.bytes.buffer);
    const run = new Run(settingsOf(infoOf(bytes).settings), textOf(saved.state));
    run.open(bytes);
    print(run.model.logits(saved.ids));"""
    data = {"state": state_of(Laboratory()), "bytes": path.read_bytes(), "ids": IDS}
    got = run_module(tmp_path, PAGE, script, data)
    with torch.no_grad():
        np.testing.assert_allclose(got, model(torch.tensor([IDS]))[0], atol=1e-5)


def test_a_broken_model_and_a_foreign_file_are_refused(tmp_path):
    parts = {"mask": True, "positions": False, "residuals": True, "norms": False, "rows": True}
    data = {"state": state_of(Laboratory()), "change": {"parts": parts}, "ids": IDS}
    path = tmp_path / "broken.safetensors"
    path.write_bytes(base64.b64decode(run_module(tmp_path, PAGE, SAVE, data)["bytes"]))
    with pytest.raises(ValueError, match="was trained without positions and norms: lmbook has no such model"):
        Laboratory.load_model(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="isn't a file that the laboratory saved"):
        Laboratory.load_model(path)


def test_a_configuration_and_ids_of_ones_own(tmp_path):
    config = TransformerConfig(
        vocab_size=11, d_model=12, num_heads=3, num_layers=2, num_kv_heads=1, d_ff=20, tie_embeddings=False
    )
    ids = torch.randint(11, (40, 60), generator=torch.Generator().manual_seed(0))
    widget = Laboratory(config=config, ids=ids)
    assert repr(widget).splitlines()[2] == "trains a model on 2,400 ids"
    script = """const ids = unpack(saved.ids, Uint16Array);
    const text = givenText(ids, saved.row_length, saved.names);
    const run = new Run(settingsOf({ model: 'given' }), text, saved.config);
    const shapes = Object.fromEntries(run.model.parameters.map(({ name, shape }) => [name, shape]));
    const losses = [run.step(), run.step()];
    print({ ids, shapes, losses, context: run.context, seen: text.seen.length });"""
    got = run_module(tmp_path, PAGE, script, state_of(widget))
    assert got["ids"] == ids.flatten().tolist()
    assert (got["context"], got["seen"]) == (59, 36 * 60)
    shape = vars(config).copy()
    for name in ("extra_input_ids", "causal"):
        shape.pop(name)
    sizes = [shape.pop(name) for name in ("vocab_size", "d_model", "num_heads", "num_layers")]
    want = {name: list(w.shape) for name, w in CausalLM(*sizes, **shape).state_dict().items()}
    assert got["shapes"] == want
    assert all(2 < loss < 4 for loss in got["losses"])


def test_what_the_page_could_not_train_is_refused():
    shape = {"vocab_size": 11, "d_model": 12, "num_heads": 3, "num_layers": 2}
    ids = torch.zeros(40, 60, dtype=torch.int64)
    refused = [
        ({"text": "short"}, "text must have at least 1500 characters, got 5"),
        ({"text": "x" * 2000, "unseen": "y"}, "unseen must have at least 129 characters, got 1"),
        ({"text": "x" * 1_000_001}, "the text would take 1,000,001 bytes"),
        ({"config": TransformerConfig(**shape, dropout=0.1)}, "got causal True, dropout 0.1"),
        ({"config": TransformerConfig(**shape, causal=False)}, "got causal False"),
        ({"config": TransformerConfig(**shape | {"d_model": 768})}, "4,000,000 weights, config has 14,"),
        ({"ids": ids[:2]}, "the last tenth of ids must have 129 tokens, got 60"),
        ({"ids": ids - 1}, "ids"),
        ({"ids": ids + 11, "config": TransformerConfig(**shape)}, "11"),
        ({"ids": torch.zeros(600_000, dtype=torch.int64)}, "the ids would take 1,200,000 bytes"),
    ]
    for arguments, message in refused:
        with pytest.raises(ValueError, match=message):
            Laboratory(**arguments)


def test_letters_have_names():
    tokenizer = CharTokenizer.train("abc" * 9)
    widget = Laboratory(ids=torch.tensor(tokenizer.encode("abc" * 900)), tokenizer=tokenizer)
    assert widget.names == {"kind": "char", "tokens": ["a", "b", "c"]}
