"""What the page computes when it trains, against PyTorch: each operation's derivatives, the whole network's
with and without the parts that can be switched off, and the losses of 100 steps.

Axes have sizes that are different primes where they may. Derivatives are compared relative to the largest of
their tensor.
"""

import json
import math
import subprocess
import time
from pathlib import Path
from typing import Any

import assemble
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deno import find_deno_bin
from javascript import run_module
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import lmbook.widgets
from lmbook import CausalLM, ToyLanguage
from lmbook.training.loop import decay_groups, warmup_cosine
from lmbook.training.objectives import causal_loss
from lmbook.transformer.model import rotary_tables, rotate

CORE = Path(lmbook.widgets.__file__).parent / "core"
IMPORTS = "\n".join(
    f"import * as {name} from '{(CORE / f'{name}.js').as_uri()}';"
    for name in (
        "gradients",
        "kernels",
        "training_kernels",
        "trainable",
        "training",
        "optimisers",
        "transformer",
    )
)
PARTS = dict.fromkeys(("mask", "positions", "residuals", "norms", "rows"), True)

OPERATIONS = (
    IMPORTS
    + """
const owned = new kernels.Kernels();
owned.take(1e6); // no growth after this, so that views stay
owned.top = 0;
const memory = { run: training_kernels.trainingProducts(owned) };
const place = (numbers) => {
  const at = owned.take(4 * numbers.length);
  const view = owned.floats(at, numbers.length);
  view.set(numbers);
  return { at, view };
};
const zeros = (length) => place(new Float32Array(length));
const parameter = (numbers, ...shape) => {
  const [{ at, view: value }, { at: gradAt, view: grad }] = [place(numbers), zeros(numbers.length)];
  return { shape, at, value, gradAt, grad };
};
const { embed, embedBackward, rmsNorm, rmsNormBackward, linear, linearBackward, turn } = gradients;
const { attend, attendBackward, swiglu, swigluBackward, addUp, crossEntropy } = gradients;
"""
)

NETWORK = (
    IMPORTS
    + """
const build = ({ config, parts, weights }, capacity) => {
  const model = new trainable.TrainableTransformer(config, { parts, capacity });
  for (const { name, value } of model.parameters) value.set(weights[name]);
  return model;
};
"""
)


def assert_near(got: Any, want: Tensor, what: str = "") -> None:
    want = want.detach().double().numpy().ravel()
    size = np.abs(want).max()
    assert size > 0, what
    off = np.abs(np.asarray(got) - want).max() / size
    assert off <= 1e-4, f"{what} is off by {off:.1e} of its largest number"


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers that are float32's, in float64, with a gradient."""
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return numbers.double().requires_grad_()


def numbers(**tensors: Tensor) -> dict[str, list]:
    return {name: tensor.detach().flatten().tolist() for name, tensor in tensors.items()}


def test_the_binary_is_the_source_assembled():
    binary = assemble.assembled(assemble.TRAINING)
    assert assemble.TRAINING_BINARY.read_text(encoding="utf-8") == assemble.as_module(
        binary, assemble.TRAINING
    )


def test_forward_and_backward_fit_on_a_few_pages():
    lines = [
        line
        for name in ("gradients.js", "passes.js")
        for line in (CORE / name).read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) <= 450


