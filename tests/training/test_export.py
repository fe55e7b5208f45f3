"""transformers reads an exported model, and computes the same."""

import json
import unicodedata

import pytest
import torch

from lmbook.tokenizer import (
    PIECES,
    BPETokenizer,
    ByteTokenizer,
    CharTokenizer,
    PretrainedTokenizer,
    WordTokenizer,
)
from lmbook.tokenizer.pretrained import byte_of
from lmbook.training import load_run
from lmbook.training.checkpoint import save_checkpoint
from lmbook.training.export import export, fast_tokenizer
from lmbook.training.pretrain import main
from lmbook.transformer import CausalLM, MaskedLM

AWKWARD = [
    "",
    " ",
    "The seal's 12 gulls;  and\n\n the\trock_x  ",
    "é日本🙂 ½ ² Ⅷ १२ a\u0301 \x1c\x1d\x85\xa0\u2003x",
    "".join(chr(c) for c in range(1, 0x300)),
    "_ __ a_b 3_4 'tis—so…",
]


def run_folder(path, tokenizer):
    torch.manual_seed(0)
    shape = {"d_model": 24, "num_heads": 3, "num_layers": 2, "context_length": 40}
    model = CausalLM(tokenizer.vocab_size, **shape)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.1)  # norms too
    tensors = {f"model.{name}": weight.detach() for name, weight in model.named_parameters()}
    path.mkdir()
    save_checkpoint(
        path / "checkpoint.safetensors", tensors, {"shape": shape, "tokenizer": tokenizer.to_json()}
    )
    return path


TOKENIZERS = {
    "byte": ByteTokenizer(),
    "char": CharTokenizer.train("".join(AWKWARD)),
    "bpe": BPETokenizer.train("The seal's gulls and the rock and the seal. é日本🙂\n\n" * 9, 310),
}


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
class TestExported:
    def test_the_logits_are_equal(self, tokenizer, tmp_path):
        transformers = pytest.importorskip("transformers")
        run = run_folder(tmp_path / "run", tokenizer)
        export(run, tmp_path / "model")
        model, _ = load_run(run)
        theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model").eval()
        ids = torch.randint(tokenizer.vocab_size, (3, 37), generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            torch.testing.assert_close(theirs(ids).logits, model(ids), atol=1e-5, rtol=1e-5)
        assert theirs.num_parameters() == sum(weight.numel() for weight in model.parameters())

    def test_the_ids_are_equal(self, tokenizer, tmp_path):
        transformers = pytest.importorskip("transformers")
        export(run_folder(tmp_path / "run", tokenizer), tmp_path / "model")
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
        assert theirs.model_max_length == 40
        for text in AWKWARD:
            ids = theirs.encode(text)
            assert ids == tokenizer.encode(text)
            assert theirs.decode(ids) == text


def test_every_character_falls_into_a_piece_of_the_same_kind():
    """What stands beside a character tells its class; characters unknown to Python are left out."""
    fast = fast_tokenizer(BPETokenizer([]))
    spelling = byte_of()
    characters = [chr(c) for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    differing = []
    for begin in range(0, len(characters), 500):
        text = "".join(f"1{c}1a{c}a.{c}. {c} {c}" for c in characters[begin : begin + 500])
        pieces = [piece for piece, _ in fast.pre_tokenizer.pre_tokenize_str(text)]
        theirs = [bytes(spelling[char] for char in piece).decode() for piece in pieces]
        if theirs != PIECES.findall(text):
            differing.append(begin)
    assert differing == []


def test_the_command(tmp_path, capsys):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 99, encoding="utf-8")
    sizes = {"d-model": 8, "num-heads": 2, "num-layers": 1, "context-length": 8, "batch-size": 2, "steps": 1}
    shape = [f"--{name}={size}" for name, size in sizes.items()]
    main(["--corpus", str(text), "--out", str(tmp_path / "run"), *shape])
    main(["export", str(tmp_path / "run"), str(tmp_path / "model")])
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in (tmp_path / "model").iterdir()} == names
    assert json.loads((tmp_path / "model" / "config.json").read_text())["num_attention_heads"] == 2
    for arguments, message in (
        (["export", str(tmp_path / "run"), str(tmp_path / "model")], "has something in it already"),
        (["export", str(tmp_path / "nothing"), str(tmp_path / "other")], "nothing"),
    ):
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        assert exit_info.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("tokenizer", [WordTokenizer.train("a b"), None])
def test_other_tokenizers_are_refused(tokenizer):
    if tokenizer is None:
        tokens = [*byte_of(), "<|im_end|>"]
        tokenizer = PretrainedTokenizer(tokens, [], [256])
    with pytest.raises(ValueError, match="export knows the tokenizers char, byte and bpe; got"):
        fast_tokenizer(tokenizer)


def test_a_masked_run_is_refused(tmp_path):
    torch.manual_seed(0)
    shape = {"d_model": 8, "num_heads": 2, "num_layers": 1, "context_length": 8}
    tensors = {f"model.{n}": w.detach() for n, w in MaskedLM(256, **shape).named_parameters()}
    info = {"shape": shape, "tokenizer": ByteTokenizer().to_json(), "objective": "masked"}
    save_checkpoint(tmp_path / "checkpoint.safetensors", tensors, info)
    with pytest.raises(ValueError, match="has a masked one"):
        export(tmp_path, tmp_path / "model")
    assert not (tmp_path / "model").exists()
