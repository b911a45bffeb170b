"""Options of saving, and the texts of those that have parts."""

from dataclasses import field

from rilievo.errors import OptionError, suggest
from rilievo.frozen import frozen
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.io.colour_pictures import (
    DEPTH_COLOURS,
    NORMALS_AXES,
    PICTURE_AXES,
    Drawn,
    check_colour_map,
)
from rilievo.messages import literal

DROPS = ("sky", "background")
BACKGROUND_SHARE = 0.5
"""Default share at which the background begins."""

LAYOUTS = ("side-by-side", "top-bottom", "anaglyph")

COLOURING = ("colour_map", "colour_range")
"""Options of ``rilievo predict`` for depth pictures."""

SURFACE = ("surface_points", "edge", "drop")
"""Options of ``rilievo predict`` for points and meshes."""

RELIEF = ("relief_height", "relief_width", "relief_base")
"""Options of ``rilievo predict`` for reliefs to print."""

WRITING = (*COLOURING, *SURFACE, "backing", "stereo", *RELIEF, "normals_axes")
"""All options of writing files."""

BACKING = 0.5
"""Share of the picture's width by which far surfaces of meshes extend behind near ones."""
MOST_BACKING = 0.5
"""Largest share of the picture's width by which far surfaces extend behind near ones."""


LEAST_RELIEF, MOST_RELIEF = 0.1, 2000
"""Smallest and largest length of a relief [mm]."""


def parse_drop(text: str) -> tuple[str, ...]:
    """Parse ``--drop``: ``sky``, ``background`` or ``background=SHARE``, separated by commas."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        name, number, _ = part.partition("=")
        if name not in DROPS:
            raise OptionError(
                option="drop", problem=f"has no '{literal(name)}'; {suggest(name, DROPS)}"
            )
        if number and name == "sky":
            raise OptionError(option="drop", problem=f"sky takes no number, got '{literal(part)}'")
        if not 0 < background_share(part) < 1:
            problem = f"background takes a share between 0 and 1, got '{part}'"
            raise OptionError(option="drop", problem=problem)
    if not parts:
        raise OptionError(option="drop", problem=f"names nothing; known: {', '.join(DROPS)}")
    return parts


def background_share(part: str) -> float:
    """Share after ``background=``; NaN where it is not a number."""
    _, equals, number = part.partition("=")
    if not equals:
        return BACKGROUND_SHARE
    try:
        return float(number)
    except ValueError:
        return float("nan")


@frozen
class StereoOptions:
    """Layout and amount of depth of a stereo pair."""

    layout: str = "side-by-side"
    """One of ``LAYOUTS``; the left eye's picture is left, on top, or red."""
    strength: float = 0.03
    """Difference in shift between the farthest and the nearest point, as a share of the width."""
    convergence: float = 0.5
    """Depth that lies in the screen plane: 0 for the farthest, so that everything stands out; 1 for
    the nearest.
    """

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise OptionError(
                option="stereo",
                problem=f"has no '{literal(self.layout)}'; {suggest(self.layout, LAYOUTS)}",
            )
        if not 0 < self.strength <= 0.2:
            raise OptionError(
                option="stereo", problem=f"strength is between 0 and 0.2, got {self.strength:g}"
            )
        if not 0 <= self.convergence <= 1:
            raise OptionError(
                option="stereo", problem=f"convergence is between 0 and 1, got {self.convergence:g}"
            )


def parse_stereo(text: str) -> StereoOptions:
    """Parse ``--stereo``: a layout, ``strength=SHARE`` and ``convergence=SHARE``."""
    usual = StereoOptions()
    layout = usual.layout
    numbers = {"strength": usual.strength, "convergence": usual.convergence}
    for part in (piece.strip() for piece in text.split(",")):
        name, equals, number = part.partition("=")
        if not equals:
            layout = part
            continue
        if name not in numbers:
            raise OptionError(
                option="stereo", problem=f"has no '{literal(name)}'; known: {', '.join(numbers)}"
            )
        try:
            numbers[name] = float(number)
        except ValueError:
            raise OptionError(
                option="stereo", problem=f"{literal(name)} is a number, got '{literal(number)}'"
            ) from None
    return StereoOptions(
        layout=layout, strength=numbers["strength"], convergence=numbers["convergence"]
    )


@frozen
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
    """Whether depth pictures show inverse depth (near has the last colour) or depth."""
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
    backing: float | None = None
    """Largest share of the photograph's width by which meshes and point clouds extend far surfaces
    behind near ones; 0 for none, and for meshes that are torn at edges. None is ``BACKING`` for
    meshes and 0 for clouds.
    """
    stereo: StereoOptions = field(default_factory=StereoOptions)
    """Layout, strength and convergence of stereo pictures."""
    relief_height: float = 15.0
    """Height of reliefs above their base, between nearest and farthest [mm]."""
    relief_width: float | None = None
    """Width of reliefs [mm]; None for 100 mm along the longer side."""
    relief_base: float = 2.0
    """Thickness of the plate below reliefs [mm]."""
    normals_axes: str = PICTURE_AXES
    """Axes of the output normals, one of ``NORMALS_AXES``."""
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
        if self.backing is not None and not 0 <= self.backing <= MOST_BACKING:
            raise OptionError(f"a backing is a share of 0 to {MOST_BACKING}, got {self.backing:g}")
        for name in RELIEF:
            length = getattr(self, name)
            if length is not None and not LEAST_RELIEF <= length <= MOST_RELIEF:
                expected = f"between {LEAST_RELIEF} and {MOST_RELIEF} mm"
                raise OptionError(option=name, expected=expected, value=length)
        if self.normals_axes not in NORMALS_AXES:
            known = suggest(self.normals_axes, NORMALS_AXES)
            problem = f"has no '{literal(self.normals_axes)}'; {known}"
            raise OptionError(option="normals_axes", problem=problem)
        if self.surface_points < 4:
            raise OptionError(f"a surface has at least 4 points, got {self.surface_points}")
        if self.texture_side < 1:
            raise OptionError(f"a texture has at least 1 pixel a side, got {self.texture_side}")

    @property
    def cut(self) -> Cut:
        """Thresholds at which surfaces are cut."""
        return Cut(jump=self.edge, grazing=self.grazing, specks=self.specks)

    @property
    def mesh_backing(self) -> float:
        """The backing of meshes."""
        return BACKING if self.backing is None else self.backing

    @property
    def dropped(self) -> str | None:
        """Parts that surfaces leave out, in one string."""
        return ",".join(self.drop) or None
