"""The book's widgets: interactive figures, in Jupyter and on the published page."""

try:
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"lmbook.widgets needs the package {error.name}: pip install anywidget ipywidgets", name=error.name
    ) from None

from lmbook.widgets.attention import AttentionExplorer
from lmbook.widgets.beam_tree import BeamTree
from lmbook.widgets.chain_rule import ChainRuleExplorer
from lmbook.widgets.decoding_explorer import DecodingExplorer
from lmbook.widgets.exercises import Exercises
from lmbook.widgets.forward_pass import ForwardPass
from lmbook.widgets.laboratory import Laboratory
from lmbook.widgets.masked_explorer import MaskedExplorer
from lmbook.widgets.next_token import NextTokenDemo
from lmbook.widgets.playground import Playground, PlaygroundModel
from lmbook.widgets.prompt_explorer import PromptExplorer
from lmbook.widgets.replay import ReplayRecorder, TrainingReplay
from lmbook.widgets.shannon import ShannonGame
from lmbook.widgets.token_merges import TokenMerges
from lmbook.widgets.training_panel import TrainingPanel
from lmbook.widgets.word_vectors import WordVectors

__all__ = [
    "AttentionExplorer",
    "BeamTree",
    "ChainRuleExplorer",
    "DecodingExplorer",
    "Exercises",
    "ForwardPass",
    "Laboratory",
    "MaskedExplorer",
    "NextTokenDemo",
    "Playground",
    "PlaygroundModel",
    "PromptExplorer",
    "ReplayRecorder",
    "ShannonGame",
    "TokenMerges",
    "TrainingPanel",
    "TrainingReplay",
    "WordVectors",
]
