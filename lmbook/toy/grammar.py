"""The grammar of the book's toy language: animals at sea, on a farm and in a forest.

A grammar is a table `{state: {word: (probability, next state)}}`; every text starts in its first state. In
each state a word leads to one next state, so the words read so far determine the state: the language is
*unifilar*, and its next-word probabilities are looked up, not estimated.

A state holds what a reader of the language must remember:

- the *topic*, set by the last subject noun; the next subject stays on it nine times in ten;
- the *number* of the subject: its verb agrees with it, even across a relative clause or a place, and the next
  sentence starts with "it" or "they" accordingly.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence

from lmbook.interface import check_number

Grammar = dict[Hashable, dict[str, tuple[float, Hashable]]]

NOUNS = {
    "sea": ["gull", "seal", "whale", "crab", "pelican"],
    "farm": ["goat", "hen", "horse", "pig", "duck"],
    "forest": ["fox", "bear", "wolf", "squirrel", "badger"],
}
PLACES = {"sea": ["rock", "harbour"], "farm": ["barn", "gate"], "forest": ["oak", "stream"]}
INTRANSITIVE = {"sea": ["swim", "dive"], "farm": ["graze", "rest"], "forest": ["hide", "climb"]}
ANYWHERE = ["sleep", "wait", "listen"]
TRANSITIVE = ["see", "hear", "follow", "like", "fear"]
ADJECTIVES = ["young", "small", "hungry", "brave", "quiet"]
DETERMINERS = {"the": 0.5, "a": 0.16, "some": 0.14, "every": 0.11, "many": 0.09}
NUMBER_OF = {"the": "either", "a": "singular", "every": "singular", "some": "plural", "many": "plural"}
PREPOSITIONS = {"near": 0.5, "behind": 0.28, "beside": 0.22}
BEFORE_VERB = {"often": 0.6, "never": 0.4}
LAST_WORD = {"today": 0.5, "again": 0.3, "alone": 0.2}
PRONOUN = {"singular": "it", "plural": "they"}
IRREGULAR = {"fox": "foxes", "wolf": "wolves"}

TOPICS = {"sea": 0.4, "farm": 0.35, "forest": 0.25}
P_SAME_TOPIC = 0.9
P_SINGULAR = 0.55  # after "the", which allows both numbers
P_PRONOUN = 0.2
P_ADJECTIVE = 0.2


def _ranked(words: list[str], total: float = 1.0) -> dict[str, float]:
    """Share `total` among words as n : n−1 : … : 1, so that some words are common and some rare."""
    n = len(words)
    return {word: total * 2 * (n - i) / (n * (n + 1)) for i, word in enumerate(words)}


def _scaled(words: dict[str, float], total: float) -> dict[str, float]:
    return {word: total * p for word, p in words.items()}


def _inflect_verb(verb: str, number: str) -> str:
    return verb if number == "plural" else verb + "s"


def _nouns(topic: str, number: str, total: float) -> Iterator[tuple[str, str, float]]:
    """Yield (noun, its number, probability) for a determiner that allows `number`, "either" for both."""
    for noun, p in _ranked(NOUNS[topic], total).items():
        if number in ("singular", "either"):
            yield noun, "singular", p * (P_SINGULAR if number == "either" else 1)
        if number in ("plural", "either"):
            yield IRREGULAR.get(noun, noun + "s"), "plural", p * (1 - P_SINGULAR if number == "either" else 1)


def _topics(last: str | None) -> dict[str, float]:
    if last is None:
        return TOPICS
    others = (1 - P_SAME_TOPIC) / (1 - TOPICS[last])
    return {topic: P_SAME_TOPIC if topic == last else others * p for topic, p in TOPICS.items()}


def _sentence_start(topic, number, _):
    determiners = DETERMINERS
    if topic is not None:
        yield PRONOUN[number], P_PRONOUN, ("verb", topic, number, None)
        determiners = _scaled(DETERMINERS, 1 - P_PRONOUN)
    for word, p in determiners.items():
        yield word, p, ("subject noun", topic, NUMBER_OF[word], "or adjective")


def _subject_noun(topic, number, adjective):
    if adjective:
        for word, p in _ranked(ADJECTIVES, P_ADJECTIVE).items():
            yield word, p, ("subject noun", topic, number, None)
    for new_topic, share in _topics(topic).items():
        total = share * (1 - P_ADJECTIVE if adjective else 1)
        for noun, its_number, p in _nouns(new_topic, number, total):
            yield noun, p, ("after subject", new_topic, its_number, None)


def _after_subject(topic, number, _):
    yield "that", 0.3, ("relative clause", topic, number, None)
    for word, p in _scaled(PREPOSITIONS, 0.15).items():
        yield word, p, ("the place", topic, number, "verb")
    yield from _verb(topic, number, None, total=0.55)


def _relative_clause(topic, number, _):
    """Either "that SEES the goat", agreeing with the head, or "that the goat SEES", with the goat."""
    for verb, p in _ranked(TRANSITIVE, 0.35).items():
        yield _inflect_verb(verb, number), p, ("object", topic, number, "verb")
    for word, p in _scaled(DETERMINERS, 0.65).items():
        yield word, p, ("inner noun", topic, number, NUMBER_OF[word])


def _inner_noun(topic, number, inner):
    for noun, inner_number, p in _nouns(topic, inner, 1.0):
        yield noun, p, ("after inner noun", topic, number, inner_number)


def _after_inner_noun(topic, number, inner_number):
    for word, p in _scaled(PREPOSITIONS, 0.25).items():
        yield word, p, ("the place", topic, number, ("inner verb", inner_number))
    yield from _inner_verb(topic, number, inner_number, total=0.75)


def _inner_verb(topic, number, inner_number, total=1.0):
    for verb, p in _ranked(TRANSITIVE, total).items():
        yield _inflect_verb(verb, inner_number), p, ("verb", topic, number, None)


def _the_place(topic, number, then):
    yield "the", 1.0, ("place", topic, number, then)


def _place(topic, number, then):
    slot, detail = then if isinstance(then, tuple) else (then, None)
    for word, p in _ranked(PLACES[topic]).items():
        yield word, p, (slot, topic, number, detail)


def _verb(topic, number, adverb, total=1.0):
    """The main verb; `adverb` says whether "often" or "never" has been said already."""
    if adverb is None:
        for word, p in _scaled(BEFORE_VERB, 0.15 * total).items():
            yield word, p, ("verb", topic, number, "adverb said")
        total *= 0.85
    for verb, p in (_ranked(ANYWHERE, 0.24 * total) | _ranked(INTRANSITIVE[topic], 0.28 * total)).items():
        yield _inflect_verb(verb, number), p, ("after verb", topic, number, None)
    for verb, p in _ranked(TRANSITIVE, 0.48 * total).items():
        yield _inflect_verb(verb, number), p, ("object", topic, number, "after verb")


def _object(topic, number, then):
    for word, p in DETERMINERS.items():
        yield word, p, ("object noun", topic, number, (NUMBER_OF[word], then))


def _object_noun(topic, number, detail):
    allowed, then = detail
    for noun, _, p in _nouns(topic, allowed, 1.0):
        yield noun, p, (then, topic, number, None)


def _after_verb(topic, number, _):
    yield ".", 0.6, ("sentence start", topic, number, None)
    yield "and", 0.15, ("verb", topic, number, "adverb said")
    for word, p in _scaled(LAST_WORD, 0.15).items():
        yield word, p, ("full stop", topic, number, None)
    for word, p in _scaled(PREPOSITIONS, 0.1).items():
        yield word, p, ("the place", topic, number, "full stop")


def _full_stop(topic, number, _):
    yield ".", 1.0, ("sentence start", topic, number, None)


SLOTS = {
    "sentence start": _sentence_start,
    "subject noun": _subject_noun,
    "after subject": _after_subject,
    "relative clause": _relative_clause,
    "inner noun": _inner_noun,
    "after inner noun": _after_inner_noun,
    "inner verb": _inner_verb,
    "the place": _the_place,
    "place": _place,
    "verb": _verb,
    "object": _object,
    "object noun": _object_noun,
    "after verb": _after_verb,
    "full stop": _full_stop,
}


def animals() -> Grammar:
    """Return the book's grammar; a state is (what comes next, topic, number of the subject, detail)."""
    start = ("sentence start", None, None, None)
    grammar, waiting = {}, [start]
    while waiting:
        state = waiting.pop(0)
        if state not in grammar:
            slot, *memory = state
            grammar[state] = {word: (p, after) for word, p, after in SLOTS[slot](*memory)}
            waiting.extend(after for _, after in grammar[state].values())
    return grammar


