"""A panel of ordinary controls that trains a small causal model with the reader's settings.

It needs a running kernel: the published page shows recorded runs instead. Training runs in its own thread, so
that the notebook stays usable and the stop button works at once.

Axes: B batch, T time.
"""

import html
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ipywidgets
import torch
from torch import Tensor

from lmbook.evaluation import cross_entropy
from lmbook.interface import check_int
from lmbook.toy.language import ToyLanguage
from lmbook.training.loop import warmup_cosine
from lmbook.training.objectives import train_clm
from lmbook.transformer.causal import CausalLM

BATCH = (16, 64)  # texts and words of each step
HELD_OUT = (100, 64)
REPORTS = 40  # at most so many points on the curve
WIDTH, HEIGHT = 560, 180  # of the curve, pixels


@dataclass(frozen=True, kw_only=True)
class PanelSettings:
    """What the reader has chosen. The learning rate is `learning_rate` at its highest."""

    d_model: int
    num_heads: int
    num_layers: int
    learning_rate: float
    steps: int
    seed: int


class _Stopped(Exception):
    """The reader has pressed stop."""


class TrainingPanel(ipywidgets.VBox):
    """Controls, a progress bar, a stop button and the curve of the loss beside the exact floor.

    Args:
        language: the exact language to learn; texts are drawn from it.
        steps: the length of a run at first, from 10 to 1000.

    Attributes:
        history: (step, held-out loss in nats per word) of the last run.
        model: of the last run, trained so far; None before the first.
        floor: held-out loss of the exact language.

    Raises:
        TypeError: `language` is no `ToyLanguage`. ValueError: `steps` below 10 or above 1,000.
    """

    def __init__(self, language: Any, *, steps: int = 200):
        if not isinstance(language, ToyLanguage):
            raise TypeError(f"TrainingPanel needs the exact ToyLanguage, got {type(language).__name__}")
        check_int("steps", steps, 10, 1000)
        self.language = language
        self.held_out = language.sample(*HELD_OUT, generator=torch.Generator().manual_seed(1))
        self.floor = cross_entropy(language, self.held_out)
        self.history: list[tuple[int, float]] = []
        self.model: CausalLM | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.controls = _controls(steps)
        self.start_button = ipywidgets.Button(description="Train", icon="play", button_style="primary")
        self.stop_button = ipywidgets.Button(description="Stop", icon="stop", disabled=True)
        self.bar = ipywidgets.IntProgress(min=0, max=steps, description="step 0")
        self.status = ipywidgets.HTML("Choose settings and press Train.")
        self.curve = ipywidgets.HTML()
        self.start_button.on_click(lambda _: self.start())
        self.stop_button.on_click(lambda _: self.stop())
        controls = list(self.controls.values())
        super().__init__(
            [
                *(ipywidgets.HBox(controls[i : i + 3]) for i in (0, 3)),
                ipywidgets.HBox([self.start_button, self.stop_button, self.bar]),
                self.status,
                self.curve,
            ]
        )

    def __repr__(self) -> str:
        """Return what the panel is, and what would be trained."""
        chosen = ", ".join(f"{name} {control.value:g}" for name, control in self.controls.items())
        return f"TrainingPanel: {chosen}; exact floor {self.floor:.3f} nats per word"

    _ipython_display_ = None  # ipywidgets 7 (Colab) would show a shortened repr through it

    def _repr_mimebundle_(self, **kwargs):
        """Return the view and the text: ipywidgets 7 has no such method, that of 8 cuts the text short."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {"application/vnd.jupyter.widget-view+json": view, "text/plain": repr(self)}

    @property
    def settings(self) -> PanelSettings:
        """The current settings of the controls."""
        return PanelSettings(**{name: control.value for name, control in self.controls.items()})

    @property
    def running(self) -> bool:
        """True while a model is trained."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Train a new model in the background; does nothing while one is being trained."""
        if self.running:
            return
        self._stop.clear()
        settings = self.settings
        try:
            self.model = _fresh_model(self.language, settings)
        except ValueError as error:
            return self._say(f"Nothing was trained: {error}")
        self._thread = threading.Thread(target=self._run, args=(settings,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the run after the current step; `model` keeps what was learned so far."""
        self._stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the run to end, at most `timeout` seconds; True if it has."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.running

    def _run(self, settings: PanelSettings) -> None:
        self.start_button.disabled, self.stop_button.disabled = True, False
        self.bar.max, self.bar.value, self.bar.bar_style = settings.steps, 0, ""
        self.history, self.curve.value = [], ""
        try:
            self._train(settings)
            self._say(f"Done: {self._result()}.")
            self.bar.bar_style = "success"
        except _Stopped:
            self._say(f"Stopped at step {self.bar.value}: {self._result()}.")
            self.bar.bar_style = "warning"
        except Exception as error:  # shown to the reader, because nothing else catches it in a thread
            self._say(f"Ended at step {self.bar.value}: {error}")
            self.bar.bar_style = "danger"
        finally:
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _train(self, settings: PanelSettings) -> None:
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.learning_rate)
        schedule = warmup_cosine(settings.steps // 10, settings.steps, floor=0.05)
        batches = self._batches(settings)
        train_clm(self.model, batches, optimizer, 1, schedule=schedule, max_grad_norm=1.0)
        self._report(settings.steps)
        self.model.eval()

    def _batches(self, settings: PanelSettings) -> Iterator[Tensor]:
        """Draw a batch for each step, and between steps show how far the run is."""
        generator = torch.Generator().manual_seed(settings.seed)
        every = max(1, settings.steps // REPORTS)
        for step in range(settings.steps):
            if self._stop.is_set():
                raise _Stopped
            if step % every == 0:
                self._report(step)
            yield self.language.sample(*BATCH, generator=generator)

    def _report(self, step: int) -> None:
        self.history.append((step, cross_entropy(self.model, self.held_out)))
        self.bar.value, self.bar.description = step, f"step {step}"
        self._say(f"Step {step}: {self._result()}.")
        self.curve.value = loss_curve(self.history, self.floor, self.bar.max)

    def _result(self) -> str:
        if not self.history:
            return "no loss was measured"
        loss = self.history[-1][1]
        return f"loss {loss:.3f} nats per word, {loss - self.floor:.3f} above the exact language"

    def _say(self, text: str) -> None:
        self.status.value = html.escape(text)


def _fresh_model(language: ToyLanguage, settings: PanelSettings) -> CausalLM:
    """Return an untrained model; in the caller's thread, because threads share the default generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        shape = (settings.d_model, settings.num_heads, settings.num_layers)
        return CausalLM(language.vocab_size, *shape, context_length=BATCH[1])


def loss_curve(history: list[tuple[int, float]], floor: float, steps: int) -> str:
    """Return the curve of `history` as SVG in HTML, with a dashed line for the floor and alternative text."""
    top = max(loss for _, loss in history) + 0.1
    low = floor - 0.1

    def point(step: int, loss: float) -> str:
        return f"{WIDTH * step / steps:.1f},{HEIGHT * (top - loss) / (top - low):.1f}"

    line = " ".join(point(*entry) for entry in history)
    begin, end = point(0, floor), point(steps, floor)
    told = f"Loss from {history[0][1]:.2f} to {history[-1][1]:.2f} nats per word; exact floor {floor:.2f}"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT + 20}" role="img" aria-label="{told}" style="max-width:100%">'
        f'<polyline points="{begin} {end}" fill="none" stroke="#00805f" stroke-dasharray="6 4"/>'
        f'<polyline points="{line}" fill="none" stroke="#0b63a5" stroke-width="2"/>'
        f'<text x="4" y="{HEIGHT + 15}" font-size="12" fill="currentColor">{told}</text></svg>'
    )


def _controls(steps: int) -> dict[str, ipywidgets.Widget]:
    """The controls, by the names of the settings."""
    style = {"style": {"description_width": "7em"}}
    on_grid = math.log10(0.006)  # Lab moves a slider between two steps to one of them
    return {
        "d_model": ipywidgets.SelectionSlider(
            options=[16, 32, 64, 128], value=64, description="width", **style
        ),
        "num_heads": ipywidgets.SelectionSlider(options=[1, 2, 4, 8], value=4, description="heads", **style),
        "num_layers": ipywidgets.IntSlider(min=1, max=4, value=2, description="layers", **style),
        "learning_rate": ipywidgets.FloatLogSlider(
            min=on_grid - 2.2, max=on_grid + 2.2, step=0.1, value=0.006, description="learning rate", **style
        ),
        "steps": ipywidgets.IntSlider(min=10, max=1000, step=10, value=steps, description="steps", **style),
        "seed": ipywidgets.IntSlider(min=0, max=99, value=0, description="seed", **style),
    }
