"""The toy language: its grammar, and the automaton that computes its exact probabilities."""

from lmbook.toy.grammar import Grammar, animals
from lmbook.toy.language import ToyLanguage

__all__ = ["Grammar", "ToyLanguage", "animals"]
