"""Options of saving: where results go, which outputs are made, and how they look."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypedDict

import tyro

from rilievo.errors import OptionError
from rilievo.io.colour_maps import DEPTH_COLOURS, check_colour_map
from rilievo.io.outputs.drop_option import parse_drop
from rilievo.io.outputs.save_options import MOST_BACKING, SaveOptions
from rilievo.io.outputs.stereo import StereoOptions, parse_stereo
from rilievo.options.option_marks import LIVE, LOCAL, UNRECORDED
from rilievo.options.option_record import Record, Rule
from rilievo.plugins import is_place
from rilievo.prediction.output_table import OUTPUTS, unknown_output

ALL = "all"


class SavingOptions(TypedDict, total=False):
    """Keywords of ``Saving``."""

    output: str | Path
    save: str
    overwrite: bool
    resume: bool | Literal["hash"]
    colour_map: str
    colour_range: str | None
    surface_points: int
    edge: float
    drop: str | None
    backing: float
    stereo: str | None
    keep_answers: Literal["auto", "on", "off"]


@dataclass(frozen=True, kw_only=True)
class Saving(Record):
    """Files that a run writes.

    Those options that outputs name in ``OUTPUTS`` are recorded with each file that they concern.
    """

    GROUP: ClassVar[str] = "Output"
    TYPES: ClassVar[tuple[tuple[str, type | tuple[type, ...], str], ...]] = (
        ("output", (str, Path), "a path"),
        ("save", str, "text such as 'colour,ply'"),
        ("keep_answers", str, "auto, on or off"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        ("resume", lambda value: value in (False, True, "hash"), "True, False or 'hash'"),
        ("surface_points", lambda value: value >= 100, "100 or more"),
        ("edge", lambda value: 0 < value < math.inf, "a positive number"),
        ("backing", lambda value: 0 <= value <= MOST_BACKING, f"between 0 and {MOST_BACKING}"),
    )
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (("resume", "overwrite"),)

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER"), LOCAL, UNRECORDED] = (
        Path("rilievo-output")
    )
    """Folder for the results; made when missing. Trees of input folders are kept."""
    save: Annotated[str, tyro.conf.arg(metavar="NAME,..."), LOCAL, UNRECORDED] = "colour"
    """Outputs to write, separated by commas: colour, png16, npy, npz, tiff, exr, normals,
    normals-npy, confidence, sky, ply, splat, glb, html, turn, turn-mp4, panel, stereo; or all; or
    package.module:NAME of an output of your own. A JSON file that describes them is always added.
    """
    overwrite: Annotated[bool, LOCAL, UNRECORDED] = False
    """Replace what rilievo wrote before, with the same options or others. Files of other programs
    are never replaced.
    """
    resume: Annotated[bool | Literal["hash"], LOCAL, UNRECORDED] = False
    """Make files of an earlier run anew also where their SHA-256 differs (--resume=hash). Without
    =hash it has no effect: every run skips what one with the same options has finished, adds
    missing formats, and makes anew what is missing, of another size, or begins or ends in zeros.
    """
    colour_map: Annotated[str, LIVE] = DEPTH_COLOURS
    """Colour map of depth pictures: viridis, turbo, magma, inferno, plasma, spectral, grey."""
    colour_range: Annotated[str | None, tyro.conf.arg(metavar="NEAR,FAR"), LIVE] = None
    """Depths at the ends of the colour map, in the units of the result; by default the 2nd and 98th
    percentile of each photograph, or of a whole video.
    """
    surface_points: int = 1_000_000
    """Most points of a cloud, or vertices of a mesh; larger photographs are subsampled."""
    edge: float = 0.08
    """Relative jump in depth between neighbours at which a surface is cut."""
    drop: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """Parts to leave out of surfaces: sky, background, or background=SHARE, separated by commas.
    The background is beyond that share of the way from near to far; by default beyond half of
    it."""
    backing: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 0.0
    """Share of the photograph's width by which far surfaces continue behind near ones in glb, ply
    and splat, in mirrored colours, for views from the side, such as 0.1; 0 for none (turns have
    0.15).
    """
    stereo: Annotated[str | None, tyro.conf.arg(metavar="LAYOUT,...")] = None
    """Layout of stereo pictures: side-by-side, top-bottom or anaglyph; after commas, strength=SHARE
    of the width (0.03) and convergence=SHARE (0.5; at 1 nothing is in front of the screen).
    """

    keep_answers: Annotated[
        Literal["auto", "on", "off"], tyro.conf.arg(metavar="auto|on|off"), LOCAL, UNRECORDED
    ] = "auto"
    """Keep the network's answer to each photograph beside its results, so that 'rilievo predict
    RESULTS/' writes other formats, colours, cuts and metres without the network. auto: for up to
    100 photographs in one process.
    """

    def __post_init__(self) -> None:
        check_colour_map(self.colour_map)
        if self.keep_answers not in ("auto", "on", "off"):
            raise OptionError(f"--keep-answers is auto, on or off, got '{self.keep_answers}'")
        super().__post_init__()
        object.__setattr__(self, "output", Path(self.output))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names that ``save`` has, American spelling replaced."""
        names = [name.strip() for name in self.save.split(",") if name.strip()]
        return tuple("colour" if name == "color" else name for name in names)

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS``, in the table's order, each once; all of rilievo's for ``all``."""
        if not self.names:
            raise OptionError(f"--save names nothing; known: {', '.join(OUTPUTS)}, all")
        for name in self.names:
            if is_place(name):
                OUTPUTS.find(name)
            elif name == "json":
                raise OptionError("--save json: leave it out, since a JSON is always written")
            elif name != ALL and name not in OUTPUTS:
                raise OptionError(
                    f"--save has no '{name}'; {unknown_output(name, [*OUTPUTS, ALL])}"
                )
        return OUTPUTS.ordered([*self.names, *(OUTPUTS.own if self.asks_for_all else ())])

    @property
    def asks_for_all(self) -> bool:
        """Whether outputs that cannot be made are left out instead of refused."""
        return ALL in self.names

    @cached_property
    def limits(self) -> tuple[float, float] | None:
        """Range (near, far) of ``colour_range``."""
        if self.colour_range is None:
            return None
        try:
            values = tuple(float(part) for part in self.colour_range.split(","))
        except ValueError:
            values = ()
        if len(values) != 2 or not all(map(math.isfinite, values)):
            raise OptionError(
                f"--colour-range is NEAR,FAR, finite numbers, got '{self.colour_range}'"
            )
        near, far = values
        if not 0 < near < far:
            raise OptionError(f"--colour-range: 0 < NEAR < FAR, got {near:g},{far:g}")
        return near, far

    @cached_property
    def dropped(self) -> tuple[str, ...]:
        """Parts of ``drop``."""
        if self.drop is None:
            return ()
        return parse_drop(self.drop)

    @cached_property
    def layout(self) -> StereoOptions:
        """Parts of ``stereo``."""
        return StereoOptions() if self.stereo is None else parse_stereo(self.stereo)

    @cached_property
    def files(self) -> SaveOptions:
        """The same as options of writing files."""
        return SaveOptions(
            colour_map=self.colour_map,
            colour_limits=self.limits,
            surface_points=self.surface_points,
            edge=self.edge,
            drop=self.dropped,
            backing=self.backing,
            stereo=self.layout,
            overwrite=self.overwrite,
        )
