"""Keywords for type checkers, in ``keywords.pyi``."""

from typing import TypedDict


class PhotoKeywords(TypedDict, total=False):
    """Options of ``model.predict``."""


class LoadKeywords(TypedDict, total=False):
    """Options of ``rilievo.load_model``."""


class ImageKeywords(PhotoKeywords, total=False):
    """Options of ``rilievo.predict``."""


class StreamKeywords(TypedDict, total=False):
    """Options of ``rilievo.stream``."""


class PredictKeywords(TypedDict, total=False):
    """Options of ``PredictOptions``, or whole records."""
