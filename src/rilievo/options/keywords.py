"""Keywords of Python, for type checkers: ``keywords.pyi`` has them, written from the records."""

from typing import TypedDict


class PhotoKeywords(TypedDict, total=False):
    """Options of ``rilievo.predict`` and ``model.predict`` besides the photograph and the model."""


class PredictKeywords(TypedDict, total=False):
    """Options of ``PredictOptions``, or whole records."""
