"""What every writer of a format gets."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from rilievo.errors import OptionError
from rilievo.geometry.backing import MOST_BACKING
from rilievo.geometry.lattice import Cut
from rilievo.io.colour import Drawn, check_colour_map
from rilievo.io.dropping import parse_drop, surface_pixels
from rilievo.io.facts import DepthFacts, FileFacts, Sidecar
from rilievo.io.palette import DEPTH_COLOURS
from rilievo.io.stereo import StereoOptions
from rilievo.types import Camera, DepthMap, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveOptions:
    """How results are written.

    Raises:
        OptionError: If an option is out of range.
    """

    colour_map: str = DEPTH_COLOURS
    """Colours of depth pictures."""
    colour_limits: tuple[float, float] | None = None
    """Values of the depth map that get the ends of the colour map, the near one first; by default
    the 2nd and 98th percentile of each map."""
    draw: Drawn = Drawn.INVERSE_DEPTH
    """Whether depth pictures show inverse depth (near is bright) or depth."""
    surface_points: int = 1_000_000
    """Most points of a cloud or vertices of a mesh; larger photographs are thinned out evenly."""
    edge: float = 0.08
    """Relative jump in depth between neighbours at which a surface is torn."""
    grazing: float = 3.0
    """Angle [degrees] to the ray that sees it under which a surface is left out."""
    specks: float = 2e-4
    """Share of a surface's points up to which a loose patch is left out, and a hole closed."""
    drop: tuple[str, ...] = ()
    """What surfaces leave out, as ``--drop`` takes it: sky, background, background=SHARE."""
    backing: float = 0.0
    """Share of the photograph's width by which meshes and point clouds carry far surfaces on behind
    near ones; 0 for none."""
    stereo: StereoOptions = field(default_factory=StereoOptions)
    """Layout, strength and convergence of pictures for two eyes."""
    texture_side: int = 4096
    """Longest side in pixels of the photograph inside a mesh; many viewers take no more."""
    compress: bool = False
    """Whether npz, tiff and exr files are compressed: a fifth smaller, many times slower."""
    overwrite: bool = False
    """Replace what rilievo wrote of another photograph, model or option. Other programs' files are
    never replaced."""

    def __post_init__(self) -> None:
        check_colour_map(self.colour_map)
        _ = self.cut
        if self.drop:
            object.__setattr__(self, "drop", parse_drop(",".join(self.drop)))
        if not 0 <= self.backing <= MOST_BACKING:
            raise OptionError(f"a backing is a share of 0 to {MOST_BACKING}, got {self.backing:g}")
        if self.surface_points < 4:
            raise OptionError(f"a surface has at least 4 points, got {self.surface_points}")
        if self.texture_side < 1:
            raise OptionError(f"a texture has at least 1 pixel a side, got {self.texture_side}")

    @property
    def cut(self) -> Cut:
        """Where surfaces are torn."""
        return Cut(jump=self.edge, grazing=self.grazing, specks=self.specks)

    @property
    def dropped(self) -> str | None:
        """What surfaces leave out, as one text."""
        return ",".join(self.drop) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteJob:
    """One file to write.

    Attributes:
        path: Where to write; a part file, whose name says nothing.
        file: The name it will have.
        output: Its name in ``OUTPUTS``.
        prediction: What to write of; it has everything that the output needs.
        options: How.
        about: What to say inside the file, where the format can.
    """

    path: Path
    file: str
    output: str
    prediction: Prediction
    options: SaveOptions
    about: Sidecar

    @property
    def depth(self) -> DepthMap:
        """The depth map of an output that needs one."""
        return self.prediction.depth

    @property
    def depth_facts(self) -> DepthFacts:
        """What its numbers are."""
        assert self.about.depth is not None, "described from the same prediction"
        return self.about.depth

    @property
    def camera(self) -> Camera:
        """The camera of an output that needs one."""
        assert self.prediction.camera is not None, "save checks what an output needs"
        return self.prediction.camera

    @property
    def surface_pixels(self) -> Bool[np.ndarray, "h w"]:
        """The pixels of which a surface is made."""
        return surface_pixels(self.prediction, self.options.drop)

    def float_depth_facts(self, holds: str) -> FileFacts:
        """What there is to say of a file that has the values as they are, NaN where invalid."""
        return FileFacts(
            file=self.file,
            output=self.output,
            holds=holds,
            unit=self.depth_facts.unit,
            scale=1.0,
            offset=0.0,
            invalid="nan",
        )
