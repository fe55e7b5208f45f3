"""The laboratory: a model that is trained in the page."""

from lmbook.widgets.laboratory.laboratory import Laboratory

__all__ = ["Laboratory"]
