"""Options of saved files: their appearance, and which existing files may be replaced."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from rilievo.errors import OptionError, suggest
from rilievo.io.map_pictures import DEPTH_COLOURS, PICTURE_AXES, DrawnQuantity, check_colour_map
from rilievo.schema.fields import Interface, Record, list_options, option

if TYPE_CHECKING:
    from rilievo.geometry.surfaces.lattice import Cut

_DROPS = ("sky", "background")
"""Parts that surfaces may leave out."""
BACKGROUND_SHARE = 0.5
"""Where the background begins by default, as a fraction of the way from near to far."""

_LAYOUTS = ("side-by-side", "top-bottom", "anaglyph")
"""Layouts of stereo pairs."""

PICTURES, _SURFACES, _RELIEFS = "pictures of depth", "surfaces", "reliefs"
"""What options affect, in the words of messages."""

BACKING = 0.5
"""How far surfaces of meshes continue behind nearer ones by default [fraction of the width]."""
_MAX_BACKING = 0.5
_MIN_RELIEF, _MAX_RELIEF = 0.1, 2000  # [mm], of any side of a relief


def parse_drop(text: str) -> tuple[str, ...]:
    """Parse the parts that surfaces leave out: names and ``background=SHARE``, with commas between.

    Raises:
        OptionError: If there is no such part, or its share is not between 0 and 1.
    """
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise OptionError(
            option="drop", problem=f"needs at least one name; known: {', '.join(_DROPS)}"
        )
    for part in parts:
        name, equals_sign, _ = part.partition("=")
        if name not in _DROPS:
            raise OptionError(
                option="drop", problem=f"does not accept '{name}'; {suggest(name, _DROPS)}"
            )
        if equals_sign and name == "sky":
            raise OptionError(option="drop", problem=f": sky takes no number, got '{part}'")
        # The comparison is false for NaN, which stands for what is no number.
        if not 0 < background_share(part) < 1:
            problem = f": background takes a share between 0 and 1, got '{part}'"
            raise OptionError(option="drop", problem=problem)
    return parts


def background_share(part: str) -> float:
    """Parse the share after ``background=``; the default without it, NaN if it is no number."""
    _, equals, number = part.partition("=")
    if not equals:
        return BACKGROUND_SHARE
    try:
        return float(number)
    except ValueError:
        return float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class StereoOptions:
    """Options of a stereo pair; raise ``OptionError`` if one is out of range."""

    layout: str = "side-by-side"
    """One of ``_LAYOUTS``; the left eye's picture is left, on top, or red."""
    strength: float = 0.03
    """Difference in parallax between farthest and nearest point, as a fraction of the width."""
    convergence: float = 0.5
    """Depth that lies in the plane of the screen, from 0, the farthest, to 1, the nearest."""

    def __post_init__(self) -> None:
        if self.layout not in _LAYOUTS:
            raise OptionError(
                option="stereo",
                problem=f"does not accept '{self.layout}'; {suggest(self.layout, _LAYOUTS)}",
            )
        if not 0 < self.strength <= 0.2:
            raise OptionError(
                option="stereo",
                problem=f": strength must be above 0 and at most 0.2, got {self.strength:g}",
            )
        if not 0 <= self.convergence <= 1:
            raise OptionError(
                option="stereo",
                problem=f": convergence must be between 0 and 1, got {self.convergence:g}",
            )


