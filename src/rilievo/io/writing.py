"""Options of saving, the job that every format writer receives, and what its reader returns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from PIL.ImageFile import ImageFile

from rilievo.errors import OptionError
from rilievo.geometry.lattice import Cut
from rilievo.io.colour import DEPTH_COLOURS, Drawn, check_colour_map
from rilievo.io.decode import load as load_pixels
from rilievo.io.facts import DepthFacts, FileFacts, Sidecar
from rilievo.io.limits import MAX_PIXELS
from rilievo.io.output_table import OUTPUTS, load
from rilievo.io.stereo import StereoOptions
from rilievo.types import Prediction

MOST_BACKING = 0.5
"""Largest share of the picture's width by which far surfaces extend behind near ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Arrays of one file; None for parts that it does not hold."""

    values: Float32[np.ndarray, "h w"] | None = None
    valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None

    def lacks(self, part: str) -> bool:
        """Whether "depth", "normals" or "confidence" is missing."""
        return getattr(self, "values" if part == "depth" else part) is None

    def completed_by(self, other: "Stored") -> "Stored":
        """Fill in missing parts from ``other``."""
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
    """Values with NaN where they are invalid, as in every float file."""
    return values if valid.all() else np.where(valid, values, np.float32(np.nan))


def from_nan(values: Float32[np.ndarray, "h w"]) -> Stored:
    """Inverse of ``with_nan``."""
    return Stored(values=values, valid=~np.isnan(values))


@contextmanager
def opened(plugin: type[ImageFile], path: Path) -> Iterator[ImageFile]:
    """Open and decode an image that we wrote; ``Image.open`` would warn of the largest ones."""
    with plugin(path) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise ValueError(f"{width}x{height} pixels are more than rilievo writes")
        load_pixels(image)
        yield image


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """Options of saving.

    Raises:
        OptionError: If an option is out of range.
    """

    colour_map: str = DEPTH_COLOURS
    """Colour map of depth pictures."""
    colour_limits: tuple[float, float] | None = None
    """Values of the depth map at the ends of the colour map, the near one first; by default the 2nd
    and 98th percentile of each map.
    """
    draw: Drawn = Drawn.INVERSE_DEPTH
    """Whether depth pictures show inverse depth (near is bright) or depth."""
    surface_points: int = 1_000_000
    """Most points of a cloud, or vertices of a mesh; larger photographs are subsampled evenly."""
    edge: float = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    grazing: float = 3.0
    """Angle between surface and viewing ray [degrees] below which a surface is left out."""
    specks: float = 1e-3
    """Share of a surface's points up to which a loose patch is left out, and a hole is closed."""
    drop: tuple[str, ...] = ()
    """Parts that surfaces leave out, as in ``--drop``: sky, background, background=SHARE."""
    backing: float = 0.0
    """Share of the photograph's width by which meshes and point clouds extend far surfaces behind
    near ones; 0 for none.
    """
    stereo: StereoOptions = field(default_factory=StereoOptions)
    """Layout, strength and convergence of stereo pictures."""
    texture_side: int = 4096
    """Longest side of the photograph inside a mesh [px]; many viewers accept no more."""
    compress: bool = False
    """Whether npz, tiff and exr files are compressed: a fifth smaller, many times slower."""
    overwrite: bool = False
    """Replace what rilievo wrote for another photograph, model or option. Files of other programs
    are never replaced.
    """

    def __post_init__(self) -> None:
        check_colour_map(self.colour_map)
        _ = self.cut
        if self.drop:
            from rilievo.io.dropping import parse_drop

            object.__setattr__(self, "drop", parse_drop(",".join(self.drop)))
        if not 0 <= self.backing <= MOST_BACKING:
            raise OptionError(f"a backing is a share of 0 to {MOST_BACKING}, got {self.backing:g}")
        if self.surface_points < 4:
            raise OptionError(f"a surface has at least 4 points, got {self.surface_points}")
        if self.texture_side < 1:
            raise OptionError(f"a texture has at least 1 pixel a side, got {self.texture_side}")

    @property
    def cut(self) -> Cut:
        """Thresholds at which surfaces are cut."""
        return Cut(jump=self.edge, grazing=self.grazing, specks=self.specks)

    @property
    def dropped(self) -> str | None:
        """Parts that surfaces leave out, in one string."""
        return ",".join(self.drop) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write.

    Attributes:
        path: Path to write to: a part file, whose name carries no meaning.
        file: Final name of the file.
        output: Name of the output in ``OUTPUTS``.
        prediction: Prediction to write; it has every part that the output needs.
        options: Options of saving.
        about: Description to embed in the file, where the format allows it.
    """

    path: Path
    file: str
    output: str
    prediction: Prediction
    options: SaveOptions
    about: Sidecar

    @property
    def depth_facts(self) -> DepthFacts:
        """Description of the depth map."""
        assert self.about.depth is not None, "described from the same prediction"
        return self.about.depth

    @property
    def surface_pixels(self) -> Bool[np.ndarray, "h w"]:
        """Mask of the pixels that a surface is made from."""
        from rilievo.io.dropping import surface_pixels

        return surface_pixels(self.prediction, self.options.drop)

    def float_depth_facts(self, holds: str) -> FileFacts:
        """Description of a file that holds float values, NaN where invalid."""
        return FileFacts(
            file=self.file,
            output=self.output,
            holds=holds,
            unit=self.depth_facts.unit,
            scale=1.0,
            offset=0.0,
            invalid="nan",
        )


def write_file(job: WriteJob) -> FileFacts:
    """Write a file with the writer of its output, which is given the parts that it needs."""
    facts = load(OUTPUTS[job.output].writer)(job, *needed_parts(job.prediction, job.output))
    if not isinstance(facts, FileFacts):
        raise OptionError(
            f"output '{job.output}': its writer returned a {type(facts).__name__}; expected "
            "FileFacts (rilievo.io.facts)"
        )
    return facts


def needed_parts(prediction: Prediction, output: str) -> tuple[Any, ...]:
    """Parts of a prediction that an output needs, in the order of its row in ``OUTPUTS``.

    ``check_parts`` of ``rilievo.io.outputs`` refuses predictions that lack one.
    """
    return tuple(getattr(prediction, need) for need in OUTPUTS[output].needs)
