"""The playground: the book's models with the reader's own prompt."""

from lmbook.widgets.playground.playground import Playground, PlaygroundModel

__all__ = ["Playground", "PlaygroundModel"]
