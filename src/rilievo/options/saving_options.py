"""Options of saving: where results go, which outputs are made, and how they look."""

import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.io.colour_pictures import DEPTH_COLOURS, PICTURE_AXES, check_colour_map
from rilievo.io.outputs.save_options import (
    LEAST_RELIEF,
    MOST_BACKING,
    MOST_RELIEF,
    SaveOptions,
    StereoOptions,
    parse_drop,
    parse_stereo,
)
from rilievo.messages import literal
from rilievo.plugins import is_place
from rilievo.prediction.output import OUTPUTS, split_names, unknown_output
from rilievo.schema import Door, Record, option

ALL = "all"


@frozen(slots=False)
class Saving(Record):
    """Files that a run writes.

    Those options that outputs name in ``OUTPUTS`` are recorded with each file that they concern.
    """

    GROUP: ClassVar[str] = "Output"
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (("resume", "overwrite"),)

    output: Annotated[
        Path,
        option(
            first=True,
            aliases=("-o",),
            metavar="FOLDER",
            doors=Door.COMMAND,
            affects="files",
            recorded="never",
            python=str | Path,
        ),
    ] = Path("rilievo-output")
    """Folder for the results; made when missing. Trees of input folders are kept."""
    save: Annotated[
        str,
        option(
            first=True,
            commas=True,
            metavar="NAME,...",
            names=lambda: OUTPUTS.own,
            takes="text such as 'colour,ply'",
            doors=Door.COMMAND,
            affects="files",
            recorded="never",
        ),
    ] = "colour"
    """Outputs to write, separated by commas; or all; or package.module:NAME of an output of your
    own. A JSON file that describes them is always added.
    """
    overwrite: Annotated[
        bool, option(first=True, doors=Door.COMMAND, affects="files", recorded="never")
    ] = False
    """Replace what rilievo wrote before, with the same options or others. Files of other programs
    are never replaced.
    """
    resume: Annotated[
        bool | Literal["hash"],
        option(
            takes="True, False or 'hash'", doors=Door.COMMAND, affects="files", recorded="never"
        ),
    ] = False
    """Make files of an earlier run anew also where their SHA-256 differs (--resume=hash). Without
    =hash it has no effect: every run skips what one with the same options has finished, adds
    missing formats, and makes anew what is missing, of another size, or begins or ends in zeros.
    """
    colour_map: Annotated[
        str, option(first=True, doors=Door.COMMAND | Door.HTTP | Door.LIVE, affects="files")
    ] = DEPTH_COLOURS
    """Colour map of depth pictures: spectral, turbo, viridis, magma, inferno, plasma, rdbu or grey.
    """
    colour_range: Annotated[
        str | None,
        option(metavar="NEAR,FAR", doors=Door.COMMAND | Door.HTTP | Door.LIVE, affects="files"),
    ] = None
    """Depths at the ends of the colour map, in the units of the result; by default the 2nd and 98th
    percentile of each photograph, or of a whole video; the near one without the lowest tenth.
    """
    surface_points: Annotated[
        int, option(least=100, doors=Door.COMMAND | Door.HTTP, affects="files")
    ] = 1_000_000
    """Most points of a cloud, or vertices of a mesh; larger photographs are subsampled."""
    edge: Annotated[float, option(above=0, doors=Door.COMMAND | Door.HTTP, affects="files")] = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    drop: Annotated[
        str | None,
        option(commas=True, metavar="NAME,...", doors=Door.COMMAND | Door.HTTP, affects="files"),
    ] = None
    """Parts to leave out of surfaces: sky, background, or background=SHARE, separated by commas.
    The background is beyond that share of the way from near to far; by default beyond half of
    it."""
    backing: Annotated[
        float | None,
        option(
            metavar="SHARE",
            least=0,
            most=MOST_BACKING,
            doors=Door.COMMAND | Door.HTTP,
            affects="files",
        ),
    ] = None
    """Share of the photograph's width by which far surfaces continue behind near ones, in mirrored
    colours, for views from the side; 0 for none. By default 0.15 in glb and turns, which are then
    closed at edges, and 0 in ply and splat.
    """
    stereo: Annotated[
        str | None,
        option(commas=True, metavar="LAYOUT,...", doors=Door.COMMAND | Door.HTTP, affects="files"),
    ] = None
    """Layout of stereo pictures: side-by-side, top-bottom or anaglyph; after commas, strength=SHARE
    of the width (0.03) and convergence=SHARE (0.5; at 1 nothing is in front of the screen).
    """

    relief_height: Annotated[
        float,
        option(
            metavar="MM",
            least=LEAST_RELIEF,
            most=MOST_RELIEF,
            unit="mm",
            doors=Door.COMMAND | Door.HTTP,
            affects="files",
        ),
    ] = 15.0
    """Height of a relief (stl) above its base, between nearest and farthest point [mm]."""
    relief_width: Annotated[
        float | None,
        option(
            metavar="MM",
            least=LEAST_RELIEF,
            most=MOST_RELIEF,
            unit="mm",
            doors=Door.COMMAND | Door.HTTP,
            affects="files",
        ),
    ] = None
    """Width of a relief [mm]; by default its longer side has 100 mm."""
    relief_base: Annotated[
        float,
        option(
            metavar="MM",
            least=LEAST_RELIEF,
            most=MOST_RELIEF,
            unit="mm",
            doors=Door.COMMAND | Door.HTTP,
            affects="files",
        ),
    ] = 2.0
    """Thickness of the plate below a relief [mm]."""
    normals_axes: Annotated[
        Literal["opengl", "directx", "opencv"],
        option(doors=Door.COMMAND | Door.HTTP, affects="files"),
    ] = PICTURE_AXES
    """Axes of the output normals: opengl (y up, z towards the viewer), directx (y down), or opencv
    (y down, z forward).
    """

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS``, in the table's order, each once; all of rilievo's for ``all``."""
        names = split_names(self.save)
        if not names:
            known = f"; known: {', '.join(OUTPUTS)}, all"
            raise OptionError(option="save", problem=f"names nothing{known}")
        for name in names:
            if is_place(name):
                OUTPUTS.find(name)
            elif name == "json":
                raise OptionError(
                    option="save", problem="json: leave it out, since a JSON is always written"
                )
            elif name != ALL and name not in OUTPUTS:
                known = unknown_output(name, [*OUTPUTS, ALL])
                raise OptionError(option="save", problem=f"has no '{literal(name)}'; {known}")
        return OUTPUTS.ordered([*names, *(OUTPUTS.own if ALL in names else ())])

    @property
    def asks_for_all(self) -> bool:
        """Whether outputs that cannot be made are left out instead of refused."""
        return ALL in split_names(self.save)

    @cached_property
    def files(self) -> SaveOptions:
        """The same as options of writing files."""
        check_colour_map(self.colour_map)
        return SaveOptions(
            colour_map=self.colour_map,
            colour_limits=None if self.colour_range is None else _limits(self.colour_range),
            surface_points=self.surface_points,
            edge=self.edge,
            drop=() if self.drop is None else parse_drop(self.drop),
            backing=self.backing,
            stereo=StereoOptions() if self.stereo is None else parse_stereo(self.stereo),
            relief_height=self.relief_height,
            relief_width=self.relief_width,
            relief_base=self.relief_base,
            normals_axes=self.normals_axes,
            overwrite=self.overwrite,
        )


def _limits(text: str) -> tuple[float, float]:
    """Range (near, far) of ``colour_range``."""
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