class TestOperations:
    def test_embedding(self, tmp_path):
        table, dx = draw(7, 5, seed=1), draw(11, 5, seed=2)
        ids = torch.tensor([3, 0, 6, 3, 3, 1, 2, 2, 5, 0, 6])
        x = F.embedding(ids, table)
        x.backward(dx)
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const [table, x] = [parameter(saved.table, 7, 5), zeros(55)];
            embed(x.view, table, saved.ids, 11);
            embedBackward(table, saved.dx, saved.ids, 11);
            print([x.view, table.grad]);""",
            numbers(table=table, dx=dx, ids=ids),
        )
        assert_near(got[0], x)
        assert_near(got[1], table.grad)

    def test_rms_norm(self, tmp_path):
        x, weight, dy = draw(5, 7, seed=1), draw(7, seed=2), draw(5, 7, seed=3)
        y = F.rms_norm(x, (7,), weight, 0.1)
        y.backward(dy)
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const [x, y, dx, weight] = [place(saved.x), zeros(35), zeros(35), parameter(saved.weight, 7)];
            rmsNorm(y.view, x.view, weight, 5, 0.1);
            rmsNormBackward(dx.view, saved.dy, x.view, weight, 5, 0.1);
            print([y.view, dx.view, weight.grad]);""",
            numbers(x=x, weight=weight, dy=dy),
        )
        for mine, want in zip(got, (y, x.grad, weight.grad), strict=True):
            assert_near(mine, want)

    @pytest.mark.parametrize("tokens", [3, 67])
    def test_linear(self, tmp_path, tokens):
        x, weight, dy = draw(tokens, 19, seed=1), draw(5, 19, seed=2), draw(tokens, 5, seed=3)
        y = F.linear(x, weight)
        y.backward(dy)
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const [x, dy, weight] = [place(saved.x), place(saved.dy), parameter(saved.weight, 5, 19)];
            const [y, dx, T] = [zeros(saved.dy.length), zeros(saved.x.length), saved.x.length / 19];
            linear(memory, y, x, weight, T);
            linearBackward(memory, dx, dy, x, weight, T);
            print([y.view, dx.view, weight.grad]);""",
            numbers(x=x, weight=weight, dy=dy),
        )
        for mine, want in zip(got, (y, x.grad, weight.grad), strict=True):
            assert_near(mine, want)

    def test_rotary_positions(self, tmp_path):
        x, dy = draw(1, 11, 3, 10, seed=1), draw(1, 11, 3, 10, seed=2)
        y = rotate(x, *rotary_tables(11, 10, 500.0, torch.device("cpu")))
        y.backward(dy)
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const [x, dy] = [place(saved.x), place(saved.dy)];
            const tables = transformer.rotaryTables(11, 10, 500);
            turn(x.view, tables, 11, 30, 3, 10, 1);
            turn(dy.view, tables, 11, 30, 3, 10, -1);
            print([x.view, dy.view]);""",
            numbers(x=x, dy=dy),
        )
        assert_near(got[0], y)
        assert_near(got[1], x.grad)

    @pytest.mark.parametrize("causal", [True, False])
    @pytest.mark.parametrize("tokens", [7, 37])
    def test_attention(self, tmp_path, causal, tokens):
        q, k, v = (draw(heads, tokens, 5, seed=s) for s, heads in enumerate((6, 2, 2)))
        dc = draw(6, tokens, 5, seed=4)
        context = F.scaled_dot_product_attention(q[None], k[None], v[None], is_causal=causal, enable_gqa=True)
        context[0].backward(dc)
        rows = [
            torch.cat(parts).transpose(0, 1).flatten(1) for parts in ((q, k, v), (q.grad, k.grad, v.grad))
        ]
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const shape = { T: saved.qkv.length / 50, H: 6, K: 2, E: 5, causal: saved.causal };
            const [qkv, dc] = [place(saved.qkv), place(saved.dc)];
            const [context, dQkv] = [zeros(saved.dc.length), zeros(saved.qkv.length)];
            const [shares, dShares] = [zeros(6 * shape.T ** 2), zeros(gradients.QUERIES_TOGETHER * shape.T)];
            attend(memory, context, shares, qkv, shape);
            attendBackward(memory, dQkv, dc, shares, dShares, qkv, shape);
            print([context.view, dQkv.view]);""",
            numbers(qkv=rows[0], dc=dc.transpose(0, 1)) | {"causal": causal},
        )
        assert_near(got[0], context[0].transpose(0, 1))
        assert_near(got[1], rows[1])

    def test_swiglu(self, tmp_path):
        wide, dh = draw(5, 14, seed=1), draw(5, 7, seed=2)
        wide.data *= 3
        gate, up = wide.chunk(2, dim=-1)
        hidden = F.silu(gate) * up
        hidden.backward(dh)
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const [wide, dWide, hidden, gates] = [place(saved.wide), zeros(70), zeros(35), zeros(35)];
            swiglu(memory, hidden, gates, wide, 5, 7);
            swigluBackward(dWide.view, saved.dh, gates.view, wide.view, 5, 7);
            print([hidden.view, dWide.view]);""",
            numbers(wide=wide, dh=dh),
        )
        assert_near(got[0], hidden)
        assert_near(got[1], wide.grad)

    def test_cross_entropy(self, tmp_path):
        logits, targets = draw(5, 11), torch.tensor([3, 0, 10, 3, 7])
        logits.data *= 30
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        got = run_module(
            tmp_path,
            OPERATIONS,
            """const z = place(saved.logits);
            const loss = crossEntropy(memory, z, saved.targets, 5, 11, 5) / 5;
            print([loss, z.view]);""",
            numbers(logits=logits, targets=targets),
        )
        assert got[0] == pytest.approx(loss.item(), rel=1e-6)
        assert_near(got[1], logits.grad)

    def test_addition(self, tmp_path):
        x, f = draw(7, seed=1), draw(7, seed=2)
        script = "const y = zeros(7); addUp(y.view, saved.x, saved.f, 7); print(y.view);"
        assert_near(run_module(tmp_path, OPERATIONS, script, numbers(x=x, f=f)), x + f)


