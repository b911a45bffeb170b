"""Bands of rows of an image, small enough for the cache of a processor."""

from collections.abc import Iterator

_PIXELS = 1 << 16


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Row slices, in order, that cover an image of shape (height, width, ...)."""
    rows = max(1, _PIXELS // shape[1])
    for first in range(0, shape[0], rows):
        yield slice(first, min(first + rows, shape[0]))
