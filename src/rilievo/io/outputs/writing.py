"""The record that every writer of an output gets, and the one that every reader returns."""

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
"""Arrays of ``Stored``, each with the arrays that must come from the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write, with all that its writer needs.

    Attributes:
        path: Temporary file to write to, whose name carries no meaning.
        output: Name in ``OUTPUTS``.
        sidecar: Description of the prediction, which is embedded in the file.
        depth_range: Smallest and largest depth of all frames of a clip, which share one scale; None
            for a photograph.
        files_by_output: Names of all files that are written together, by output.
        cache: Results that later files reuse, such as the points of a surface, by name and options.
    """

    path: Path
    file: str
    output: str
    prediction: PredictionRecord
    options: SaveOptions
    sidecar: Sidecar
    depth_range: tuple[float, float] | None = None
    later_outputs: Set[str] = frozenset()
    files_by_output: Mapping[str, str] = field(default_factory=dict)
    cache: dict[tuple[str, SaveOptions], Any] = field(default_factory=dict)

    @property
    def depth_facts(self) -> DepthFacts:
        """Description of the depth map."""
        assert self.sidecar.depth is not None, "the sidecar describes a prediction with depth"
        return self.sidecar.depth

    def describe_file(self, holds: str) -> FileFacts:
        """Describe the file; ``holds`` is its content in words."""
        return FileFacts(file=self.file, output=self.output, holds=holds)

    def float_depth_facts(self, holds: str) -> FileFacts:
        """Describe a file of floats that are depth, or NaN where there is none."""
        unit = self.depth_facts.unit
        return replace(self.describe_file(holds), unit=unit, scale=1.0, offset=0.0, invalid="nan")

    def write_png(
        self,
        pixels: UInt8[np.ndarray, "h w *c"],
        file_facts: FileFacts,
        palette: np.ndarray | None = None,
    ) -> FileFacts:
        """Write a PNG with its description embedded, and return the description."""
        text = {"Software": "rilievo", "rilievo": self.sidecar.embedded_json(file_facts)}
        write_png(self.path, pixels, text, palette=palette)
        return file_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Arrays that were read from files; None for those that no file holds.

    Attributes:
        values: Depth of any kind.
        network_depth: Depth of the network alone, if ``values`` also has a sensor's depth.
        measured: Mask of the pixels that the sensor measured.
        transparent: Mask of the transparent pixels of the photograph.
        is_anchored: Whether the depth was anchored, so that surfaces can be made from it.
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
        """Copy the missing arrays, with the arrays that belong to them, from another file."""
        filled = {}
        for array_name, related_names in _RELATED_ARRAYS.items():
            if getattr(self, array_name) is None:
                filled |= {name: getattr(other, name) for name in (array_name, *related_names)}
        return replace(self, **filled)


def with_nan(values: Field, valid: Mask) -> Field:
    """Replace invalid values by NaN."""
    if valid.all():
        return values
    return np.where(valid, values, np.float32(np.nan))


def from_nan(values: Field) -> Stored:
    """Read the mask of depth from its values, which are NaN where they are invalid."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def open_stored_image(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open an image that rilievo wrote, without Pillow's warning about large images.

    Raises ``ValueError`` if it is larger than any image that rilievo writes.
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
