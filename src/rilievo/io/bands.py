"""Rows of an image a few at a time: temporary arrays stay in the cache, whatever its size."""

from collections.abc import Iterator

_PIXELS = 1 << 16


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of rows, in order, that cover an image (height, width, ...)."""
    rows = max(1, _PIXELS // shape[1])
    for first in range(0, shape[0], rows):
        yield slice(first, min(first + rows, shape[0]))
