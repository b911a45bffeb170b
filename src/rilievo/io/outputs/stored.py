"""Arrays of a saved file, as its reader returns them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32
from PIL.ImageFile import ImageFile

from rilievo.io.files.limits import MAX_PIXELS, printable
from rilievo.io.files.tiff_directories import check_directories
from rilievo.io.photographs.decode import load as load_pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Arrays of one file; None for parts that it does not hold.

    ``is_anchored`` says that its depth is the one of which surfaces are made.
    """

    values: Float32[np.ndarray, "h w"] | None = None
    valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None
    sky: Bool[np.ndarray, "h w"] | None = None
    is_anchored: bool = False

    def lacks(self, part: str) -> bool:
        """Whether "depth", "normals", "confidence" or "sky" is missing."""
        return getattr(self, "values" if part == "depth" else part) is None

    def completed_by(self, other: "Stored") -> "Stored":
        """Fill in missing parts from ``other``."""
        completed = self
        if self.values is None:
            completed = replace(
                completed,
                values=other.values,
                valid=other.valid,
                is_anchored=other.is_anchored,
            )
        if self.normals is None:
            completed = replace(completed, normals=other.normals)
        if self.confidence is None:
            completed = replace(completed, confidence=other.confidence)
        if self.sky is None:
            completed = replace(completed, sky=other.sky)
        return completed


def with_nan(
    values: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w"]:
    """Values with NaN where they are invalid, as in every float file."""
    return values if valid.all() else np.where(valid, values, np.float32(np.nan))


def from_nan(values: Float32[np.ndarray, "h w"]) -> Stored:
    """Inverse of ``with_nan``."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def opened(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open and decode an image that we wrote; ``Image.open`` would warn of the largest ones."""
    if plugin.format == "TIFF":
        with path.open("rb") as file:
            check_directories(file, printable(path))
    with plugin(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than rilievo writes")
        load_pixels(image)
        yield image
