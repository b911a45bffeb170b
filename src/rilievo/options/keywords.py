"""Keywords of Python, for type checkers: ``keywords.pyi`` has them, written from the records."""

from typing import TypedDict


class PhotoKeywords(TypedDict, total=False):
    """Options of ``model.predict`` besides the photograph."""


class LoadKeywords(TypedDict, total=False):
    """Options of ``rilievo.load_model`` besides the model."""


class ImageKeywords(PhotoKeywords, total=False):
    """Options of ``rilievo.predict`` besides the photograph and the model."""


class PredictKeywords(TypedDict, total=False):
    """Options of ``PredictOptions``, or whole records."""
