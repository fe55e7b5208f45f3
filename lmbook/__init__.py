"""lmbook: the companion package of the executable book *Language Model Fundamentals*.

The public names of the book can be imported from here; a module is loaded when one of its names is first
used.

The rooms, from the bottom up; a module imports only what stands below it:

    interface                 what a language model is; its cache; argument checks
    ngram  window  corpora    counts; a network of a window; texts
    toy  tokenizer            the language whose probabilities are known; text to ids and back
    transformer               the trunk, its caches, the causal and the masked model
    evaluation                perplexity, bits per byte, calibration
    comparison                whole continuations, two models on the same passages
    decoding                  filters, constraints, sampling, streams, searches, speculative decoding
    training  smollm2         loop, objectives, recipes, `pretrain`; the pretrained model
    checklist  exercises      checks for readers' own code; exercises that answer
    widgets                   their Python and their views; `core` computes in the page, `kit` draws
"""

from importlib import import_module

_HOME = {
    "decoding": [
        *("beam_search", "contrastive_search", "exhaustive_search", "greedy_decode", "left_pad"),
        *("nucleus_decode", "sample_decode", "SpeculationStats", "speculative_decode", "top_k_decode"),
    ],
    "evaluation": ["bits_per_byte", "cross_entropy", "perplexity", "pseudo_perplexity"],
    "interface": ["LanguageModel"],
    "ngram": ["NGramLM"],
    "smollm2": ["load_smollm2", "load_smollm2_tokenizer"],
    "toy": ["ToyLanguage"],
    "training": ["train_clm", "train_mlm"],
    "transformer": ["CausalLM", "MaskedLM"],
    "window": ["WindowLM"],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lmbook' has no attribute {name!r}")
    return getattr(import_module(f"lmbook.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
