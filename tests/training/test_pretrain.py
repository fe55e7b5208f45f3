import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from lmbook.training import load_run, pretrain, warmup_cosine
from lmbook.training.arguments import learning_rate, settings_from
from lmbook.training.checkpoint import NAME, RunInfo, load_checkpoint, save_checkpoint
from lmbook.training.folder import RunFolder
from lmbook.training.pretrain import main
from lmbook.training.run import Run
from lmbook.transformer import MaskedLM

ROOT = Path(__file__).parents[2]
SIZES = {"d-model": 12, "num-heads": 3, "num-layers": 2, "context-length": 29, "batch-size": 4}
SHAPE = [word for name, size in SIZES.items() for word in (f"--{name}", str(size))]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("".join(f"The {n} cats sat on {n + 2} mats, é.\n" for n in range(500)), encoding="utf-8")
    return path


def command(corpus, out, steps=11, extra=(), resume=False):
    every = ["--checkpoint-every", "3", "--validate-every", "5", "--log-every", "2"]
    return [
        "--corpus",
        str(corpus),
        "--out",
        str(out),
        *SHAPE,
        "--steps",
        str(steps),
        *every,
        *map(str, extra),
        *["--resume"] * resume,
    ]


def start(arguments, world_size=1):
    """The processes that torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in range(world_size):
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        env |= {"PYTHONHASHSEED": str(rank)}  # sets are read in another order by each process, every time
        if world_size > 1:
            env |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
            env |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        call = [sys.executable, "-m", "lmbook.pretrain", *arguments]
        processes.append(
            subprocess.Popen(call, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    return processes


def finish(processes):
    try:
        for process in processes:
            _, errors = process.communicate(timeout=200)
            assert process.returncode == 0, errors
    finally:
        end(processes)


def end(processes):
    for process in processes:
        process.kill()
        process.communicate()


def validation_text(corpus):
    text = corpus.read_text(encoding="utf-8")
    return text[round(len(text) * 0.95) :]


def result(out):
    return load_checkpoint(out / NAME)


def assert_same(out_a, out_b, tolerance=0.0):
    (tensors_a, info_a), (tensors_b, info_b) = result(out_a), result(out_b)
    assert info_a["step"] == info_b["step"]
    assert info_a["loss"] == pytest.approx(info_b["loss"], abs=tolerance)
    assert info_a["bits_per_byte"] == pytest.approx(info_b["bits_per_byte"], abs=tolerance)
    assert tensors_a.keys() == tensors_b.keys()
    for name, tensor in tensors_a.items():
        torch.testing.assert_close(tensor, tensors_b[name], atol=tolerance, rtol=0)


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    main(command(corpus, out))
    return out


# A run


def test_a_run_learns_and_leaves_a_model(corpus, tmp_path, capsys):
    main(command(corpus, tmp_path / "run", steps=60, extra=["--learning-rate", 0.01]))
    output = capsys.readouterr()
    assert "step 2/60: loss" in output.err
    assert "step 60/60: loss" in output.out
    tensors, info = result(tmp_path / "run")
    assert info["loss"] < 2.7  # 5.5 at first
    model, tokenizer = load_run(tmp_path / "run")
    assert not model.training
    assert model.context_length == 29
    assert tokenizer.kind == "byte"
    assert sum(name.startswith("model.") for name in tensors) == len(list(model.parameters()))


def test_bits_per_byte_by_hand(corpus, tmp_path):
    main(command(corpus, tmp_path, extra=["--tokenizer", "bpe", "--vocab-size", 270]))
    model, tokenizer = load_run(tmp_path)
    assert tokenizer.vocab_size == 270
    ids = torch.tensor(tokenizer.encode(validation_text(corpus)))
    nats = num_bytes = 0
    with torch.inference_mode():
        for begin in range(0, len(ids) - 29, 29):
            row = ids[begin : begin + 30]
            nats += float(F.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="sum"))
            num_bytes += sum(len(tokenizer.tokens[i]) for i in row[1:])
    assert result(tmp_path)[1]["bits_per_byte"] == pytest.approx(nats / num_bytes / math.log(2), abs=1e-5)


def masked_by_hand(model, ids, number):
    """Nats and bytes of a validation row's hidden tokens."""
    seed = int(np.random.default_rng((0, number, 3)).integers(2**63))
    hidden, mask = model.create_masked_input(ids, generator=torch.Generator().manual_seed(seed))
    return float(F.cross_entropy(model(hidden)[mask], ids[mask], reduction="sum")), int(mask.sum())


def test_a_masked_model_learns_from_both_sides(corpus, tmp_path, capsys):
    main(command(corpus, tmp_path, 80, extra=["--objective", "masked", "--learning-rate", 0.01]))
    said = capsys.readouterr()
    assert re.fullmatch(
        r"step 80/80: loss \S+ nats/hidden token, validation \S+ bits/hidden byte\n", said.out
    )
    model, _ = load_run(tmp_path)
    assert isinstance(model, MaskedLM)
    ids = torch.tensor([*validation_text(corpus).encode()])
    with torch.inference_mode():
        rows = [ids[None, begin : begin + 29] for begin in range(0, len(ids) - 29, 29)]
        nats, count = map(
            sum, zip(*[masked_by_hand(model, row, n) for n, row in enumerate(rows)], strict=True)
        )
    info = result(tmp_path)[1]
    assert info["bits_per_byte"] == pytest.approx(nats / count / math.log(2), abs=1e-5)
    assert info["bits_per_byte"] < 5  # 8 at first


def test_what_is_hidden_depends_on_no_batch(corpus, tmp_path):
    found = []
    extra = ["--objective", "masked", "--separator", "\n", "--learning-rate", 1e-30]
    for rows, accumulate in (2, 1), (6, 3), (16, 1):
        out = tmp_path / str(rows)
        main(command(corpus, out, 1, [*extra, "--accumulate", accumulate, "--batch-size", rows]))
        found.append(result(out)[1]["bits_per_byte"])
    assert found == pytest.approx([found[0]] * 3, abs=1e-6)


