"""The window model that the page trains, against `WindowLM`: derivatives, logits, losses."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from javascript import run_module

import lmbook.widgets
from lmbook.window import WindowLM

CORE = (Path(lmbook.widgets.__file__).parent / "core").as_uri()
NETWORK = f"""
import {{ initialiseWindow, TrainableWindow }} from '{CORE}/window.js';
import {{ AdamW }} from '{CORE}/optimisers.js';
import {{ trainStep }} from '{CORE}/training.js';
const build = ({{ config, weights }}) => {{
  const model = new TrainableWindow(config);
  for (const {{ name, value }} of model.parameters) value.set(weights[name]);
  return model;
}};
"""


def small_window(window: int) -> tuple[WindowLM, dict]:
    config = {"vocab_size": 13, "window": window, "d_embedding": 5, "d_hidden": 17}
    torch.manual_seed(0)
    model = WindowLM(*config.values())
    weights = {name: weight.flatten().tolist() for name, weight in model.state_dict().items()}
    return model, {"config": config, "weights": weights}


def assert_near(got: list | np.ndarray, want: np.ndarray, what: str) -> None:
    off = np.abs(np.asarray(got) - want.ravel()).max() / np.abs(want).max()
    assert off <= 1e-4, f"{what} is off by {off:.1e} of its largest number"


@pytest.mark.parametrize("window", [1, 3, 11])
def test_gradients_and_logits(tmp_path, window):
    model, data = small_window(window)
    model = model.double()
    batch = torch.randint(13, (23, 8), generator=torch.Generator().manual_seed(2))  # 161 places: two passes
    loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
    loss.backward()
    got = run_module(
        tmp_path,
        NETWORK,
        """const model = build(saved);
        const loss = model.lossAndGradients(saved.batch);
        const grads = Object.fromEntries(model.parameters.map(({ name, grad }) => [name, [...grad]]));
        print({ loss, again: model.loss(saved.batch), grads, logits: model.logits(saved.text) });""",
        data
        | {
            "batch": {"ids": batch.flatten().tolist(), "rows": 23, "length": 8},
            "text": batch.flatten().tolist(),
        },
    )
    assert got["loss"] == got["again"] == pytest.approx(loss.item(), rel=1e-6)
    assert list(got["grads"]) == list(model.state_dict())
    for name, weight in model.named_parameters():
        assert_near(got["grads"][name], weight.grad.numpy(), name)
    logits = model(batch.flatten()[None]).detach().numpy()
    assert_near(np.concatenate(got["logits"]), logits, "logits")


def test_a_hundred_steps(tmp_path):
    model, data = small_window(3)
    batches = list(torch.randint(13, (20, 5, 12), generator=torch.Generator().manual_seed(3)).repeat(5, 1, 1))
    script = """const model = build(saved);
    const optimiser = new AdamW(model, { learningRate: 0.01, maxGradNorm: 1 });
    print(saved.batches.map((ids) => trainStep(model, optimiser, { ids, rows: 5, length: 12 })));"""
    got = run_module(tmp_path, NETWORK, script, data | {"batches": [b.flatten().tolist() for b in batches]})
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for batch in batches:
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(got, losses, rtol=0, atol=1e-3)
    assert np.mean(losses[-20:]) < np.mean(losses[:20]) - 0.05


def test_first_weights_are_spread_as_pytorchs(tmp_path):
    torch.manual_seed(0)
    model = WindowLM(87, 4, 24, 100)
    script = """const model = new TrainableWindow(saved);
    initialiseWindow(model, 1);
    const described = ({ name, shape, value }) => [name, [shape, [...value]]];
    print(Object.fromEntries(model.parameters.map(described)));"""
    config = {"vocab_size": 87, "window": 4, "d_embedding": 24, "d_hidden": 100}
    got = run_module(tmp_path, NETWORK, script, config)
    for name, weight in model.state_dict().items():
        shape, values = got[name]
        assert shape == list(weight.shape)
        want = weight.double().numpy().ravel()
        error = 5 / np.sqrt(len(want))
        assert abs(np.mean(values)) < error * want.std(), name
        assert abs(np.std(values) / want.std() - 1) < 2 * error, name
        assert np.abs(values).max() < 1.3 * np.abs(want).max(), name
