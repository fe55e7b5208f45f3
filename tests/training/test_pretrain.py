import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lmbook.training import load_run, pretrain
from lmbook.training.checkpoint import NAME, load_checkpoint, save_checkpoint
from lmbook.training.pretrain import batch, main

ROOT = Path(__file__).parents[2]
SIZES = {"d-model": 12, "num-heads": 3, "num-layers": 2, "context-length": 29, "batch-size": 4}
SHAPE = [word for name, size in SIZES.items() for word in (f"--{name}", str(size))]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    path = tmp_path_factory.mktemp("corpus") / "text.txt"
    path.write_text("".join(f"The {n} cats sat on {n + 2} mats, é.\n" for n in range(500)), encoding="utf-8")
    return path


def command(corpus, out, steps=11, extra=()):
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


# Batches


def test_a_batch_depends_on_seed_and_step_alone():
    ids = torch.arange(1000) * 3
    rows = batch(ids, 5, 7, 4, 11)
    assert rows.shape == (4, 12)
    assert torch.equal(rows[:, 1:] - rows[:, :-1], torch.full((4, 11), 3))
    torch.manual_seed(1)
    assert torch.equal(rows, batch(ids, 5, 7, 4, 11))
    assert not torch.equal(rows, batch(ids, 5, 8, 4, 11))
    assert not torch.equal(rows, batch(ids, 6, 7, 4, 11))


def test_every_place_of_the_text_is_drawn():
    ids = torch.arange(10)
    first = Counter(int(i) for step in range(300) for i in batch(ids, 0, step, 5, 3)[:, 0])
    assert first.keys() == set(range(7))  # the last row is 6, 7, 8, 9
    chi_square = sum((n - 1500 / 7) ** 2 / (1500 / 7) for n in first.values())
    assert chi_square < 22.5  # 99.9 % of 6 degrees of freedom


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
    ids = torch.tensor(tokenizer.encode(pretrain.read_corpus(str(corpus))[1]))
    nats = num_bytes = 0
    with torch.inference_mode():
        for begin in range(0, len(ids) - 29, 29):
            row = ids[begin : begin + 30]
            nats += float(F.cross_entropy(model(row[None, :-1])[0], row[1:], reduction="sum"))
            num_bytes += sum(len(tokenizer.tokens[i]) for i in row[1:])
    assert result(tmp_path)[1]["bits_per_byte"] == pytest.approx(nats / num_bytes / math.log(2), abs=1e-5)


def test_minutes_end_a_run(corpus, tmp_path):
    arguments = command(corpus, tmp_path)
    at = arguments.index("--steps")
    arguments[at : at + 2] = ["--minutes", "0.02"]
    main(arguments)
    info = result(tmp_path)[1]
    assert info["step"] > 3
    assert 1.2 <= info["seconds"] < 30
    main(arguments)  # nothing is left to do
    assert result(tmp_path)[1] == info


def test_bf16_comes_to_nearly_the_same(corpus, finished, tmp_path):
    main(command(corpus, tmp_path, extra=["--bf16"]))
    tensors, info = result(tmp_path)
    assert info["loss"] == pytest.approx(result(finished)[1]["loss"], rel=0.01)
    assert info["loss"] != result(finished)[1]["loss"]
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_characters_of_the_validation_text_are_known(corpus, tmp_path):
    text = corpus.read_text(encoding="utf-8") + "ÿ" * 5
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    main(command(tmp_path / "text.txt", tmp_path / "run", steps=1, extra=["--tokenizer", "char"]))
    assert "ÿ" in load_run(tmp_path / "run")[1].tokens


# Killed, and started again


@pytest.mark.parametrize("deaths", [[1], [2, 1], [3]])
def test_a_run_that_died_ends_as_if_nothing_had_happened(deaths, corpus, finished, tmp_path, monkeypatch):
    save = pretrain.Run.save
    for saves in deaths:
        left = iter(range(saves))

        def save_or_die(run, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            save(run)

        monkeypatch.setattr(pretrain.Run, "save", save_or_die)
        with pytest.raises(KeyboardInterrupt):
            main(command(corpus, tmp_path))
    monkeypatch.setattr(pretrain.Run, "save", save)
    main(command(corpus, tmp_path))
    assert_same(tmp_path, finished)


def kill_when(condition, corpus, out, steps):
    """Start a run, SIGKILL it as soon as `condition()` holds; True if it was killed before its end."""
    (process,) = start(command(corpus, out, steps))
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
            kills += kill_when(lambda: any(out.glob("*.partial")), corpus, out, 400)
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
    finish(start(command(corpus, out, 400)))
    assert_same(out, tmp_path / "whole", tolerance=1e-6)
    assert not list(out.glob("*.partial"))


def test_sigkill(corpus, finished, tmp_path):
    assert kill_when(lambda: (tmp_path / NAME).exists(), corpus, tmp_path, 11)
    assert 0 < result(tmp_path)[1]["step"] < 11
    main(command(corpus, tmp_path))
    assert_same(tmp_path, finished, tolerance=1e-6)


# Many processes


def test_two_processes_give_the_result_of_one(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path), world_size=2))
    assert_same(tmp_path, finished, tolerance=1e-5)