def test_a_masked_batch_in_parts_gives_the_result_of_one_piece(corpus, tmp_path):
    extra = ["--objective", "masked", "--separator", "\n"]
    main(command(corpus, tmp_path / "whole", extra=extra))
    main(command(corpus, tmp_path / "parts", extra=[*extra, "--accumulate", 4]))
    assert_same(tmp_path / "parts", tmp_path / "whole", tolerance=1e-5)
    main(command(corpus, tmp_path / "killed", 6, extra=[*extra, "--schedule", "constant", "--warmup", 1]))
    main(["--resume", "--out", str(tmp_path / "killed"), "--steps", "11"])
    main(command(corpus, tmp_path / "on", extra=[*extra, "--schedule", "constant", "--warmup", 1]))
    assert_same(tmp_path / "killed", tmp_path / "on")


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["--fsdp"]], ids=["ddp", "fsdp"])
def test_two_processes_give_the_masked_result_of_one(how, corpus, tmp_path):
    extra = ["--objective", "masked", "--separator", "\n"]
    main(command(corpus, tmp_path / "one", extra=extra))
    finish(start(command(corpus, tmp_path / "two", extra=[*extra, *how]), world_size=2))
    assert_same(tmp_path / "two", tmp_path / "one", tolerance=1e-5)


def test_padding_changes_no_prediction_of_a_masked_model(corpus, tmp_path, monkeypatch):
    """A document shorter than a row: what stands after it must not be read."""
    main(command(corpus, tmp_path, 2, extra=["--objective", "masked", "--separator", "\n"]))
    model, _ = load_run(tmp_path)
    made = {}
    monkeypatch.setattr(Run, "validate", lambda run: made.setdefault("run", run) and 1.0)
    main(["--resume", "--out", str(tmp_path), "--steps", "3"])
    run = made["run"]
    row = torch.cat([torch.arange(65, 75), torch.full((20,), -100)])[None]
    inputs, targets = run._examples(row, (0, 1))
    assert (targets != -100).any()
    assert (inputs[0, 10:] == -100).all()
    assert (targets[0, 10:] == -100).all()
    run.model.load_state_dict(model.state_dict())
    short = run._losses(run.model, inputs[:, :10], targets[:, :10])
    torch.testing.assert_close(run._losses(run.model, inputs, targets)[:, :10], short, atol=1e-5, rtol=0)


def with_length(arguments, *length):
    """A command with --epochs or --minutes for its --steps."""
    at = arguments.index("--steps")
    return arguments[:at] + list(length) + arguments[at + 2 :]