def small_model(seed: int = 0, **options: Any) -> CausalLM:
    torch.manual_seed(seed)
    shape = {
        "context_length": 23,
        "num_kv_heads": 1,
        "d_ff": 11,
        "rope_base": 100.0,
        "norm_eps": 1e-3,
    } | options
    return CausalLM(13, 20, 5, 2, **shape)


def logits_of(model: CausalLM, ids: Tensor, parts: dict[str, bool]) -> Tensor:
    """The forward pass with parts switched off, from the model's own modules."""
    if not parts["rows"]:
        return logits_of(model, ids.mT, parts | {"rows": True}).transpose(0, 1)
    c = model.config

    def norm(module: nn.Module, x: Tensor) -> Tensor:
        return module(x) if parts["norms"] else x

    def joined(x: Tensor, added: Tensor) -> Tensor:
        return x + added if parts["residuals"] else added

    x = model.embedding(ids)
    tables = rotary_tables(ids.shape[1], c.d_head, c.rope_base, x.device)
    for block in model.blocks:
        heads = block.attention.qkv(norm(block.attention_norm, x)).unflatten(-1, (-1, c.d_head))
        q, k, v = heads.split((c.num_heads, c.num_kv_heads, c.num_kv_heads), dim=2)
        if parts["positions"]:
            q, k = rotate(q, *tables), rotate(k, *tables)
        q, k, v = (part.transpose(1, 2) for part in (q, k, v))
        context = F.scaled_dot_product_attention(q, k, v, is_causal=parts["mask"], enable_gqa=True)
        x = joined(x, block.attention.out(context.transpose(1, 2).flatten(2)))
        x = joined(x, block.feed_forward(norm(block.feed_forward_norm, x)))
    return model.unembed(norm(model.norm, x))


def described(model: CausalLM, parts: dict[str, bool] = PARTS) -> dict:
    weights = {name: weight.flatten().tolist() for name, weight in model.state_dict().items()}
    return {"config": vars(model.config), "parts": parts, "weights": weights}


def as_batch(ids: Tensor) -> dict:
    return {"ids": ids.flatten().tolist(), "rows": ids.shape[0], "length": ids.shape[1]}


class TestNetwork:
    @pytest.mark.parametrize("off", [None, *PARTS])
    @pytest.mark.parametrize(
        "options", [{}, {"num_kv_heads": 5, "tie_embeddings": False}], ids=["tied", "untied"]
    )
    def test_gradients(self, tmp_path, off, options):
        model = small_model(**options).double()
        parts = PARTS | ({off: False} if off else {})
        for weight in model.parameters():  # norms are 1 at first, and an error there would not be seen
            if weight.ndim == 1:
                weight.data += 0.5 * torch.rand(weight.shape, generator=torch.Generator().manual_seed(1))
            weight.data = weight.data.float().double()
        batch = torch.randint(13, (7, 18), generator=torch.Generator().manual_seed(2))
        logits = logits_of(model, batch[:, :-1], parts)
        if off is None:
            torch.testing.assert_close(logits, model(batch[:, :-1]))
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()
        got = run_module(
            tmp_path,
            NETWORK,
            """const model = build(saved);
            const loss = model.lossAndGradients(saved.batch);
            const grads = Object.fromEntries(model.parameters.map(({ name, grad }) => [name, [...grad]]));
            print({ loss, again: model.loss(saved.batch), grads, logits: model.logits(saved.row) });""",
            described(model, parts) | {"batch": as_batch(batch), "row": batch[0].tolist()},
        )
        assert got["loss"] == got["again"] == pytest.approx(loss.item(), rel=1e-5)
        assert list(got["grads"]) == list(model.state_dict())
        for name, weight in model.named_parameters():
            if weight.grad is None:
                assert off == "norms"
                assert set(got["grads"][name]) == {0}
            else:
                assert_near(got["grads"][name], weight.grad, name)
        want = logits_of(model, batch[:1], parts)
        assert_near(np.concatenate(got["logits"]), want, "logits")

    def test_first_weights(self, tmp_path):
        torch.manual_seed(0)
        model = CausalLM(87, 64, 4, 3)
        script = """const build = (seed) => {
              const model = new trainable.TrainableTransformer(saved, { capacity: 2 });
              training.initialise(model, seed);
              return model;
            };
            const [model, twin, other] = [build(1), build(1), build(2)];
            print({ weights: model.parameters.map(({ name, shape, value }) => [name, shape, [...value]]),
              same: String(model.values) === String(twin.values),
              other: String(model.values) === String(other.values) });"""
        got = run_module(tmp_path, IMPORTS, script, vars(model.config))
        assert (got["same"], got["other"]) == (True, False)
        assert {name: shape for name, shape, _ in got["weights"]} == {
            name: list(weight.shape) for name, weight in model.state_dict().items()
        }
        for name, shape, values in got["weights"]:
            if len(shape) == 1:
                assert set(values) == {1}
                continue
            branch_end = name.endswith(("out.weight", "down.weight"))
            unit = np.array(values) * math.sqrt(shape[1] * (6 if branch_end else 1))
            error = 1 / math.sqrt(len(values))
            assert abs(unit.mean()) < 5 * error, name
            assert abs(unit.std() - 1) < 5 * error / math.sqrt(2), name
            assert abs((np.abs(unit) < 1).mean() - 0.6827) < 5 * 0.4655 * error, name
            assert np.abs(unit).max() < 6, name


