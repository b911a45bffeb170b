"""How much disk space and memory the outputs of a photograph take at least."""

from collections.abc import Collection, Iterable

from rilievo.prediction.output import OUTPUTS, Need

MEMORY_PER_PIXEL = 6
"""Memory for each pixel of a photograph and its depth, whatever is written [bytes]."""
_BYTES_BY_PART = {Need.DEPTH: 5, Need.NORMALS: 12, Need.CONFIDENCE: 4, Need.SKY: 1, Need.PHOTO: 3}
"""Bytes for each pixel that a part takes in a file that holds everything."""


def min_bytes_per_pixel(names: Iterable[str], predicted: Collection[Need]) -> int:
    """Smallest size of outputs on disk for each pixel [bytes], if a model predicts these parts."""
    stored_parts = {*predicted, Need.PHOTO}
    bytes_of_everything = sum(size for part, size in _BYTES_BY_PART.items() if part in stored_parts)
    outputs = [OUTPUTS[name] for name in names]
    return sum(
        bytes_of_everything if output.holds_everything else output.bytes_per_pixel
        for output in outputs
    )


def min_memory(names: Iterable[str], pixels: int, points: int) -> int:
    """Smallest memory for writing a photograph's outputs, one after the other [bytes].

    ``points`` is the largest number of points that a surface may have.
    """
    points = min(points, pixels)
    outputs = [OUTPUTS[name] for name in names]
    memory_by_output = [
        output.memory_per_pixel * pixels + output.memory_per_point * points for output in outputs
    ]
    return MEMORY_PER_PIXEL * pixels + max(memory_by_output, default=0)
