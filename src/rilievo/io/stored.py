"""What one file gives back of a prediction."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL.ImageFile import ImageFile

from rilievo.io.decode import load
from rilievo.io.limits import MAX_PIXELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The arrays of one file; None for what it does not hold.

    Attributes:
        values: Of the depth map; NaN or anything else where not ``valid``.
        valid: Comes with ``values``.
        normals: Unit, our axes.
        confidence: In [0, 1].
    """

    values: Float32[np.ndarray, "h w"] | None = None
    valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None

    def lacks(self, part: str) -> bool:
        """Whether "depth", "normals" or "confidence" is not here."""
        return getattr(self, "values" if part == "depth" else part) is None

    def completed_by(self, other: "Stored") -> "Stored":
        """These arrays, and those of ``other`` for what is not here."""
        completed = self
        if self.values is None:
            completed = replace(completed, values=other.values, valid=other.valid)
        if self.normals is None:
            completed = replace(completed, normals=other.normals)
        if self.confidence is None:
            completed = replace(completed, confidence=other.confidence)
        return completed


def with_nan(
    values: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """The values, NaN where they are invalid: how every float file is written."""
    return values if valid.all() else np.where(valid, values, np.float32(np.nan))


def from_nan(values: Float32[np.ndarray, "h w"]) -> Stored:
    """The other way round."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def opened(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open and decode an image that we wrote; ``Image.open`` would warn of the largest ones.

    Raises:
        ValueError: If it promises more pixels than any photograph that we take.
    """
    with plugin(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than we write")
        load(image)
        yield image
