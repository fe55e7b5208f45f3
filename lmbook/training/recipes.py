"""The book's own small models: the recipe of each, and the results, which widgets and the playground show.

`train_recipe` follows a recipe from the first random weight to the last step; chapters 5 and 6 do so on the
page. `load_trained` reads what `make models` stored, in float16, so that a page shows a trained model without
training one.

Axes: B batch, T time.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmbook.corpora import load_shakespeare
from lmbook.evaluation import cross_entropy
from lmbook.interface import TextCodec, evaluating
from lmbook.tokenizer.base import CharTokenizer, tokenizer_from_json
from lmbook.toy.language import ToyLanguage
from lmbook.training.loop import warmup_cosine
from lmbook.training.objectives import train_clm, train_mlm
from lmbook.transformer.causal import CausalLM
from lmbook.transformer.masked import MaskedLM

FOLDER = Path(__file__).parents[1] / "weights"
MAX_BYTES = 500_000  # of a stored model: it is part of each page that shows it
HELD_OUT_CHARACTERS = 30_000

Model = CausalLM | MaskedLM
Watcher = Callable[[int, Model], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings that determine a trained model.

    Attributes:
        data: "toy", the toy language, or "shakespeare", the plays in characters.
        mask_prob: None for a causal model; for a masked one the share of tokens that it must guess.
        d_model: width; num_heads, num_layers, context_length: see `TransformerConfig`.
        steps: of AdamW, each on `batch_size` new rows of `row_length` tokens.
        learning_rate: the highest; reached after a tenth of the steps, then down half a cosine to a
            twentieth.
        seed: of the weights; data and masks are drawn from `data_seed`.
    """

    data: str
    mask_prob: float | None = None
    d_model: int = 64
    num_heads: int = 4
    num_layers: int = 2
    context_length: int = 128
    steps: int
    batch_size: int = 16
    row_length: int = 128
    learning_rate: float
    seed: int = 1
    data_seed: int = 0

    def build(self, vocab_size: int) -> Model:
        """The model with its first weights; torch's own random state stays as it was."""
        shape = (vocab_size, self.d_model, self.num_heads, self.num_layers)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if self.mask_prob is None:
                return CausalLM(*shape, context_length=self.context_length)
            return MaskedLM(*shape, mask_prob=self.mask_prob, context_length=self.context_length)

    def fit(
        self,
        model: Model,
        batches: Iterable[Tensor],
        generator: torch.Generator,
        *,
        progress: bool = False,
    ) -> None:
        """Train `model` on `batches`, one step each, as the recipe says; `generator` draws the masks.

        The optimizer is as short as a reader would write it: AdamW's own decay, 0.01 on all weights.
        `lmbook.pretrain` decays matrices alone (`decay_groups`).
        """
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.learning_rate, betas=(0.9, 0.98))
        schedule = warmup_cosine(self.steps // 10, self.steps, floor=0.05)
        train = train_clm if isinstance(model, CausalLM) else partial(train_mlm, generator=generator)
        train(model, batches, optimizer, 1, schedule=schedule, max_grad_norm=1.0, progress=progress)


RECIPES = {
    "toy-causal": Recipe(data="toy", steps=450, learning_rate=6e-3),
    "toy-masked": Recipe(data="toy", mask_prob=0.3, steps=2400, learning_rate=4e-3),
    "shakespeare": Recipe(data="shakespeare", d_model=96, steps=1200, learning_rate=6e-3),
}


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a recipe reads: how words become ids, a batch for each step, and what is kept for the end.

    Attributes:
        codec: has `encode`, `decode` and `vocab_size`.
        batches: (B, T) ids, one for each step.
        held_out: (B, T) ids that no batch holds.
        hidden: (B, T) bool, what a masked model must guess of `held_out`; None for a causal one.
        generator: as it is when training starts.
    """

    codec: TextCodec
    batches: list[Tensor]
    held_out: Int[Tensor, "B T"]
    hidden: Bool[Tensor, "B T"] | None
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A model at the end of its recipe; `loss` is that on `data.held_out`, nats per predicted token."""

    model: Model
    data: TrainingData
    loss: float


def training_data(recipe: Recipe) -> TrainingData:
    """Draw all that `recipe` reads.

    Raises:
        ModuleNotFoundError: the plays aren't installed; the message says how to get them.
    """
    generator = torch.Generator().manual_seed(recipe.data_seed)
    rows, length = recipe.steps * recipe.batch_size, recipe.row_length
    if recipe.data == "toy":
        codec = ToyLanguage()
        ids = codec.sample(rows, length, generator=generator)
        held_out = codec.sample(400, length, generator=generator)
    else:
        codec, text, unread = _read_plays()
        starts = torch.randint(len(text) - length + 1, (rows, 1), generator=generator)
        ids = text[starts + torch.arange(length)]
        held_out = unread[None, :HELD_OUT_CHARACTERS]
    hidden = None
    if recipe.mask_prob is not None:
        hidden = torch.rand(held_out.shape, generator=generator) < 0.15
    return TrainingData(
        codec=codec,
        batches=list(ids.split(recipe.batch_size)),
        held_out=held_out,
        hidden=hidden,
        generator=generator,
    )


def train_recipe(
    name: str, *, on_eval: Watcher | None = None, eval_steps: Iterable[int] = (), progress: bool = False
) -> TrainedModel:
    """Train the model of `RECIPES[name]` from the start.

    Args:
        name: of a recipe.
        on_eval: called with (steps taken, model) at each of `eval_steps`; it must not change the model.
        eval_steps: from 0, before the first step, to the recipe's number of steps. Empty: each tenth.
        progress: show a line on stderr, for people.

    Raises:
        ValueError: no such recipe, or a step out of that range.
        ModuleNotFoundError: the plays aren't installed.
    """
    recipe = _recipe(name)
    watched_steps = set(eval_steps) or {recipe.steps * tenth // 10 for tenth in range(11)}
    if not 0 <= min(watched_steps) <= max(watched_steps) <= recipe.steps:
        raise ValueError(f"eval_steps must be from 0 to {recipe.steps}, got {sorted(watched_steps)}")
    data = training_data(recipe)
    model = recipe.build(data.codec.vocab_size)
    watch = on_eval or (lambda step, model: None)

    def watched() -> Iterator[Tensor]:
        for step, batch in enumerate(data.batches):
            if step in watched_steps:
                watch(step, model)
            yield batch

    recipe.fit(model, watched(), data.generator, progress=progress)
    if recipe.steps in watched_steps:
        watch(recipe.steps, model)
    model.eval()
    return TrainedModel(model=model, data=data, loss=held_out_loss(model, data))


def held_out_loss(model: Model, data: TrainingData) -> float:
    """Mean −log P of what `model` must predict in the held-out text, nats per token."""
    if data.hidden is None:
        return cross_entropy(model, data.held_out)
    with evaluating(model):
        logits = model(data.held_out.masked_fill(data.hidden, model.mask_token_id))[data.hidden]
    return float(torch.nn.functional.cross_entropy(logits.double(), data.held_out[data.hidden]))


def save_trained(name: str, trained: TrainedModel, folder: Path = FOLDER) -> Path:
    """Store a trained model for `load_trained`; return where.

    Raises:
        ValueError: no such recipe, or a file above `MAX_BYTES`.
        ModuleNotFoundError: the package safetensors isn't installed.
    """
    recipe = _recipe(name)
    with _needs_safetensors():
        from safetensors.torch import save

    weights = {key: weight.detach().half() for key, weight in trained.model.state_dict().items()}
    content = save(weights, {"info": json.dumps(_info(recipe, trained))})
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name} takes {len(content):,} bytes, the limit is {MAX_BYTES:,}")
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.safetensors"
    path.write_bytes(content)
    return path


def load_trained(name: str, folder: Path = FOLDER) -> tuple[Model, TextCodec]:
    """The stored model, in float32 and eval mode, and what encodes and decodes for it.

    Raises:
        ValueError: no such recipe, or a file made by another one.
        FileNotFoundError: it hasn't been stored; the message says how to make it.
        ModuleNotFoundError: the package safetensors isn't installed.
    """
    recipe, info = _recipe(name), trained_info(name, folder)
    if info["recipe"] != asdict(recipe):
        raise ValueError(f"the stored {name} was trained by another recipe: make models")
    codec = ToyLanguage() if recipe.data == "toy" else tokenizer_from_json(info["tokenizer"])
    if recipe.data == "toy" and codec.vocab != info["vocab"]:
        raise ValueError(f"the stored {name} was trained on another toy language: make models")
    from safetensors.torch import load_file

    model = recipe.build(codec.vocab_size)
    model.load_state_dict({key: w.float() for key, w in load_file(_path(name, folder)).items()})
    return model.eval(), codec


def trained_info(name: str, folder: Path = FOLDER) -> dict:
    """What is known of a stored model: "recipe", "loss" (nats per token), "parameters", its vocabulary.

    Raises:
        ValueError: no such recipe. FileNotFoundError: it hasn't been stored.
        ModuleNotFoundError: the package safetensors isn't installed.
    """
    _recipe(name)
    path = _path(name, folder)
    if not path.is_file():
        raise FileNotFoundError(f"there is no stored model {path.name}: make models trains it")
    with _needs_safetensors():
        from safetensors import safe_open
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["info"])


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise ValueError(f"name must be one of {', '.join(RECIPES)}; got {name!r}")
    return RECIPES[name]


def _path(name: str, folder: Path) -> Path:
    return folder / f"{name}.safetensors"


def _info(recipe: Recipe, trained: TrainedModel) -> dict:
    codec = trained.data.codec
    known = {"vocab": codec.vocab} if isinstance(codec, ToyLanguage) else {"tokenizer": codec.to_json()}
    parameters = sum(weight.numel() for weight in trained.model.parameters())
    return {"recipe": asdict(recipe), "loss": trained.loss, "parameters": parameters, **known}


def _read_plays() -> tuple[CharTokenizer, Int[Tensor, " N"], Int[Tensor, " M"]]:
    """A character vocabulary, all plays to learn from, and Hamlet, which isn't among them."""
    text = "".join(load_shakespeare("train").values())
    hamlet = load_shakespeare("validation")["Hamlet"]
    tokenizer = CharTokenizer.train(text + hamlet)
    return tokenizer, torch.tensor(tokenizer.encode(text)), torch.tensor(tokenizer.encode(hamlet))


@contextmanager
def _needs_safetensors() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "stored models need the package safetensors: pip install safetensors", name="safetensors"
        ) from None