STEPS = """const model = build(saved, saved.capacity);
const { kind, schedule: [warmup, total, floor], options } = saved.optimiser;
const schedule = optimisers.warmupCosine(warmup, total, floor);
const optimiser = new optimisers[kind](model, { ...options, schedule });
const taken = model.kernels.top;
const losses = [], lengths = [];
for (const ids of saved.batches) {
  losses.push(training.trainStep(model, optimiser, { ...saved.batch, ids }));
  lengths.push(optimiser.gradientLength);
}
print({ losses, lengths, grown: model.kernels.top - taken, views: model.values.length });"""


def pytorch_steps(
    model: CausalLM,
    optimizer: torch.optim.Optimizer,
    batches: list[Tensor],
    schedule: LambdaLR,
    max_grad_norm: float,
) -> tuple[list[float], list[float]]:
    losses, lengths = [], []
    for batch in batches:
        total, count = causal_loss(model, batch)
        optimizer.zero_grad()
        (total / count).backward()
        lengths.append(float(nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)))
        optimizer.step()
        schedule.step()
        losses.append((total / count).item())
    return losses, lengths


OPTIMISERS = {
    "adamw": ("AdamW", {"learningRate": 1e-2, "betas": [0.9, 0.98], "weightDecay": 0.5, "maxGradNorm": 1.7}),
    "matrices": (
        "AdamW",
        {"learningRate": 3e-3, "weightDecay": 3.0, "decayVectors": False, "maxGradNorm": 1.7},
    ),
    "sgd": ("SGD", {"learningRate": 0.1, "maxGradNorm": 2.4}),
    "momentum": ("SGD", {"learningRate": 0.02, "momentum": 0.9, "maxGradNorm": 2.0}),
}  # gentle enough for float32: PyTorch's own losses in float32 and float64 differ by less than 1e-4


def torch_optimizer(model: CausalLM, kind: str, options: dict) -> torch.optim.Optimizer:
    rate, decay = options["learningRate"], options.get("weightDecay", 0.0)
    if kind == "SGD":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=options.get("momentum", 0.0))
    groups = model.parameters() if options.get("decayVectors", True) else decay_groups(model, decay)
    betas = tuple(options.get("betas", (0.9, 0.999)))
    return torch.optim.AdamW(groups, lr=rate, betas=betas, weight_decay=decay)


