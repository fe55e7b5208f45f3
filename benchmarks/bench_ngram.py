"""Counting trigrams in a million words of Shakespeare and the speeches: NGramLM.fit against nltk.lm's fit.

Both get prepared input: NGramLM a tensor of ids; nltk the vocabulary and, in lines of 20 words, the n-grams
of orders 1 to 3. Run: python -m benchmarks.bench_ngram
"""

import torch
from nltk.lm import MLE, Vocabulary
from nltk.util import everygrams

from benchmarks.timing import interleaved
from lmbook.corpora import load_shakespeare, load_speeches
from lmbook.ngram import NGramLM

NUM_TOKENS, ORDER, ROW = 1_000_000, 3, 20


def main() -> None:
    words = " ".join([*load_shakespeare().values(), *load_speeches().values()]).split()[:NUM_TOKENS]
    number = {word: i for i, word in enumerate(dict.fromkeys(words))}
    ids = torch.tensor([number[word] for word in words])
    ngrams = [list(everygrams(words[i : i + ROW], max_len=ORDER)) for i in range(0, NUM_TOKENS, ROW)]
    vocabulary = Vocabulary(words)

    def nltk_fit() -> None:
        MLE(ORDER, vocabulary).fit(ngrams)

    def fit(smoothing: str):
        return lambda: NGramLM(ORDER, len(number), smoothing=smoothing).fit(ids.view(-1, ROW))

    seconds = interleaved({"nltk.lm MLE": nltk_fit, "mle": fit("mle"), "kneser-ney": fit("kneser-ney")})
    threads = torch.get_num_threads()
    print(f"trigrams of {NUM_TOKENS:,} words, {len(number):,} of them different, {threads} thread(s)")
    for name, time in seconds.items():
        ratio = seconds["nltk.lm MLE"] / time
        print(f"{name:12s} {time:7.3f} s {NUM_TOKENS / time:12,.0f} tokens/s {ratio:6.1f}× nltk")


if __name__ == "__main__":
    main()
