"""The training panel, without a browser: it runs, stops and shows errors without blocking the notebook."""

import math
import re
import threading
import time

import pytest
import torch

from lmbook.evaluation import cross_entropy
from lmbook.ngram import NGramLM
from lmbook.toy import ToyLanguage
from lmbook.widgets import TrainingPanel
from lmbook.widgets.training_panel import loss_curve

PATIENCE = 60.0  # seconds, far more than any of these runs takes


@pytest.fixture
def panel():
    panel = TrainingPanel(ToyLanguage(), steps=30)
    panel.controls["d_model"].value, panel.controls["num_layers"].value = 16, 1
    panel.controls["learning_rate"].value = 0.03
    yield panel
    panel.stop()
    assert panel.wait(PATIENCE)


def test_a_run_learns_and_says_so(panel):
    panel.start_button.click()
    assert panel.wait(PATIENCE)
    steps, losses = zip(*panel.history, strict=True)
    assert steps[0] == 0
    assert steps[-1] == 30 == panel.bar.value == panel.bar.max
    assert losses[-1] == pytest.approx(cross_entropy(panel.model, panel.held_out))
    assert panel.floor < losses[-1] < losses[0] - 0.5
    assert panel.status.value.startswith("Done")
    assert f"{losses[-1]:.3f}" in panel.status.value
    assert panel.bar.bar_style == "success"
    assert "<svg" in panel.curve.value
    assert (panel.start_button.disabled, panel.stop_button.disabled) == (False, True)
    assert not panel.model.training


def test_stop_ends_a_long_run_at_once_and_keeps_what_was_learned(panel):
    panel.controls["steps"].value = 1000
    panel.start()
    assert panel.running
    deadline = time.monotonic() + PATIENCE
    while panel.bar.value == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (panel.start_button.disabled, panel.stop_button.disabled) == (True, False)
    panel.stop_button.click()
    assert panel.wait(PATIENCE)
    assert 0 < panel.bar.value < 1000
    assert panel.status.value.startswith("Stopped at step")
    assert panel.bar.bar_style == "warning"
    assert math.isfinite(cross_entropy(panel.model, panel.held_out))
    assert not panel.start_button.disabled


def test_the_same_settings_give_the_same_run_and_another_seed_another(panel):
    runs = []
    for seed in (3, 3, 4):
        panel.controls["seed"].value = seed
        torch.manual_seed(len(runs))  # the reader's own random state decides nothing
        panel.start()
        assert panel.wait(PATIENCE)
        runs.append(panel.history)
    assert runs[0] == runs[1] != runs[2]


def test_a_run_leaves_the_random_state_alone(panel):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    panel.start()
    assert panel.wait(PATIENCE)
    assert torch.rand(1) == expected


def test_a_second_start_does_not_disturb_the_first(panel):
    panel.controls["steps"].value = 1000
    panel.start()
    first = panel._thread
    panel.start()
    assert panel._thread is first
    assert threading.active_count() >= 2


def test_what_goes_wrong_is_said_in_the_panel(panel, monkeypatch):
    def fails(*args, **kwargs):
        raise ValueError("the loss is nan & <lost>")

    monkeypatch.setattr("lmbook.widgets.training_panel.train_clm", fails)
    panel.start()
    assert panel.wait(PATIENCE)
    assert panel.status.value == "Ended at step 0: the loss is nan &amp; &lt;lost&gt;"
    assert panel.bar.bar_style == "danger"
    assert not panel.start_button.disabled


def test_the_curve_puts_loss_and_floor_where_they_belong():
    picture = loss_curve([(0, 3.9), (5, 2.0)], floor=1.1, steps=10)
    floor, curve = (
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'points="([^"]+)"', picture)
    )
    assert floor == [(0.0, 174.0), (560.0, 174.0)]  # 4.0 at the top, 1.0 at the bottom of 180 pixels
    assert curve == [(0.0, 6.0), (280.0, 120.0)]
    assert "3.90 to 2.00" in picture


def test_its_text_names_settings_and_floor_and_no_address(panel):
    data = panel._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert data["text/plain"] == repr(panel)
    assert repr(panel) == (
        "TrainingPanel: d_model 16, num_heads 4, num_layers 1, learning_rate 0.03, steps 30, seed 0; "
        f"exact floor {panel.floor:.3f} nats per word"
    )


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="exact ToyLanguage, got NGramLM"):
        TrainingPanel(NGramLM(2, 5))
    for steps, limit in ((9, "at least 10"), (1001, "at most 1,000")):
        with pytest.raises(ValueError, match=f"steps must be {limit}, got {steps}"):
            TrainingPanel(ToyLanguage(), steps=steps)


def test_a_seed_means_the_same_run_whatever_else_draws(panel):
    results = set()
    for _ in range(4):
        panel.start()
        while panel.running:
            torch.randn(3)
            time.sleep(0.001)
        results.add(tuple(panel.history))
    assert len(results) == 1