def compare_steps(
    folder: Path, model: CausalLM, batches: list[Tensor], kind: str, options: dict
) -> list[float]:
    """Train in the page and in PyTorch from the same weights; return PyTorch's losses."""
    total = len(batches)
    data = described(model) | {
        "batch": as_batch(batches[0]),
        "batches": [batch.flatten().tolist() for batch in batches],
        "capacity": batches[0].shape[1] - 1,
        "optimiser": {"kind": kind, "schedule": (total // 10, total, 0.05), "options": options},
    }
    got = run_module(folder, NETWORK, STEPS, data)
    optimizer = torch_optimizer(model, kind, options)
    schedule = LambdaLR(optimizer, warmup_cosine(total // 10, total, 0.05))
    losses, lengths = pytorch_steps(model, optimizer, batches, schedule, options["maxGradNorm"])
    np.testing.assert_allclose(got["losses"], losses, rtol=0, atol=1e-3)
    np.testing.assert_allclose(got["lengths"], lengths, rtol=5e-3)
    limit = options["maxGradNorm"]
    assert min(lengths) < limit < max(lengths), f"the limit must act in some steps; lengths {sorted(lengths)}"
    assert got["grown"] == 0
    assert got["views"] == sum(weight.numel() for weight in model.parameters())
    return losses


class TestSteps:
    @pytest.mark.parametrize("name", OPTIMISERS)
    def test_a_hundred_steps_of_a_small_model(self, tmp_path, name):
        generator = torch.Generator().manual_seed(3)
        rows = torch.randint(13, (20, 12), generator=generator)
        batches = [rows[torch.randint(20, (5,), generator=generator)] for _ in range(100)]
        losses = compare_steps(tmp_path, small_model(), batches, *OPTIMISERS[name])
        assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.3

    @pytest.mark.slow
    def test_a_hundred_steps_of_the_default_run(self, tmp_path):
        torch.manual_seed(1)
        language = ToyLanguage()
        model = CausalLM(language.vocab_size, 64, 4, 2, context_length=128)
        ids = language.sample(3200, 64, generator=torch.Generator().manual_seed(0))
        options = {"learningRate": 6e-3, "betas": [0.9, 0.98], "weightDecay": 0.01, "maxGradNorm": 1.0}
        losses = compare_steps(tmp_path, model, list(ids.split(32)), "AdamW", options)
        assert losses[-1] < losses[0] - 2

    def test_the_schedule_is_lmbooks(self, tmp_path):
        script = """print(saved.map(([warmup, total, floor]) => Array.from({ length: total + 3 },
          (_, step) => optimisers.warmupCosine(warmup, total, floor)(step))));"""
        schedules = [(0, 7, 0.1), (3, 11, 0.05), (1, 2, 0.0), (5, 13, 1.0)]
        for mine, schedule in zip(run_module(tmp_path, IMPORTS, script, schedules), schedules, strict=True):
            want = [warmup_cosine(*schedule)(step) for step in range(schedule[1] + 3)]
            np.testing.assert_allclose(mine, want, rtol=0, atol=1e-12)


STEP_ON_DEMAND = """
const saved = JSON.parse(await Deno.readTextFile(Deno.args[0]));
const model = build(saved, saved.batch.length - 1);
const optimiser = new optimisers.AdamW(model, { learningRate: 3e-3, maxGradNorm: 1 });
const batch = { ...saved.batch, ids: Int32Array.from(saved.batch.ids) };
for await (const _ of Deno.stdin.readable) {
  const before = performance.now();
  training.trainStep(model, optimiser, batch);
  console.log((performance.now() - before) / 1000);
}
"""


@pytest.mark.slow
@pytest.mark.timed
def test_a_step_takes_at_most_two_and_a_half_times_pytorchs(tmp_path, capsys):
    torch.manual_seed(0)
    language = ToyLanguage()
    model = CausalLM(language.vocab_size, 64, 4, 2)
    batch = language.sample(32, 64, generator=torch.Generator().manual_seed(0))
    (tmp_path / "saved.json").write_text(json.dumps(described(model) | {"batch": as_batch(batch)}))
    (tmp_path / "steps.mjs").write_text(NETWORK + STEP_ON_DEMAND)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = LambdaLR(optimizer, lambda step: 1.0)
    command = [
        find_deno_bin(),
        "run",
        "--quiet",
        "--no-config",
        f"--allow-read={tmp_path}",
        "steps.mjs",
        "saved.json",
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    mine, theirs = [], []
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as page:
        try:
            for _ in range(24):
                page.stdin.write("step\n")
                page.stdin.flush()
                mine.append(float(page.stdout.readline()))
                before = time.perf_counter()
                pytorch_steps(model, optimizer, [batch], schedule, 1.0)
                theirs.append(time.perf_counter() - before)
        finally:
            page.stdin.close()
            torch.set_num_threads(threads)
    ratio = min(mine) / min(theirs)
    milliseconds = [f"{1000 * min(times):.0f} ms" for times in (mine, theirs)]
    with capsys.disabled():
        print(f"\na step: {milliseconds[0]} in the page, {milliseconds[1]} in PyTorch; ratio {ratio:.2f}")
    assert ratio <= 2.5