def test_epochs_take_their_steps_and_go_on(corpus, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text(corpus.read_text(encoding="utf-8")[:2000], encoding="utf-8")
    arguments = with_length(
        command(text, tmp_path / "run", extra=["--schedule", "constant"]), "--epochs", "2"
    )
    main(arguments)
    lines = log(tmp_path / "run")
    tokens = lines[0]["tokens"]["training"]
    rows = math.ceil((tokens - 1) / 29)
    assert result(tmp_path / "run")[1]["step"] == math.ceil(2 * rows / 4)
    assert "steps read the training text 2" in capsys.readouterr().err
    assert lines[0]["settings"]["warmup"] == math.ceil(2 * rows / 4) // 10
    main(["--resume", "--out", str(tmp_path / "run"), "--epochs", "3"])
    extra = ["--schedule", "constant", "--warmup", lines[0]["settings"]["warmup"]]
    main(with_length(command(text, tmp_path / "whole", extra=extra), "--epochs", "3"))
    assert_same(tmp_path / "run", tmp_path / "whole")
    main(["--resume", "--out", str(tmp_path / "run")])  # nothing is left to do


def test_a_run_of_epochs_that_died_ends_as_if_nothing_had_happened(corpus, tmp_path, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text(corpus.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    main(with_length(command(text, tmp_path / "whole"), "--epochs", "2"))
    save = Run.save

    def save_and_die(run):
        save(run)
        if run.progress.step == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(Run, "save", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        main(with_length(command(text, tmp_path / "run"), "--epochs", "2"))
    monkeypatch.undo()
    main(["--resume", "--out", str(tmp_path / "run")])
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_warmup_longer_than_the_epochs_is_refused(corpus, tmp_path, capsys):
    arguments = with_length(command(corpus, tmp_path, extra=["--warmup", 5000]), "--epochs", "1")
    assert "--warmup must be below --steps 138, got 5000" in fails(arguments, capsys, code=2)


def test_minutes_end_a_run(corpus, tmp_path):
    arguments = with_length(command(corpus, tmp_path), "--minutes", "0.02")
    main(arguments)
    info = result(tmp_path)[1]
    assert info["step"] > 3
    assert 1.2 <= info["seconds"] < 30
    main([*arguments, "--resume"])  # nothing is left to do
    assert result(tmp_path)[1] == info


def test_bf16_comes_to_nearly_the_same(corpus, finished, tmp_path):
    main(command(corpus, tmp_path, extra=["--bf16"]))
    tensors, info = result(tmp_path)
    assert info["loss"] == pytest.approx(result(finished)[1]["loss"], rel=0.01)
    assert info["loss"] != result(finished)[1]["loss"]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_the_validation_is_independent_of_the_batch_size(corpus, tmp_path):
    found = []
    for rows, accumulate in (2, 1), (6, 3), (16, 1):
        arguments = command(
            corpus, tmp_path / str(rows), 1, ["--accumulate", accumulate, "--batch-size", rows]
        )
        main([*arguments, "--learning-rate", "1e-30", "--validation-tokens", "290"])
        found.append(result(tmp_path / str(rows))[1]["bits_per_byte"])
    assert found == pytest.approx([found[0]] * 3, abs=1e-6)


def test_the_log_is_json_and_begins_with_what_is_trained(corpus, finished, capsys):
    lines = log(finished)
    assert lines[0] | {"settings": 0} == {
        "event": "begin", "step": 0, "parameters": 8892, "device": "cpu", "processes": 1, "settings": 0,
        "tokens": {"training": 15_945, "validation": 839},
    }  # fmt: skip
    assert lines[0]["settings"]["batch_size"] == 4
    steps = [line for line in lines if line["event"] == "step"]
    assert [line["step"] for line in steps] == [2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert [line["step"] for line in steps if "bits_per_byte" in line] == [5, 10, 11]
    assert [line["step"] for line in lines if line["event"] == "checkpoint"] == [3, 6, 9, 11]
    assert steps[0]["learning_rate"] == 1e-3
    assert all(line["gradient_norm"] > 0 and line["tokens_per_second"] > 0 for line in steps)


def test_people_see_what_is_trained_and_when_it_was_validated(corpus, tmp_path, capsys):
    main(command(corpus, tmp_path))
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert lines[0] == "8,892 parameters, 15,945 tokens of training and 839 tokens of validation text, on cpu"
    assert lines[1] == "11 steps read the training text 0.08 times"
    rate = r"rate \d\.\d\de-\d\d, [\d,]+ tokens/s"
    fresh = r"validation \d\.\d{4} bits/byte"
    assert re.fullmatch(rf"step 5/11: loss \d\.\d{{4}} nats/token, {fresh}, {rate}", lines[5])
    assert re.fullmatch(rf"step 6/11: loss \d\.\d{{4}} nats/token, {rate}", lines[6])
    assert re.fullmatch(r"step 11/11: loss \S+ nats/token, validation \S+ bits/byte\n", said.out)


def test_samples_are_the_same_each_time(corpus, tmp_path, capsys):
    for out in "a", "b":
        main(command(corpus, tmp_path / out, extra=["--sample-every", 4, "--prompt", "The 5"]))
    samples = [[line for line in log(tmp_path / out) if line["event"] == "sample"] for out in ("a", "b")]
    assert [line["step"] for line in samples[0]] == [4, 8, 11]
    assert samples[0] == samples[1]
    assert all(line["text"].startswith("The 5") and len(line["text"]) > 20 for line in samples[0])
    assert len({line["text"] for line in samples[0]}) == 3
    assert "sample: 'The 5" in capsys.readouterr().err


def test_samples_change_nothing(corpus, finished, tmp_path):
    main(command(corpus, tmp_path, extra=["--sample-every", 3]))
    assert_same(tmp_path, finished)
    text = next(line["text"] for line in log(tmp_path) if line["event"] == "sample")
    assert text.startswith(validation_text(corpus)[:10])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_model_gives_the_same(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path, extra=["--compile"])))
    assert_same(tmp_path, finished, tolerance=1e-4)


def test_compile_without_a_compiler_is_refused(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    said = fails(command(corpus, tmp_path / "out", extra=["--compile"]), capsys, code=2)
    assert "--compile needs a C++ compiler" in said


def test_options_of_the_optimizer_reach_it(corpus, tmp_path, monkeypatch):
    groups = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda o: (groups.append([dict(g) for g in o.param_groups]), step(o))
    )
    extra = [
        "--weight-decay",
        0.3,
        "--betas",
        0.8,
        0.9,
        "--warmup",
        0,
        "--schedule",
        "linear",
        "--final-rate",
        0,
    ]
    main(command(corpus, tmp_path, 4, extra=extra))
    assert [group["weight_decay"] for group in groups[0]] == [0.3, 0.0]
    assert [group["betas"] for group in groups[0]] == [(0.8, 0.9)] * 2
    assert [pair[0]["lr"] for pair in groups] == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])


def test_the_rate_of_a_run_by_the_clock_falls():
    given = {"corpus": ["x"], "out": Path("y"), "minutes": 2.0, "warmup": 4, "learning_rate": 0.5}
    places = [(0, 1.0), (3, 9.0), (4, 0.0), (9, 60.0), (99, 120.0), (99, 999.0)]
    rates = [learning_rate(settings_from(given), step, seconds) for step, seconds in places]
    assert rates == pytest.approx([0.125, 0.5, 0.5, 0.275, 0.05, 0.05])


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_the_rate_by_steps_is_warmup_cosine(warmup):
    settings = settings_from(
        {"corpus": ["x"], "out": Path("y"), "steps": 50, "warmup": warmup, "learning_rate": 0.3}
    )
    factor = warmup_cosine(warmup, 50)
    assert [learning_rate(settings, step, 0.0) for step in range(60)] == [
        factor(step) * 0.3 for step in range(60)
    ]


def test_characters_of_the_validation_text_are_known(corpus, tmp_path):
    text = corpus.read_text(encoding="utf-8") + "ÿ" * 5
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    main(command(tmp_path / "text.txt", tmp_path / "run", steps=1, extra=["--tokenizer", "char"]))
    assert "ÿ" in load_run(tmp_path / "run")[1].tokens


# Killed, and started again


@pytest.mark.parametrize("deaths", [[1], [2, 1], [3]])
def test_a_run_that_died_ends_as_if_nothing_had_happened(deaths, corpus, finished, tmp_path, monkeypatch):
    save = Run.save
    for saves in deaths:
        left = iter(range(saves))

        def save_or_die(run, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            save(run)

        monkeypatch.setattr(Run, "save", save_or_die)
        with pytest.raises(KeyboardInterrupt):
            main(command(corpus, tmp_path, resume=(tmp_path / NAME).exists()))
    monkeypatch.setattr(Run, "save", save)
    main(command(corpus, tmp_path, resume=True))
    assert_same(tmp_path, finished)
    assert_log_is_that_of(tmp_path, finished)


def test_resume_alone_goes_on_with_all_that_was_said(corpus, finished, tmp_path, monkeypatch):
    def save_and_die(run, save=Run.save):
        save(run)
        if run.progress.step > 3:
            raise ZeroDivisionError

    monkeypatch.setattr(Run, "save", save_and_die)
    with pytest.raises(SystemExit):
        main(command(corpus, tmp_path))
    monkeypatch.undo()
    assert result(tmp_path)[1]["step"] == 6
    main(["--resume", "--out", str(tmp_path)])
    assert_same(tmp_path, finished)


def test_a_finished_run_goes_on_with_more_steps(corpus, finished, tmp_path):
    main(command(corpus, tmp_path, extra=["--schedule", "constant"]))
    main(["--resume", "--out", str(tmp_path), "--steps", "20"])
    main(command(corpus, tmp_path / "whole", 20, extra=["--schedule", "constant", "--warmup", 1]))
    assert_same(tmp_path, tmp_path / "whole")


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def assert_log_is_that_of(out_a, out_b):
    steps_a, steps_b = ([line for line in log(out) if line["event"] == "step"] for out in (out_a, out_b))
    for key in "step", "loss", "learning_rate", "gradient_norm", "bits_per_byte":
        assert [line.get(key) for line in steps_a] == [line.get(key) for line in steps_b]


def kill_when(condition, corpus, out, steps):
    """Start a run, SIGKILL it as soon as `condition()` holds; True if it was killed before its end."""
    (process,) = start(command(corpus, out, steps, resume=(out / NAME).exists()))
    deadline = time.monotonic() + 60
    while process.poll() is None and not condition() and time.monotonic() < deadline:
        time.sleep(0.0005)  # a checkpoint takes a few milliseconds: don't sleep through it
    killed = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("moments", ["anywhere", "writing"])
def test_sigkill_again_and_again(moments, corpus, tmp_path):
    main(command(corpus, tmp_path / "whole", steps=400))
    out, kills = tmp_path / "killed", 0
    for wait in 0.02, 0.11, 0.23, 0.31, 0.05:
        if moments == "writing":

            def while_a_later_checkpoint_is_written():
                return (out / NAME).exists() and any(out.glob("*.partial"))

            kills += kill_when(while_a_later_checkpoint_is_written, corpus, out, 400)
        else:
            before = (out / NAME).stat().st_mtime_ns if (out / NAME).exists() else 0

            def some_time_after_a_checkpoint(before=before, wait=wait):
                if (out / NAME).exists() and (out / NAME).stat().st_mtime_ns > before:
                    time.sleep(wait)
                    return True
                return False

            kills += kill_when(some_time_after_a_checkpoint, corpus, out, 400)
        if (out / NAME).exists():
            assert result(out)[1]["step"] % 3 == 0 or result(out)[1]["step"] == 400  # it is whole
    assert kills >= 3
    finish(start(command(corpus, out, 400, resume=True)))
    assert_same(out, tmp_path / "whole", tolerance=1e-6)
    assert not list(out.glob("*.partial"))


def test_sigkill(corpus, finished, tmp_path):
    assert kill_when(lambda: (tmp_path / NAME).exists(), corpus, tmp_path, 11)
    assert 0 < result(tmp_path)[1]["step"] < 11
    main(command(corpus, tmp_path, resume=True))
    assert_same(tmp_path, finished, tolerance=1e-6)


# Many processes


@pytest.mark.parametrize("accumulate", [2, 4])
def test_a_batch_in_parts_gives_the_result_of_one_piece(accumulate, corpus, finished, tmp_path, monkeypatch):
    rows, losses = set(), Run._losses
    monkeypatch.setattr(Run, "_losses", lambda run, model, *a: rows.add(len(a[0])) or losses(run, model, *a))
    main(command(corpus, tmp_path, extra=["--accumulate", accumulate]))
    assert rows == {4 // accumulate}
    assert_same(tmp_path, finished, tolerance=1e-5)


def test_two_processes_in_parts_give_the_result_of_one(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path, extra=["--accumulate", 2]), world_size=2))
    assert_same(tmp_path, finished, tolerance=1e-5)


def test_two_processes_on_short_documents_give_the_result_of_one(corpus, tmp_path):
    """Processes have different numbers of tokens to predict; all tokens of a batch weigh the same."""
    extra = ["--separator", "\n"]  # 32 to 36 bytes a document; some shorter than a row, 30
    short = tmp_path / "short.txt"
    short.write_text(corpus.read_text(encoding="utf-8").replace(" cats", "").replace("mats", "m"))
    main(command(short, tmp_path / "one", extra=extra))
    main(command(short, tmp_path / "parts", extra=[*extra, "--accumulate", 4]))
    finish(start(command(short, tmp_path / "two", extra=extra), world_size=2))
    assert_same(tmp_path / "two", tmp_path / "one", tolerance=1e-5)
    assert_same(tmp_path / "parts", tmp_path / "one", tolerance=1e-5)


def test_an_error_of_the_first_process_ends_them_all(corpus, finished, tmp_path):
    main(command(corpus, tmp_path, 1))
    corpus_2 = tmp_path / "other.txt"
    corpus_2.write_text(corpus.read_text(encoding="utf-8")[1:], encoding="utf-8")
    processes = start(command(corpus_2, tmp_path, resume=True), world_size=2)
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    assert "another corpus" in said[0]
    assert "another corpus" not in said[1]


def test_two_processes_give_the_result_of_one(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path), world_size=2))
    assert_same(tmp_path, finished, tolerance=1e-5)


