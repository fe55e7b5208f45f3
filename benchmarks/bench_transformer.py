"""Decoding and training of a 3.7 M-parameter causal model against LlamaForCausalLM with the same weights.

Prints parameter counts, greedy decoding (batch 1, 256 new tokens), the cost of a token at 1,000 against at 50
tokens of context, a training step (batch 16 × 128, the same AdamW on both sides) in float32 and, where the
processor has bfloat16 products, under autocast, and which share of the matrix-product rate it reaches.
Run: python -m benchmarks.bench_transformer
"""

import torch
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.timing import interleaved
from lmbook.transformer import CausalLM

VOCAB, WIDTH, HEADS, LAYERS, CONTEXT = 2048, 256, 4, 4, 1280
BATCH, LENGTH, NEW_TOKENS = 16, 128, 256


def models() -> tuple[CausalLM, LlamaForCausalLM]:
    torch.manual_seed(0)
    ours = CausalLM(VOCAB, WIDTH, HEADS, LAYERS, context_length=CONTEXT)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        num_attention_heads=HEADS,
        num_hidden_layers=LAYERS,
        intermediate_size=ours.config.d_ff,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=ours.config.norm_eps,
        tie_word_embeddings=True,
    )
    theirs = LlamaForCausalLM(config)
    weights = {"model.embed_tokens.weight": ours.embedding.weight, "lm_head.weight": ours.embedding.weight}
    weights["model.norm.weight"] = ours.norm.weight
    for i, block in enumerate(ours.blocks):
        q, k, v = block.attention.qkv.weight.chunk(3)
        gate, up = block.feed_forward.gate_up.weight.chunk(2)
        parts = {"self_attn.q_proj": q, "self_attn.k_proj": k, "self_attn.v_proj": v}
        parts |= {"self_attn.o_proj": block.attention.out.weight, "mlp.gate_proj": gate, "mlp.up_proj": up}
        parts |= {"mlp.down_proj": block.feed_forward.down.weight}
        parts |= {"input_layernorm": block.attention_norm.weight}
        parts |= {"post_attention_layernorm": block.feed_forward_norm.weight}
        weights |= {f"model.layers.{i}.{name}.weight": weight for name, weight in parts.items()}
    theirs.load_state_dict(weights)
    return ours, theirs


def greedy(model: CausalLM, prompt: torch.Tensor, new_tokens: int) -> torch.Tensor:
    """The loop every decoder has: one new token in, the last row's best token out."""
    cache, token, out = model.new_cache(len(prompt)), prompt, [prompt]
    for _ in range(new_tokens):
        token = model(token, cache=cache, last_only=True)[:, -1].argmax(-1, keepdim=True)
        out.append(token)
    return torch.cat(out, 1)


@torch.inference_mode()
def bench_decoding(ours: CausalLM, theirs: LlamaForCausalLM) -> None:
    prompt = torch.randint(VOCAB, (1, 8))
    settings = {"max_new_tokens": NEW_TOKENS, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}

    def generate() -> torch.Tensor:
        return theirs.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)

    assert torch.equal(greedy(ours, prompt, NEW_TOKENS), generate())
    times = interleaved({"lmbook": lambda: greedy(ours, prompt, NEW_TOKENS), "transformers": generate})
    for name, seconds in times.items():
        print(f"decode  {name:13s} {NEW_TOKENS / seconds:8.0f} tokens/s")
    print(f"decode  {times['transformers'] / times['lmbook']:.2f}× transformers (goal: 3)")

    caches = {context: ours.new_cache(1) for context in (50, 1000)}
    for context, cache in caches.items():
        ours(torch.randint(VOCAB, (1, context)), cache=cache)
    token = prompt[:, :1]

    def steps(context: int):
        def run() -> None:
            for _ in range(20):
                caches[context].truncate(context)
                ours(token, cache=caches[context], last_only=True).argmax(-1)

        return run

    times = interleaved({str(context): steps(context) for context in caches}, repetitions=15)
    print(f"token at 1,000 / at 50 of context: {times['1000'] / times['50']:.2f}× (goal: at most 2.0)")


def trainer(model, logits_of, autocast: torch.dtype | None = None):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ids = torch.randint(VOCAB, (BATCH, LENGTH + 1))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=autocast, enabled=autocast is not None):
            logits = logits_of(ids[:, :-1])
        F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten()).backward()
        optimizer.step()

    return step


def has_bfloat16_products() -> bool:
    """True where a bfloat16 product is clearly faster than a float32 one: emulation is slower."""
    a = torch.randn(512, 512)
    half = a.bfloat16()
    times = interleaved({"float32": lambda: a @ a, "bfloat16": lambda: half @ half})
    return times["bfloat16"] < times["float32"] / 1.5


def bench_training(ours: CausalLM, theirs: LlamaForCausalLM) -> None:
    a, b = torch.randn(2048, 1024), torch.randn(1024, 1024)
    tasks = {
        "lmbook": trainer(ours.train(), ours),
        "transformers": trainer(theirs.train(), lambda ids: theirs(ids, use_cache=False).logits),
        "product": lambda: a @ b,
    }
    if bfloat16 := has_bfloat16_products():
        tasks["lmbook bfloat16"] = trainer(ours, ours, torch.bfloat16)
    times = interleaved(tasks, repetitions=9)
    c = ours.config
    weights = sum(p.numel() for p in ours.parameters() if p.ndim == 2)  # the embedding is the output matrix
    tokens = BATCH * LENGTH
    # Forward 2, backward 4 FLOPs a weight; attention's two products where a causal mask leaves half of T².
    flops = tokens * (6 * weights + 6 * c.num_layers * LENGTH * c.d_model)
    rate, peak = flops / times["lmbook"], 2 * 2048 * 1024 * 1024 / times["product"]
    for name in tasks.keys() - {"product"}:
        print(f"train   {name:16s} {times[name] * 1e3:7.1f} ms a step of {tokens} tokens")
    print(f"train   {times['transformers'] / times['lmbook']:.2f}× transformers, both float32 (goal: 1.1)")
    print(f"train   {rate / 1e9:.0f} GFLOP/s, {rate / peak:.0%} of a product's (goal: 80 %)")
    if bfloat16:
        print(f"train   {times['lmbook'] / times['lmbook bfloat16']:.2f}× its float32 in bfloat16 (goal: 2)")
    else:
        print("train   bfloat16: this processor has no bfloat16 products")


def main() -> None:
    ours, theirs = models()
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    print(f"parameters: lmbook {counts[0]:,}, transformers {counts[1]:,}; {torch.get_num_threads()} threads")
    bench_decoding(ours.eval(), theirs.eval())
    bench_training(ours, theirs)


if __name__ == "__main__":
    main()
