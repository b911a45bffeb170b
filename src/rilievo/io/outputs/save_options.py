"""Options of saving."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from rilievo.errors import OptionError, suggest
from rilievo.io.map_pictures import DEPTH_COLOURS, PICTURE_AXES, Drawn, check_colour_map
from rilievo.schema.fields import Interface, Record, option, options_of

if TYPE_CHECKING:
    from rilievo.geometry.surfaces.lattice import Cut

_DROPS = ("sky", "background")
"""Parts that surfaces may leave out."""
BACKGROUND_SHARE = 0.5
"""Where the background begins, as a share of the way from near to far."""

_LAYOUTS = ("side-by-side", "top-bottom", "anaglyph")
"""Layouts of stereo pairs."""

PICTURES, _SURFACES, _RELIEFS = "pictures of depth", "surfaces", "reliefs"
"""What options affect, in the words of messages."""

BACKING = 0.5
"""Default share of the width by which far surfaces of meshes continue behind near ones."""
_MAX_BACKING = 0.5
_MIN_RELIEF, _MAX_RELIEF = 0.1, 2000  # [mm], of any side of a relief


def parse_drop(text: str) -> tuple[str, ...]:
    """Parse parts to leave out: names and ``background=SHARE``, separated by commas.

    Raises:
        OptionError: If there is no such part, or its share is not between 0 and 1.
    """
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        name, number, _ = part.partition("=")
        if name not in _DROPS:
            raise OptionError(option="drop", problem=f"has no '{name}'; {suggest(name, _DROPS)}")
        if number and name == "sky":
            raise OptionError(option="drop", problem=f"sky takes no number, got '{part}'")
        if not 0 < background_share(part) < 1:
            problem = f"background takes a share between 0 and 1, got '{part}'"
            raise OptionError(option="drop", problem=problem)
    if not parts:
        raise OptionError(option="drop", problem=f"names nothing; known: {', '.join(_DROPS)}")
    return parts


def background_share(part: str) -> float:
    """Share after ``background=``; NaN if it is no number."""
    _, equals, number = part.partition("=")
    if not equals:
        return BACKGROUND_SHARE
    try:
        return float(number)
    except ValueError:
        return float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class StereoOptions:
    """Options of a stereo pair.

    Raises:
        OptionError: If one is out of range.
    """

    layout: str = "side-by-side"
    """One of ``_LAYOUTS``; the left eye's picture is left, on top, or red."""
    strength: float = 0.03
    """Difference in shift between farthest and nearest point, as a share of the width."""
    convergence: float = 0.5
    """Depth in the screen plane, from 0, the farthest, to 1, the nearest."""

    def __post_init__(self) -> None:
        if self.layout not in _LAYOUTS:
            raise OptionError(
                option="stereo",
                problem=f"has no '{self.layout}'; {suggest(self.layout, _LAYOUTS)}",
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
    """Parse a layout, ``strength=SHARE`` and ``convergence=SHARE``.

    Raises:
        OptionError: If a part is none of these, or out of range.
    """
    defaults = StereoOptions()
    layout = defaults.layout
    numbers = {"strength": defaults.strength, "convergence": defaults.convergence}
    for part in (piece.strip() for piece in text.split(",")):
        name, equals, number = part.partition("=")
        if not equals:
            layout = part
            continue
        if name not in numbers:
            raise OptionError(
                option="stereo", problem=f"has no '{name}'; known: {', '.join(numbers)}"
            )
        try:
            numbers[name] = float(number)
        except ValueError:
            raise OptionError(
                option="stereo", problem=f"{name} is a number, got '{number}'"
            ) from None
    return StereoOptions(
        layout=layout, strength=numbers["strength"], convergence=numbers["convergence"]
    )


_MILLIMETRES = option(
    metavar="MM",
    minimum=_MIN_RELIEF,
    maximum=_MAX_RELIEF,
    unit="mm",
    available_in=Interface.COMMAND | Interface.HTTP,
    affects="files",
    subject=_RELIEFS,
)


@dataclass(frozen=True, kw_only=True)
class SaveOptions(Record):
    """Options of writing files: their looks, and which may be replaced.

    Raises:
        OptionError: If an option is out of range.
    """

    GROUP: ClassVar[str] = "Output"

    overwrite: Annotated[
        bool,
        option(
            in_short_help=True, available_in=Interface.COMMAND, affects="files", recorded="never"
        ),
    ] = False
    """Replace what rilievo wrote before, with any options; never files of other programs."""
    colour_map: Annotated[
        str,
        option(
            in_short_help=True,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=PICTURES,
        ),
    ] = DEPTH_COLOURS
    """Colour map of depth pictures: spectral, turbo, viridis, magma, inferno, plasma, rdbu or grey.
    """
    colour_range: Annotated[
        str | None,
        option(
            metavar="NEAR,FAR",
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=PICTURES,
        ),
    ] = None
    """Depths at the ends of the colour map, in units of the result; by default the 2nd and 98th
    percentile of each photograph or whole video, the near one without the lowest tenth."""
    surface_points: Annotated[
        int,
        option(
            minimum=100,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=_SURFACES,
        ),
    ] = 1_000_000
    """Most points of a cloud, or vertices of a mesh; larger photographs are subsampled."""
    edge: Annotated[
        float,
        option(
            above=0,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=_SURFACES,
        ),
    ] = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    drop: Annotated[
        str | None,
        option(
            comma_separated=True,
            metavar="NAME,...",
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=_SURFACES,
        ),
    ] = None
    """Parts to leave out of surfaces: sky, background, or background=SHARE. The background is
    beyond that share of the way from near to far, by default half."""
    backing: Annotated[
        float | None,
        option(
            metavar="SHARE",
            minimum=0,
            maximum=_MAX_BACKING,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject="meshes and clouds",
        ),
    ] = None
    """Share of the width by which far surfaces continue behind near ones, in mirrored colours. By
    default 0.15 in glb and turns, which are then closed at edges, and 0 in ply and splat."""
    stereo: Annotated[
        str | None,
        option(
            comma_separated=True,
            metavar="LAYOUT,...",
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject="stereo pictures",
        ),
    ] = None
    """Layout of stereo pictures: side-by-side, top-bottom or anaglyph; after commas, strength=SHARE
    of the width (0.03) and convergence=SHARE (0.5; at 1 nothing is in front of the screen).
    """
    relief_height: Annotated[float, _MILLIMETRES] = 15.0
    """Height of a relief (stl) above its base [mm]."""
    relief_width: Annotated[float | None, _MILLIMETRES] = None
    """Width of a relief [mm]; by default its longer side has 100 mm."""
    relief_base: Annotated[float, _MILLIMETRES] = 2.0
    """Thickness of the base of a relief [mm]."""
    normals_axes: Annotated[
        Literal["opengl", "directx", "opencv"],
        option(
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject="the output normals",
        ),
    ] = PICTURE_AXES
    """Axes of normals: opengl (y up, z towards the viewer), directx (y down), or opencv (y down, z
    forward)."""
    draw: Annotated[Drawn, option(hidden=True)] = Drawn.INVERSE_DEPTH
    """Quantity in depth pictures: inverse depth, whose near end has the last colour, or depth."""
    grazing: Annotated[float, option(hidden=True)] = 3.0
    """Angle between surface and ray [degrees] below which a surface is left out."""
    specks: Annotated[float, option(hidden=True)] = 1e-3
    """Share of points up to which a loose patch is left out and a hole closed."""
    texture_side: Annotated[int, option(hidden=True)] = 4096
    """Longest side of a texture [px]; many viewers accept no more."""
    compress: Annotated[bool, option(hidden=True)] = False
    """Compress npz, tiff and exr: a fifth smaller, many times slower."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_colour_map(self.colour_map)
        if self.texture_side < 1:
            raise OptionError(f"a texture has at least 1 pixel a side, got {self.texture_side}")

    @cached_property
    def colour_limits(self) -> tuple[float, float] | None:
        """Depths of ``colour_range``."""
        return None if self.colour_range is None else _parse_colour_range(self.colour_range)

    @cached_property
    def drops(self) -> tuple[str, ...]:
        """Parts of ``drop``."""
        return () if self.drop is None else parse_drop(self.drop)

    @cached_property
    def stereo_options(self) -> StereoOptions:
        """Parts of ``stereo``."""
        return StereoOptions() if self.stereo is None else parse_stereo(self.stereo)

    @cached_property
    def cut(self) -> "Cut":
        """Thresholds at which surfaces are cut."""
        # Imported on demand: most photographs are saved without a surface.
        from rilievo.geometry.surfaces.lattice import Cut

        return Cut(jump=self.edge, grazing=self.grazing, specks=self.specks)

    @property
    def mesh_backing(self) -> float:
        """Backing of meshes."""
        return BACKING if self.backing is None else self.backing

    @property
    def drop_text(self) -> str | None:
        """Parts of ``drop`` with commas; None without."""
        return ",".join(self.drops) or None


def _parse_colour_range(text: str) -> tuple[float, float]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 2 or not all(map(math.isfinite, values)):
        raise OptionError(option="colour_range", expected="NEAR,FAR, finite numbers", value=text)
    near, far = values
    if not 0 < near < far:
        problem = f": 0 < NEAR < FAR, got {near:g},{far:g}"
        raise OptionError(option="colour_range", problem=problem)
    return near, far


SUBJECTS: Mapping[str, str] = {
    field.name: field.declaration.subject
    for field in options_of(SaveOptions)
    if field.declaration.recorded == "changed"
}
"""What each option affects, of the options that are recorded if they were changed."""


def _options_of_subject(subject: str) -> tuple[str, ...]:
    return tuple(name for name, affected in SUBJECTS.items() if affected == subject)


WRITING = tuple(SUBJECTS)
"""Names of all options that change files; the others name those of a subject."""
COLOURING = _options_of_subject(PICTURES)
SURFACE = _options_of_subject(_SURFACES)
RELIEF = _options_of_subject(_RELIEFS)
