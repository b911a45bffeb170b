"""Options of saving."""

from dataclasses import dataclass, field

from rilievo.errors import OptionError
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.io.colour_maps import DEPTH_COLOURS, check_colour_map
from rilievo.io.colour_pictures import Drawn
from rilievo.io.outputs.drop_option import parse_drop
from rilievo.io.outputs.stereo import StereoOptions

COLOURING = ("colour_map", "colour_range")
"""Options of ``rilievo predict`` for depth pictures."""
SURFACE = ("surface_points", "edge", "drop")
"""Options of ``rilievo predict`` for points and meshes."""
WRITING = (*COLOURING, *SURFACE, "backing", "stereo")
"""All options of writing files."""
MOST_BACKING = 0.5
"""Largest share of the picture's width by which far surfaces extend behind near ones."""


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
