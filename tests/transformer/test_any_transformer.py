"""Any size, prompt, mask and cache: a transformer computes, or says what is wrong."""

import torch
from any_arguments import CAUSAL, MASKED, NAN, masks, numbers, often, outcome, prompts, rows_of_logits, st
from hypothesis import given

from lmbook import CausalLM, MaskedLM

sizes = st.one_of(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8]), numbers)
SIZED = ("context_length", "num_kv_heads", "d_ff", "rope_base", "norm_eps", "tie_embeddings", "dropout")
options = st.fixed_dictionaries({}, optional=dict.fromkeys(SIZED, sizes))
IDS = torch.tensor([[0, 1, 0], [0, 0, 0]])


@often
@given(sizes, sizes, sizes, sizes, options, st.booleans())
def test_a_shape_makes_a_causal_model_or_is_refused(as_readers_run_it, v, d, heads, layers, options, causal):
    model = outcome(lambda: CausalLM(v, d, heads, layers, causal=causal, **options))
    if model is not None and (logits := outcome(lambda: model(IDS))) is not None:
        assert logits.shape == (2, 3, v)


@often
@given(
    sizes,
    sizes,
    st.one_of(st.just(0.15), numbers),
    st.one_of(st.none(), numbers),
    st.one_of(st.just(()), st.lists(numbers, max_size=3), numbers),
    st.one_of(st.just((0.8, 0.1, 0.1)), st.lists(numbers, max_size=4), numbers),
    options,
)
def test_a_shape_makes_a_masked_model_or_is_refused(
    as_readers_run_it, v, d, prob, mask, special, split, options
):
    model = outcome(
        lambda: MaskedLM(
            v, d, 1, 1, prob, mask_token_id=mask, special_token_ids=special, split=split, **options
        )
    )
    if model is not None and (hidden := outcome(lambda: model.create_masked_input(IDS))) is not None:
        assert hidden[1].shape == (2, 3)
        logits = outcome(lambda: model(hidden[0]))
        assert logits is None or logits.shape == (2, 3, v)


@often
@given(prompts, masks, st.one_of(st.none(), st.just("own"), numbers), st.booleans())
def test_a_causal_model_reads_or_says_what_is_wrong(as_readers_run_it, ids, mask, cache, last_only):
    cache = CAUSAL.new_cache(2) if cache == "own" else cache
    logits = outcome(lambda: CAUSAL(ids, padding_mask=mask, cache=cache, last_only=last_only))
    if logits is not None and not logits.is_meta:
        assert logits.shape == (ids.shape[0], 1 if last_only else ids.shape[1], 3)
        assert logits.isfinite().all()
    weights = outcome(lambda: CAUSAL.attention_weights(ids, mask))
    assert weights is None or len(weights) == 2


@often
@given(prompts, masks, prompts, st.sampled_from([None, torch.Generator(), 3]))
def test_a_masked_model_hides_and_reads_or_says_what_is_wrong(as_readers_run_it, ids, mask, words, generator):
    hidden = outcome(
        lambda: MASKED.create_masked_input(ids, padding_mask=mask, word_ids=words, generator=generator)
    )
    if hidden is not None:
        assert hidden[0][~hidden[1]].equal(ids[~hidden[1]])
    logits = outcome(lambda: MASKED(ids, mask))
    assert logits is None or logits.isfinite().all()


@often
@given(rows_of_logits)
def test_states_of_another_width_are_refused(as_readers_run_it, states):
    assert outcome(lambda: CAUSAL.unembed(states)) is None


@often
@given(
    st.one_of(st.just(2), numbers),
    st.lists(
        st.one_of(
            st.tuples(st.just("read"), prompts),
            st.tuples(st.just("truncate"), numbers),
            st.tuples(st.just("select"), st.one_of(prompts, st.lists(st.integers(0, 2)).map(torch.tensor))),
        ),
        max_size=4,
    ),
)
def test_a_cache_is_used_in_any_order_or_says_what_is_wrong(as_readers_run_it, rows, steps):
    cache = outcome(lambda: CAUSAL.new_cache(rows))
    if cache is None:
        return
    for step, value in steps:
        if step == "read":
            logits = outcome(lambda value=value: CAUSAL(value, cache=cache))
            assert logits is None or NAN not in logits
        else:
            outcome(lambda step=step, value=value: getattr(cache, step)(value))
        assert 0 <= cache.length <= 16
        assert cache.batch_size == len(cache.keys[0])