def parse_stereo(text: str) -> StereoOptions:
    """Parse a layout, ``strength=SHARE`` and ``convergence=SHARE``, with commas between.

    Raises:
        OptionError: If a part is none of these, or out of range.
    """
    defaults = StereoOptions()
    layout = defaults.layout
    shares = {"strength": defaults.strength, "convergence": defaults.convergence}
    for part in text.split(","):
        name, equals_sign, number = part.strip().partition("=")
        is_layout = not equals_sign
        if is_layout:
            layout = name
            continue
        if name not in shares:
            raise OptionError(
                option="stereo", problem=f"does not accept '{name}'; known: {', '.join(shares)}"
            )
        try:
            shares[name] = float(number)
        except ValueError:
            raise OptionError(
                option="stereo", problem=f": {name} must be a number, got '{number}'"
            ) from None
    return StereoOptions(
        layout=layout, strength=shares["strength"], convergence=shares["convergence"]
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
    """Options of saved files: their appearance, and which existing files may be replaced.

    Raises:
        OptionError: If an option is out of range.
    """

    HELP_TITLE: ClassVar[str] = "Output"

    overwrite: Annotated[
        bool,
        option(
            in_short_help=True, available_in=Interface.COMMAND, affects="files", recorded="never"
        ),
    ] = False
    """Replace files that rilievo wrote before, whatever their options, but never other files."""
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
    """Depths at the ends of the colour map, in the unit of the result. By default the 2nd and 98th
    percentiles of each photograph or whole video. The near one ignores the bottom tenth of the
    picture."""
    surface_points: Annotated[
        int,
        option(
            minimum=100,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=_SURFACES,
        ),
    ] = 1_000_000
    """Maximum points in a cloud, or vertices in a mesh; larger photographs are subsampled."""
    edge: Annotated[
        float,
        option(
            above=0,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject=_SURFACES,
        ),
    ] = 0.08
    """Relative jump in depth (0.08 is 8%) between neighbouring pixels at which a surface is cut."""
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
    """Parts to leave out of surfaces: sky, background, or background=SHARE. The background begins
    at that share of the way from near to far, by default half."""
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
    """Distance by which surfaces continue behind nearer ones, in blurred colours, as a share of
    the picture's width. By default 0.5 in glb and turn, so that their surfaces have no gaps at
    edges, 0.01 in splat, and 0 in ply."""
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
    """Layout of stereo pictures: side-by-side, top-bottom or anaglyph. After commas, you can add
    strength=SHARE, the parallax as a share of the width (by default 0.03, at most 0.2), and
    convergence=SHARE, the part of the scene that lies in the plane of the screen, from 0, the
    farthest point, to 1, the nearest (by default 0.5).
    """
    relief_height: Annotated[float, _MILLIMETRES] = 15.0
    """Height of a relief (stl) above its base [mm]."""
    relief_width: Annotated[float | None, _MILLIMETRES] = None
    """Width of a relief [mm]; by default its longer side is 100 mm."""
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
    draw: Annotated[DrawnQuantity, option(hidden=True)] = DrawnQuantity.INVERSE_DEPTH
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
            raise OptionError(
                option="texture_side", expected="at least 1 pixel", value=self.texture_side
            )

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
        """Parts of ``drop`` with commas between; None if nothing is left out."""
        return ",".join(self.drops) or None


def _parse_colour_range(text: str) -> tuple[float, float]:
    """Parse the nearest and the farthest depth, such as "0.5,10"."""
    try:
        near, far = (float(part) for part in text.split(","))
    except ValueError:  # also if there are not two numbers
        near, far = math.nan, math.nan
    if not (math.isfinite(near) and math.isfinite(far)):
        raise OptionError(option="colour_range", expected="two finite numbers NEAR,FAR", value=text)
    if not 0 < near < far:
        problem = f"needs 0 < NEAR < FAR, got {near:g},{far:g}"
        raise OptionError(option="colour_range", problem=problem)
    return near, far


SUBJECTS: Mapping[str, str] = {
    field.name: field.declaration.subject
    for field in list_options(SaveOptions)
    if field.declaration.recorded == "changed"
}
"""What each option affects, for the options that are recorded if they were changed."""


def _list_subject_options(subject: str) -> tuple[str, ...]:
    return tuple(name for name, affected in SUBJECTS.items() if affected == subject)


WRITING = tuple(SUBJECTS)
"""Names of all options that change files; the next three are the options of one subject."""
COLOURING = _list_subject_options(PICTURES)
SURFACE = _list_subject_options(_SURFACES)
RELIEF = _list_subject_options(_RELIEFS)