@pytest.mark.slow
def test_sharded_processes_give_the_result_of_one_and_go_on(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path / "a", extra=["--fsdp"]), world_size=2))
    assert_same(tmp_path / "a", finished, tolerance=1e-5)
    # began sharded on two, died, goes on alone, dies, and ends sharded on two
    for world_size in 2, 1, 2:
        there = (tmp_path / "b" / NAME).exists()
        call = command(corpus, tmp_path / "b", 40, ["--fsdp"] * (world_size - 1), resume=there)
        processes = start(call, world_size)
        seen = result(tmp_path / "b")[1]["step"] if (tmp_path / "b" / NAME).exists() else 0
        while not (tmp_path / "b" / NAME).exists() or result(tmp_path / "b")[1]["step"] <= seen:
            assert processes[0].poll() is None, processes[0].communicate()
            time.sleep(0.05)
        end(processes)
    finish(start(command(corpus, tmp_path / "b", 40, ["--fsdp"], resume=True), world_size=2))
    main(command(corpus, tmp_path / "whole", 40))
    assert_same(tmp_path / "b", tmp_path / "whole", tolerance=1e-4)  # AdamW's rounding adds up


@pytest.mark.slow
def test_torchrun(corpus, finished, tmp_path):
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    call += ["-m", "lmbook.pretrain", *command(corpus, tmp_path)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("step 11/11: loss")
    assert_same(tmp_path, finished, tolerance=1e-5)


# Refusals


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--steps", 0], "--steps must be at least 1, got 0"),
        (["--minutes", 1], "not allowed with"),
        (["--epochs", 1], "not allowed with"),
        (["--batch-size", -3], "--batch-size must be at least 1, got -3"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0 and at most 1e+30, got nan"),
        (["--learning-rate", 0], "--learning-rate must be above 0 and at most 1e+30, got 0.0"),
        (["--d-model", 13], "--d-model 13 must be an even multiple of --num-heads 3"),
        (["--d-model", 9], "--d-model 9 must be an even multiple of --num-heads 3"),
        (
            ["--tokenizer", "bpe", "--vocab-size", 100],
            "--vocab-size must be at least 256, the bytes; got 100",
        ),
        (["--objective", "both"], "invalid choice: 'both'"),
        (["--objective", "masked", "--sample-every", 5], "--sample-every needs a causal model"),
        (["--tokenizer", "words"], "invalid choice: 'words'"),
        (["--corpus", "no such file"], "--corpus must be shakespeare, speeches, a file or a folder; got"),
        (["--seed", -1], "--seed must be at least 0, got -1"),
        (["--checkpoint-every", 0], "--checkpoint-every must be at least 1"),
        (["--fsdp"], "start them with torchrun"),
        (["--warmup", 11], "--warmup must be below --steps 11, got 11"),
        (["--accumulate", 3], "--accumulate 3 must divide the 4 rows of a process"),
        (["--betas", 0.9, 1.0], "--betas must be at least 0 and below 1, got 1.0"),
        (["--weight-decay", -1], "--weight-decay must be at least 0 and at most 1e+06, got -1.0"),
        (["--max-grad-norm", 0], "--max-grad-norm must be above 0, got 0.0"),
        (["--final-rate", 2], "--final-rate must be at least 0 and at most 1, got 2.0"),
        (["--validation", "nothing"], "--validation must be a file or a folder; got 'nothing'"),
        (["--separator", ""], "--separator must be a text"),
        (["--learning-rate", 1e300], "--learning-rate must be above 0 and at most 1e+30, got 1e+300"),
        (["--weight-decay", 1e300], "--weight-decay must be at least 0 and at most 1e+06, got 1e+300"),
        (["--batch-size", 10**13], "--batch-size must be at most 16,777,216, got 10000000000000"),
        (["--num-layers", 2**25], "--num-layers must be at most 16,777,216, got 33554432"),
        (["--tokenizer", "bpe", "--vocab-size", 10**20], "--vocab-size must be at most 16,777,216, got 1000"),
        (["--seed", 10**25], "--seed must be at most 9,223,372,036,854,775,807, got 1000"),
        (["--steps", 10**400], "--steps must be at most 9,007,199,254,740,992, got an int of over 30 digits"),
        (["--prompt", "\udcff"], r"--prompt must be text that UTF-8 can express, got '\udcff'"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_bad_arguments_end_with_code_2_before_any_work(extra, message, corpus, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(command(corpus, tmp_path / "out", extra=extra))
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_context_longer_than_the_text_is_refused(corpus, tmp_path, capsys):
    said = fails(command(corpus, tmp_path, extra=["--context-length", 5000]), capsys, code=2)
    assert "--context-length 5000 needs more than 839 tokens of validation text" in said
    assert not (tmp_path / NAME).exists()


def test_a_prompt_that_the_tokenizer_lacks_is_refused_before_training(corpus, tmp_path, capsys):
    out = tmp_path / "run"
    extra = ["--tokenizer", "char", "--sample-every", 2]
    said = fails(command(corpus, out, extra=[*extra, "--prompt", "Zebra"]), capsys, code=2)
    assert "--prompt 'Zebra': character 'Z' (U+005A) at position 0 is not among" in said
    assert not (out / "log.jsonl").exists()
    main(command(corpus, out, extra=[*extra, "--prompt", "The"]))
    logged = (out / "log.jsonl").read_bytes()
    said = fails(["--resume", "--out", out, "--steps", 12, "--prompt", "The Zoo"], capsys, code=2)
    assert "--prompt 'The Zoo': character 'Z' (U+005A) at position 4" in said
    assert (out / "log.jsonl").read_bytes() == logged


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_documents_of_one_token_are_refused(objective, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("\n".join("abcdefghij"[i % 10] for i in range(800)), encoding="utf-8")
    extra = ["--separator", "\n", "--objective", objective]
    said = fails(command(text, tmp_path / "run", 3, extra=extra), capsys, code=2)
    assert "every document of the training text is 1 token long" in said
    assert "--separator" in said
    text.write_text("\n".join("ab" if i % 20 != 19 else "c" for i in range(800)), encoding="utf-8")
    said = fails(command(text, tmp_path / "run", 3, extra=extra), capsys, code=2)
    assert "every document of the validation text is 1 token long" in said


def test_a_validation_file_of_the_corpus_is_refused(corpus, tmp_path, capsys):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "v.txt").write_bytes(corpus.read_bytes())
    (texts / "w.txt").write_bytes(corpus.read_bytes())
    (tmp_path / "link.txt").symlink_to(texts / "v.txt")
    for validation in texts / "v.txt", texts, tmp_path / "link.txt":
        said = fails(command(texts, tmp_path / "run", extra=["--validation", validation]), capsys, code=2)
        assert re.search(r"--validation has '.*', which --corpus has too", said)
    assert not (tmp_path / "run").exists()
    (texts / "v.txt").rename(tmp_path / "v.txt")
    main(command(texts, tmp_path / "run", 1, extra=["--validation", tmp_path / "v.txt"]))


def test_a_batch_that_cannot_be_shared_is_refused(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SystemExit):
        main(command(corpus, tmp_path / "out"))
    assert "--batch-size 4 can't be shared by 3 processes" in capsys.readouterr().err


def test_the_folder_of_another_run_is_refused(corpus, finished, capsys):
    before = (finished / NAME).read_bytes()
    for extra, message in (
        (["--seed", 1], "seed 0, not 1"),
        (["--d-model", 24], "d_model 12, not 24"),
        (["--objective", "masked"], "objective 'causal', not 'masked'"),
    ):
        with pytest.raises(SystemExit) as exit_info:
            main(command(corpus, finished, extra=extra, resume=True))
        assert exit_info.value.code == 2
        assert message in capsys.readouterr().err
    assert (finished / NAME).read_bytes() == before


def test_a_new_run_in_the_folder_of_another_is_refused(corpus, finished, capsys):
    before = (finished / NAME).read_bytes()
    with pytest.raises(SystemExit) as exit_info:
        main(command(corpus, finished))
    assert exit_info.value.code == 2
    assert "has a run already, at step 11" in (said := capsys.readouterr().err)
    assert "add --resume to go on with it" in said
    assert (finished / NAME).read_bytes() == before


def test_a_run_that_ended_before_the_lock_was_taken_is_not_overwritten(
    corpus, finished, tmp_path, monkeypatch, capsys
):
    def take(path):
        path.mkdir()
        shutil.copy(finished / NAME, path)  # another process's, a moment ago
        return RunFolder(path)

    monkeypatch.setattr(pretrain, "RunFolder", take)
    said = fails(command(corpus, tmp_path / "run"), capsys, code=2)
    assert "has a run already, at step 11" in said
    assert (tmp_path / "run" / NAME).read_bytes() == (finished / NAME).read_bytes()


def test_a_length_that_the_run_has_passed_is_refused(corpus, finished, tmp_path, capsys):
    shutil.copytree(finished, tmp_path / "run")
    go_on = ["--resume", "--out", tmp_path / "run"]
    before = (tmp_path / "run" / "log.jsonl").read_bytes()
    said = fails([*go_on, "--steps", 5], capsys, code=2)
    assert "--steps 5 is below step 11, which the run has reached" in said
    said = fails([*go_on, "--epochs", 1], capsys, code=2)
    assert "--epochs: the run's rows so far were drawn at random" in said
    assert (tmp_path / "run" / "log.jsonl").read_bytes() == before
    main([*map(str, go_on), "--steps", "11"])  # nothing is left to do


def test_fewer_epochs_than_the_run_has_passed_are_refused(corpus, tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text(corpus.read_text(encoding="utf-8")[:1000], encoding="utf-8")
    main(with_length(command(text, tmp_path / "run"), "--epochs", "2"))
    step = result(tmp_path / "run")[1]["step"]
    said = fails(["--resume", "--out", tmp_path / "run", "--epochs", 1], capsys, code=2)
    assert re.search(rf"--epochs 1, of \d+ steps, is below step {step}, which the run has", said)


def test_a_rank_that_is_no_number_is_refused(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RANK", "x")
    said = fails(command(corpus, tmp_path / "run"), capsys, code=2)
    assert "the environment's RANK must be a whole number from 0 to 0, got 'x'" in said
    assert not (tmp_path / "run").exists()


def test_a_batch_beyond_the_memory_is_one_sentence(corpus, tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise MemoryError("Unable to allocate 2 TiB")

    monkeypatch.setattr(Run, "_step", refuse)
    said = fails(command(corpus, tmp_path / "run"), capsys)
    assert said.endswith("Unable to allocate 2 TiB: a smaller --batch-size may help; there is no checkpoint")


def test_nothing_to_go_on_from_is_refused(corpus, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(command(corpus, tmp_path, resume=True))
    assert exit_info.value.code == 2
    assert "leave --resume away to begin" in capsys.readouterr().err


def fails(arguments, capsys, code=1):
    with pytest.raises(SystemExit) as exit_info:
        main(list(map(str, arguments)))
    assert exit_info.value.code == code
    lines = capsys.readouterr().err.splitlines()
    return lines[-1]


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(
    corpus, tmp_path, monkeypatch, capsys
):
    losses = Run._losses
    monkeypatch.setattr(
        Run, "_losses", lambda run, *a: losses(run, *a) * (math.nan if run.progress.step >= 4 else 1)
    )
    said = fails(command(corpus, tmp_path), capsys)
    assert "the loss is nan at step 5: a lower --learning-rate may help; the checkpoint of step 3" in said
    assert result(tmp_path)[1]["step"] == 3


def test_a_validation_that_is_no_number_spares_the_checkpoint(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Run, "validate", lambda run: math.nan if run.progress.step > 5 else 1.0)
    said = fails(command(corpus, tmp_path), capsys)
    assert "the validation loss is nan at step 10" in said
    assert "the checkpoint of step 9 is still there" in said
    assert result(tmp_path)[1]["step"] == 9


@pytest.mark.parametrize("what", ["weight", "optimizer"])
def test_weights_that_are_no_numbers_spare_the_checkpoint(what, corpus, tmp_path, monkeypatch, capsys):
    look = Run._look

    def spoil(run, due, *measured):
        if run.progress.step == 6:
            due -= {"validate"}
            weight = run.model.norm.weight
            (weight.data if what == "weight" else run.optimizer.state[weight]["exp_avg"])[3] = math.inf
        look(run, due, *measured)

    monkeypatch.setattr(Run, "_look", spoil)
    said = fails(command(corpus, tmp_path), capsys)
    assert (
        "norm.weight has numbers that are NaN or infinite at step 6: a lower --learning-rate may help" in said
    )
    assert result(tmp_path)[1]["step"] == 3
    assert all(tensor.isfinite().all() for tensor in result(tmp_path)[0].values())


@pytest.mark.parametrize("more", [[], ["--bf16"]])
@pytest.mark.parametrize("rate", ["1e20", "1e30"])
def test_a_rate_that_breaks_the_weights_is_no_success(rate, more, corpus, tmp_path, capsys):
    said = fails([*command(corpus, tmp_path, 5), "--learning-rate", rate, *more], capsys)
    assert "--learning-rate" in said
    assert not (tmp_path / NAME).exists() or all(t.isfinite().all() for t in result(tmp_path)[0].values())


def test_a_sample_of_weights_that_are_no_numbers_ends_the_run_in_one_sentence(corpus, tmp_path, capsys):
    extra = ["--learning-rate", "1e30", "--sample-every", 1, "--checkpoint-every", 9, "--validate-every", 9]
    said = fails(command(corpus, tmp_path, 9, extra), capsys)
    assert "the probability of a sample's token is nan at step " in said
    assert said.endswith("a lower --learning-rate may help; there is no checkpoint")


FULL = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 16384 bytes. Error code 12"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError(FULL), "no memory is left for 16384 bytes"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0"), "for 2.50 GiB"),
    ],
)
def test_too_little_memory_is_one_sentence(error, said, corpus, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Run, "_step", fail)
        told = fails(command(corpus, tmp_path / "a"), capsys)
        assert f"{said}: a smaller --batch-size may help; there is no checkpoint" in told
    monkeypatch.setattr(Run, "_build", fail)
    assert fails(command(corpus, tmp_path / "b"), capsys, code=2).endswith(said)


def test_another_runtime_error_is_not_hidden(corpus, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(Run, "_step", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        main(command(corpus, tmp_path))


# A folder of its own


def test_a_folder_is_held_by_one_run(corpus, tmp_path, capsys, monkeypatch):
    holder = RunFolder(tmp_path / "run")
    (tmp_path / "run" / f"{NAME}.77.partial").write_text("what the other is writing")
    said = fails(command(corpus, tmp_path / "run"), capsys, code=2)
    assert f"is held by another run, process {os.getpid()}" in said
    assert (tmp_path / "run" / f"{NAME}.77.partial").exists()
    holder.close()
    main(command(corpus, tmp_path / "run", 1))
    assert not list((tmp_path / "run").glob("*.partial"))  # nobody held the folder, so nobody writes it


def test_a_lock_dies_with_its_process(corpus, tmp_path):
    (process,) = start(command(corpus, tmp_path, 100_000))
    while not (tmp_path / "lock").exists() or not (tmp_path / "lock").read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    end([process])
    (tmp_path / NAME).unlink(missing_ok=True)
    main(command(corpus, tmp_path, 1))


def test_a_folder_that_cannot_be_written_is_refused_before_training(corpus, tmp_path, capsys, monkeypatch):
    def refuse(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    said = fails(command(corpus, tmp_path / "run"), capsys, code=2)
    assert said.endswith("can't be written to: Permission denied")
    assert "--out" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_a_locked_folder_is_refused(corpus, tmp_path, capsys):
    tmp_path.chmod(0o555)
    assert "can't be written to" in fails(command(corpus, tmp_path), capsys, code=2)


def test_too_little_space_is_said_before_training(corpus, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=200_000))
    said = fails(command(corpus, tmp_path), capsys, code=2)  # 8,892 weights: 2 × 107 KB
    assert "0 MB free, and tokens and checkpoints take up to 0 MB" in said
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=220_000))
    main(command(corpus, tmp_path))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from lmbook.training.folder import RunFolder
from lmbook.training.pretrain import main
from lmbook.training.run import Run
from lmbook.transformer import MaskedLM
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
save = Run.save
def save_on_a_full_disk(run):
    if run.progress.step == 6:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    save(run)
Run.save = save_on_a_full_disk
main(sys.argv[1:])
"""


def test_a_full_disk_is_one_sentence_and_the_old_checkpoint_stays(corpus, tmp_path):
    call = [sys.executable, "-c", FULL_DISK, *command(corpus, tmp_path)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stderr
    said = done.stderr.splitlines()[-1]
    assert "couldn't be written" in said
    assert said.endswith("the checkpoint of step 3 is still there")
    assert "Traceback" not in done.stderr
    assert result(tmp_path)[1]["step"] == 3
    assert not list(tmp_path.glob("*.partial"))


# Another corpus


def test_what_has_changed_in_a_corpus_is_said(corpus, tmp_path, capsys):
    text = corpus.read_text(encoding="utf-8")
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    main(command(path, tmp_path / "run"))
    size = len(text.encode())
    path.write_text(text.replace("cats", "dogs"), encoding="utf-8")
    said = fails(command(path, tmp_path / "run", 20, resume=True), capsys, code=2)
    assert (
        f"another corpus: {path} had {size:,} bytes and has {size:,}; they differ first at or after byte 0"
        in said
    )
    path.write_text(text + "And more.", encoding="utf-8")
    said = fails(command(path, tmp_path / "run", 20, resume=True), capsys, code=2)
    assert f"had {size:,} bytes and has {size + 9:,}: text was added at its end" in said
    path.write_text(text, encoding="utf-8")
    path = path.rename(tmp_path / "moved.txt")
    main(command(path, tmp_path / "run", 12, resume=True))  # the same text under another name


def test_a_corpus_that_is_not_utf8_is_named_with_the_place(tmp_path, capsys):
    path = tmp_path / "latin.txt"
    path.write_bytes(b"abc " * 400_000 + "café".encode("latin-1"))
    said = fails(command(path, tmp_path / "run"), capsys, code=2)
    assert f"{path} isn't UTF-8: byte 0xe9 at position 1,600,003" in said


def test_tokens_that_the_vocabulary_lacks_end_a_run_in_one_sentence(corpus, tmp_path, capsys):
    arguments = command(corpus, tmp_path / "run", 4, extra=["--tokenizer", "char"])
    main(arguments)
    tokens = tmp_path / "run" / "tokens" / "training.tokens"
    tokens.write_bytes(b"\xff" * tokens.stat().st_size)
    said = fails(["--resume", "--out", tmp_path / "run", "--steps", 6], capsys)
    assert "has id 255, and the vocabulary" in said
    assert said.endswith("the checkpoint of step 4 is still there")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("tokenizer", ["byte", "char", "bpe"])
def test_a_corpus_without_text_is_said_to_have_none(content, tokenizer, tmp_path, capsys):
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    said = fails(command(path, tmp_path / "run", extra=["--tokenizer", tokenizer]), capsys, code=2)
    assert "the corpus has no text: not one character in 1 file(s)" in said


def test_a_byte_order_mark_is_no_text(tmp_path):
    path = tmp_path / "marked.txt"
    path.write_text("the cat sat on the mat. " * 200, encoding="utf-8-sig")
    main(command(path, tmp_path / "run", 1, extra=["--tokenizer", "char"]))
    assert "\ufeff" not in load_run(tmp_path / "run")[1].tokens


# Damaged


def without(name):
    return lambda tensors, info: (tensors if name in tensors else info).pop(name)


def with_tensor(name, tensor):
    return lambda tensors, info: tensors.update({name: tensor})


def with_info(name, value):
    return lambda tensors, info: info.update({name: value})


def with_setting(name, value):
    return lambda tensors, info: info["settings"].update({name: value})


DAMAGES = {
    "a weight is missing": (without("model.norm.weight"), "it lacks model.norm.weight"),
    "a vector of another length": (
        with_tensor("model.norm.weight", torch.ones(3)),
        r"\(3,\), and .* \(12,\)",
    ),
    "a vector that could be stretched": (with_tensor("model.norm.weight", torch.ones(1)), r"is \(1,\)"),
    "a matrix that could be stretched": (
        with_tensor("model.embedding.weight", torch.ones(1, 12)),
        "is .1, 12",
    ),
    "a number for a weight": (with_tensor("model.norm.weight", torch.tensor(1.0)), r"is \(\)"),
    "optimizer state is missing": (
        without("optimizer.exp_avg.norm.weight"),
        "it lacks optimizer.exp_avg.norm",
    ),
    "optimizer state of another length": (
        with_tensor("optimizer.exp_avg.norm.weight", torch.ones(3)),
        "exp_avg.norm.weight is",
    ),
    "a number for optimizer state": (
        with_tensor("optimizer.exp_avg.norm.weight", torch.tensor(1.0)),
        r"exp_avg.norm.weight is \(\)",
    ),
    "optimizer state that is NaN": (
        with_tensor("optimizer.exp_avg.norm.weight", torch.full((12,), math.nan)),
        "exp_avg.norm.weight has numbers that are NaN",
    ),
    "a weight that is NaN": (
        with_tensor("model.norm.weight", torch.full((12,), math.nan)),
        "model.norm.weight has numbers that are NaN",
    ),
    "a weight of another size": (
        with_tensor("model.norm.weight", torch.full((12,), 1e30)),
        r"model.norm.weight has a number of size 1e\+30",
    ),
    "no means of squares": (
        lambda tensors, info: [tensors.pop(name) for name in [*tensors] if "exp_avg_sq" in name],
        "it lacks optimizer.exp_avg_sq.embedding.weight",
    ),
    "a mean of squares below 0": (
        with_tensor("optimizer.exp_avg_sq.norm.weight", torch.full((12,), -1.0)),
        "exp_avg_sq.norm.weight has a mean of squares of -1.0",
    ),
    "a step of the optimizer below 0": (
        with_tensor("optimizer.step.norm.weight", torch.tensor(-5.0)),
        "optimizer.step.norm.weight must be a whole number from 0 to 16,777,216, got -5.0",
    ),
    "a step of the optimizer that is no whole number": (
        with_tensor("optimizer.step.norm.weight", torch.tensor(0.5)),
        "whole number from 0 to 16,777,216, got 0.5",
    ),
    "a step of the optimizer that no run comes to": (
        with_tensor("optimizer.step.norm.weight", torch.tensor(1e30)),
        "whole number from 0 to 16,777,216, got 1.0",
    ),
    "a weight in half precision": (
        with_tensor("model.norm.weight", torch.ones(12, dtype=torch.float16)),
        r"model.norm.weight must be of torch.float32, got torch.float16",
    ),
    "a loss in words": (with_info("loss", "low"), "loss must be a number or null, got 'low'"),
    "a setting of another kind": (with_setting("bf16", "yes"), "its setting bf16 is of another kind: 'yes'"),
    "betas of three": (with_setting("betas", [0.9, 0.9, 0.9]), "setting betas is of another kind"),
    "a rate that is null": (with_setting("learning_rate", None), "learning_rate is of another kind: None"),
    "a rate that is NaN": (with_setting("learning_rate", math.nan), "--learning-rate must be .* got nan"),
    "no such schedule": (with_setting("schedule", "spiral"), "--schedule must be one of .* got 'spiral'"),
    "a fingerprint of another kind": (
        with_info("corpus", [{"name": "a", "size": True, "modified": 0, "split": None, "blocks": []}]),
        "no fingerprint of a text",
    ),
    "no step": (without("step"), "step must be an int"),
    "a step in words": (with_info("step", "one"), "step must be an int, at least 0; got 'one'"),
    "seconds that are NaN": (with_info("seconds", math.nan), "seconds must be at least 0, got nan"),
    "no tokenizer": (without("tokenizer"), "its tokenizer must be text, got None"),
    "no settings": (without("settings"), "damaged .its settings must be an object of JSON, got None"),
    "settings in a list": (with_info("settings", ["steps"]), "its settings must be .* got .'steps'."),
    "no such preset": (with_setting("preset", "huge"), "--preset must be one of .* got 'huge'"),
    "a corpus that is a number": (with_info("corpus", 7), "damaged .its corpus must be a list, got 7"),
    "a corpus of names": (with_info("corpus", ["a.txt"]), "no fingerprint of a text: 'a.txt'"),
    "no such objective": (with_info("objective", "both"), "its objective must be one of .* got 'both'"),
    "a shape of null": (with_info("shape", None), "its shape must have .* got None"),
    "a context length that isn't the model's": (
        with_setting("context_length", 17),
        "'context_length': 17}, it has a causal one of .*'context_length': 29}",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_not_gone_on_with(damage, message, finished, tmp_path, capsys):
    tensors, info = result(finished)
    damage(tensors, info)
    save_checkpoint(tmp_path / NAME, tensors, info)
    before = (tmp_path / NAME).read_bytes()
    said = fails(["--resume", "--out", tmp_path, "--steps", 20], capsys, code=2)
    assert str(tmp_path) in said
    assert re.search(message, said), said
    assert (tmp_path / NAME).read_bytes() == before


# The file


def test_a_checkpoint_comes_back(tmp_path):
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(5.0)}
    save_checkpoint(tmp_path / NAME, tensors, {"step": 7, "name": "é"})
    loaded, info = load_checkpoint(tmp_path / NAME)
    assert info == {"step": 7, "name": "é"}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace", "safetensors.torch.save_file"])
def test_a_failed_write_leaves_the_old_checkpoint(failing, tmp_path, monkeypatch):
    save_checkpoint(tmp_path / NAME, {"a": torch.ones(3)}, {"step": 1})

    def fail(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(failing, fail)
    with pytest.raises(OSError, match="couldn't be written: no space left"):
        save_checkpoint(tmp_path / NAME, {"a": torch.zeros(3)}, {"step": 2})
    tensors, info = load_checkpoint(tmp_path / NAME)
    assert info == {"step": 1}
    assert torch.equal(tensors["a"], torch.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append("fsync"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (events.append("rename"), replace(path, to)))
    save_checkpoint(tmp_path / NAME, {"a": torch.ones(3)}, {})
    assert events == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("content", [b"", b"text", b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_checkpoint_is_named(content, tmp_path):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(ValueError, match="is no checkpoint"):
        load_checkpoint(tmp_path / NAME)
    with pytest.raises(ValueError, match="is no checkpoint"):
        load_run(tmp_path)


def test_a_folder_is_no_checkpoint(corpus, tmp_path, capsys):
    (tmp_path / NAME).mkdir()
    for load in load_checkpoint, load_run:
        with pytest.raises(ValueError, match=f"{NAME} is no checkpoint: it is a folder"):
            load(tmp_path / NAME if load is load_checkpoint else tmp_path)
    assert "it is a folder" in fails(command(corpus, tmp_path), capsys, code=2)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_foreign_file_is_said_to_be_one(metadata, corpus, tmp_path, capsys):
    save_file({"weight": torch.ones(3)}, tmp_path / NAME, metadata=metadata)
    for load in load_checkpoint, load_run:
        with pytest.raises(ValueError, match=rf"{NAME} is no checkpoint: .* another program wrote it"):
            load(tmp_path / NAME)
    said = fails(command(corpus, tmp_path), capsys, code=2)
    assert f"{tmp_path / NAME} is no checkpoint: its metadata has no info of a run" in said


def test_a_checkpoint_of_something_else_is_no_run(tmp_path):
    save_checkpoint(tmp_path / NAME, {"a": torch.ones(3)}, {"step": 1})
    with pytest.raises(
        ValueError, match=r"no checkpoint of lmbook\.pretrain, .*: its tokenizer must be text, got None"
    ):
        load_run(tmp_path / NAME)
    with pytest.raises(FileNotFoundError):
        load_run(tmp_path / "nothing")


def test_the_metadata_is_json(finished):
    info = result(finished)[1]
    assert info.keys() == {
        *("settings", "objective", "shape", "tokenizer", "corpus"),
        *("step", "seconds", "loss", "bits_per_byte", "validated_at"),
    }
    assert RunInfo.from_json(info).as_json() == info
    assert info["settings"]["steps"] == 11
    assert json.loads(info["tokenizer"]) == {"kind": "byte"}