@pytest.mark.slow
def test_sharded_processes_give_the_result_of_one_and_go_on(corpus, finished, tmp_path):
    finish(start(command(corpus, tmp_path / "a", extra=["--fsdp"]), world_size=2))
    assert_same(tmp_path / "a", finished, tolerance=1e-5)
    # began sharded on two, died, goes on alone, dies, and ends sharded on two
    for world_size in 2, 1, 2:
        processes = start(command(corpus, tmp_path / "b", 40, ["--fsdp"] * (world_size - 1)), world_size)
        seen = result(tmp_path / "b")[1]["step"] if (tmp_path / "b" / NAME).exists() else 0
        while not (tmp_path / "b" / NAME).exists() or result(tmp_path / "b")[1]["step"] <= seen:
            assert processes[0].poll() is None, processes[0].communicate()
            time.sleep(0.05)
        end(processes)
    finish(start(command(corpus, tmp_path / "b", 40, ["--fsdp"]), world_size=2))
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
        (["--batch-size", -3], "--batch-size must be at least 1, got -3"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0 and finite, got nan"),
        (["--learning-rate", 0], "--learning-rate must be above 0 and finite, got 0.0"),
        (["--d-model", 13], "--d-model 13 must be an even multiple of --num-heads 3"),
        (["--d-model", 9], "--d-model 9 must be an even multiple of --num-heads 3"),
        (
            ["--tokenizer", "bpe", "--vocab-size", 100],
            "--vocab-size must be at least 256, the bytes; got 100",
        ),
        (["--tokenizer", "words"], "invalid choice: 'words'"),
        (["--corpus", "no such file"], "--corpus must be one of shakespeare, speeches or a file"),
        (["--seed", -1], "--seed must be at least 0, got -1"),
        (["--checkpoint-every", 0], "--checkpoint-every must be at least 1"),
        (["--fsdp"], "start them with torchrun"),
        (["--context-length", 5000], "--context-length 5000 needs more than 839 tokens of validation text"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_bad_arguments_end_with_code_2_before_any_work(extra, message, corpus, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(command(corpus, tmp_path / "out", extra=extra))
    assert exit_info.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_batch_that_cannot_be_shared_is_refused(corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(SystemExit):
        main(command(corpus, tmp_path / "out"))
    assert "--batch-size 4 can't be shared by 3 processes" in capsys.readouterr().err


def test_the_folder_of_another_run_is_refused(corpus, finished, capsys):
    before = (finished / NAME).read_bytes()
    for extra, message in (["--seed", 1], "seed 0, not 1"), (["--d-model", 24], "d_model 12, not 24"):
        with pytest.raises(SystemExit) as exit_info:
            main(command(corpus, finished, extra=extra))
        assert exit_info.value.code == 2
        assert message in capsys.readouterr().err
    assert (finished / NAME).read_bytes() == before


def test_a_loss_that_is_no_number_ends_the_run_and_spares_the_checkpoint(corpus, tmp_path, monkeypatch):
    losses = pretrain.Run._losses
    monkeypatch.setattr(
        pretrain.Run, "_losses", lambda run, *a: losses(run, *a) * (math.nan if run.info["step"] >= 4 else 1)
    )
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        main(command(corpus, tmp_path))
    assert result(tmp_path)[1]["step"] == 3


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
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(tmp_path / NAME, {"a": torch.zeros(3)}, {"step": 2})
    tensors, info = load_checkpoint(tmp_path / NAME)
    assert info == {"step": 1}
    assert torch.equal(tensors["a"], torch.ones(3))


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


def test_a_checkpoint_of_something_else_is_no_run(tmp_path):
    save_checkpoint(tmp_path / NAME, {"a": torch.ones(3)}, {"step": 1})
    with pytest.raises(ValueError, match=r"not written by lmbook\.pretrain: it lacks 'tokenizer'"):
        load_run(tmp_path / NAME)
    with pytest.raises(FileNotFoundError):
        load_run(tmp_path / "nothing")


def test_the_metadata_is_json(finished):
    info = result(finished)[1]
    assert info["settings"]["steps"] == 11
    assert json.loads(info["tokenizer"]) == {"kind": "byte"}
