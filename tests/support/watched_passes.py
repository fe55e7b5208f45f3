"""Every tensor of a model's own forward pass, caught by hooks, with parts of the model switched off."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import lmbook.transformer.model as transformer
from lmbook.transformer import CausalLM
from lmbook.widgets.packing import rounded


def watched(model: CausalLM, ids: Tensor, off: list[str]) -> dict[str, Tensor]:
    """The tensors of the model's own pass over ids (1, T), with hooks that switch off and hooks that look."""
    found, config = {}, model.config
    handles = []

    def zero_heads(layer: int) -> Callable:
        def hook(_: torch.nn.Module, args: tuple) -> tuple:
            heads = args[0].clone().unflatten(-1, (config.num_heads, -1))
            for head in range(config.num_heads):
                if f"head {layer}.{head + 1}" in off:
                    heads[..., head, :] = 0
            return (heads.flatten(-2),)

        return hook

    def catch(name: str, module: torch.nn.Module, *, of_input: bool = False) -> None:
        def hook(_: torch.nn.Module, args: tuple, output: Tensor) -> None:
            found[name] = (args[0] if of_input else output)[0]

        handles.append(module.register_forward_hook(hook))

    catch("embedding", model.embedding)
    for n, block in enumerate(model.blocks, 1):
        handles.append(block.attention.out.register_forward_pre_hook(zero_heads(n)))
        if f"feed-forward {n}" in off:
            handles.append(block.feed_forward.register_forward_hook(lambda _, args, out: out * 0))
        catch(f"{n}.attention_norm", block.attention_norm)
        catch(f"{n}.qkv", block.attention.qkv)
        catch(f"{n}.context", block.attention.out, of_input=True)
        catch(f"{n}.attention", block.attention.out)
        catch(f"{n}.after_attention", block.feed_forward_norm, of_input=True)
        catch(f"{n}.feed_forward_norm", block.feed_forward_norm)
        catch(f"{n}.gate_up", block.feed_forward.gate_up)
        catch(f"{n}.gated", block.feed_forward.down, of_input=True)
        catch(f"{n}.feed_forward", block.feed_forward)
        catch(f"{n}.output", block)
    catch("norm", model.norm)
    found["logits"] = model(ids)[0]
    for handle in handles:
        handle.remove()
    for n, block in enumerate(model.blocks, 1):
        found |= attention_tensors(block.attention, found, n)
    found["probabilities"] = found["logits"].softmax(-1)
    return found


def attention_tensors(attention: torch.nn.Module, found: dict[str, Tensor], n: int) -> dict[str, Tensor]:
    """What attention makes inside one call, from the model's own methods on what the hooks caught."""
    c, normed = attention.config, found[f"{n}.attention_norm"][None]
    qkv = found.pop(f"{n}.qkv").unflatten(-1, (-1, c.d_head)).transpose(0, 1)
    query, key, value = qkv.split((c.num_heads, c.num_kv_heads, c.num_kv_heads))
    gate, up = found.pop(f"{n}.gate_up").chunk(2, dim=-1)
    tables = transformer.rotary_tables(c.context_length, c.d_head, c.rope_base, normed.device)
    cos, sin = (table[: normed.shape[1]] for table in tables)
    rotated_query, rotated_key, _ = (x[0] for x in attention.project(normed, cos, sin))
    keys = rotated_key.repeat_interleave(c.num_heads // c.num_kv_heads, dim=0)
    mask = transformer.attention_mask(normed.shape[1], normed.shape[1], c.causal)
    scores = (rotated_query @ keys.mT / math.sqrt(c.d_head)).masked_fill(~mask[0], -math.inf)
    named = {
        "query": query, "key": key, "value": value, "gate": gate, "up": up, "scores": scores,
        "rotated_query": rotated_query, "rotated_key": rotated_key,
        "weights": attention.weights(normed, cos, sin, mask)[0],
        "context": found[f"{n}.context"].unflatten(-1, (c.num_heads, -1)).transpose(0, 1),
    }  # fmt: skip
    return {f"{n}.{part}": tensor for part, tensor in named.items()}


@torch.no_grad()
def expected(model: CausalLM, ids: Tensor, off: list[str]) -> dict[str, Tensor]:
    """The tensors that the page should have: of the model with its float16 weights, in float64."""
    twin = rounded(model).double()
    if "mask" in off:
        object.__setattr__(twin.config, "causal", False)
    with pytest.MonkeyPatch.context() as patch:
        if "positions" in off:
            patch.setattr(transformer, "rotate", lambda x, cos, sin: x)
        return watched(twin, ids, off)