def split_words(text: str) -> list[str]:
    """The words of `text`; a full stop is a word of its own.

    >>> split_words("the gull swims.")
    ['the', 'gull', 'swims', '.']
    """
    return text.replace(".", " . ").split()


def check_grammar(grammar: object) -> None:
    """Raise unless `grammar` is a table of words with probabilities that sum to one in each state.

    Raises:
        TypeError: another kind of object.
        ValueError: no state, an undefined next state, a word that `split_words` would cut, probabilities not
            above 0 or that don't sum to one.
    """
    if not isinstance(grammar, Mapping):
        raise TypeError(
            f"a grammar is a table {{state: {{word: (probability, next state)}}}}, got {grammar!r}"
        )
    if not grammar:
        raise ValueError("a grammar needs at least one state")
    for state, row in grammar.items():
        if not isinstance(row, Mapping):
            raise TypeError(f"state {state!r} needs a row {{word: (probability, next state)}}, got {row!r}")
        for word, edge in row.items():
            if not isinstance(word, str) or not isinstance(edge, Sequence) or len(edge) != 2:
                raise TypeError(
                    f"state {state!r} needs words with (probability, next state), got {word!r}: {edge!r}"
                )
            if split_words(word) != [word]:
                raise ValueError(
                    f'state {state!r} needs words without space or full stop, or "."; got {word!r}'
                )
            p, after = edge
            check_number(f"P({word!r}) after state {state!r}", p, "(0, inf)")
            if not isinstance(after, Hashable) or after not in grammar:
                raise ValueError(f"{word!r} after state {state!r} leads to the undefined state {after!r}")
        total = math.fsum(p for p, _ in row.values())
        if not abs(total - 1) <= 1e-9:
            raise ValueError(f"the probabilities after state {state!r} sum to {total}, not to 1")
