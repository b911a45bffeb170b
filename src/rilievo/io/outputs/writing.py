"""What every writer of an output is given, and what every reader returns."""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.ImageFile import ImageFile

from rilievo.arrays.shapes import Field, Mask, Matrix, Pixels, UInt8, Vectors
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.files.names import printable
from rilievo.io.files.tiff_directories import check_tiff_tags
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import DepthFacts, FileFacts, Sidecar
from rilievo.io.photographs.decode import load_pixels
from rilievo.io.png import write_png
from rilievo.records.prediction_record import PredictionRecord

_RELATED_ARRAYS = {
    "values": ("valid", "is_anchored", "network_depth", "measured"),
    "normals": (),
    "confidence": (),
    "sky": (),
    "K": (),
    "photo": ("transparent",),
}
"""Arrays of ``Stored``, and those that belong to each and come from the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write.

    Attributes:
        path: Part file, whose name carries no meaning.
        file: Final name.
        output: Name in ``OUTPUTS``.
        prediction: What is written.
        options: How files look.
        about: Description to embed.
        extent: Least and largest depth of all files with one scale; None of a single file.
        later: Outputs that are written after it.
        beside: Files written together, by output.
        shared: What was computed for one file and serves later ones, such as points of a surface.
    """

    path: Path
    file: str
    output: str
    prediction: PredictionRecord
    options: SaveOptions
    about: Sidecar
    extent: tuple[float, float] | None = None
    later: Set[str] = frozenset()
    beside: Mapping[str, str] = field(default_factory=dict)
    shared: dict[tuple[str, SaveOptions], Any] = field(default_factory=dict)

    @property
    def depth_facts(self) -> DepthFacts:
        """Description of the depth map."""
        assert self.about.depth is not None, "described from the same prediction"
        return self.about.depth

    def facts(self, holds: str) -> FileFacts:
        """Description of the file by its content."""
        return FileFacts(file=self.file, output=self.output, holds=holds)

    def float_depth_facts(self, holds: str) -> FileFacts:
        """Description of float values, NaN where invalid."""
        unit = self.depth_facts.unit
        return replace(self.facts(holds), unit=unit, scale=1.0, offset=0.0, invalid="nan")

    def write_png(
        self,
        pixels: UInt8[np.ndarray, "h w *c"],
        facts: FileFacts,
        palette: np.ndarray | None = None,
    ) -> FileFacts:
        """Write a picture with its description, which is returned."""
        text = {"Software": "rilievo", "rilievo": self.about.embedded_json(facts)}
        write_png(self.path, pixels, text, palette=palette)
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Arrays that were read from one file; None where it does not hold one.

    Attributes:
        values: Depth, of any kind.
        network_depth: Depth of the network alone, beside that of a sensor.
        measured: Mask of the pixels that the sensor measured.
        transparent: Mask of the transparent pixels of the photograph.
        is_anchored: Whether depth is that of surfaces.
    """

    values: Field | None = None
    network_depth: Field | None = None
    measured: Mask | None = None
    valid: Mask | None = None
    normals: Vectors | None = None
    confidence: Field | None = None
    sky: Mask | None = None
    K: Matrix | None = None
    photo: Pixels | None = None
    transparent: Mask | None = None
    is_anchored: bool = False

    def lacks(self, part: str) -> bool:
        """Whether a part is missing."""
        return getattr(self, "values" if part == "depth" else part) is None

    def fill_from(self, other: "Stored") -> "Stored":
        """Copy with missing arrays, and those that belong to them, from another file."""
        added = {}
        for array, related in _RELATED_ARRAYS.items():
            if getattr(self, array) is None:
                added |= {name: getattr(other, name) for name in (array, *related)}
        return replace(self, **added)


def with_nan(values: Field, valid: Mask) -> Field:
    """Values with NaN where they are invalid."""
    if valid.all():
        return values
    return np.where(valid, values, np.float32(np.nan))


def from_nan(values: Field) -> Stored:
    """Depth of a file that has NaN where it is invalid."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def open_stored_image(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open an image of ours, without ``Image.open``'s warning of large ones.

    Raises:
        ValueError: If it is larger than rilievo writes.
    """
    if plugin.format == "TIFF":
        with path.open("rb") as file:
            check_tiff_tags(file, printable(path))
    with plugin(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than rilievo writes")
        load_pixels(image)
        yield image
