"""Options of ``rilievo predict``: names, defaults, help and checks."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import tyro

from rilievo.calibration.lengths import Known, KnownLength, parse_known
from rilievo.errors import OptionError
from rilievo.io.colour import DEPTH_COLOURS, check_colour_map
from rilievo.io.output_table import OUTPUTS, unknown_output
from rilievo.io.stereo import StereoOptions, parse_stereo
from rilievo.models import DEFAULT_MODEL, FAST_MODEL
from rilievo.models.model_options import ModelOptions, check_rules, model_of
from rilievo.outside import is_place
from rilievo.predicting.cameras import Named, parse_numbers, read_camera, text_of
from rilievo.predicting.option_rules import EXCLUSIVE, GROUPS, RULES, TYPES

ALL = "all"


@dataclass(frozen=True, kw_only=True)
class PredictOptions(ModelOptions):
    """All options of ``rilievo predict`` besides its inputs.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = GROUPS

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = Path(
        "rilievo-output"
    )
    """Folder for the results; made when missing. Trees of input folders are kept."""
    quality: Annotated[str | None, tyro.conf.arg(metavar="fast|good|best")] = None
    """Quality in one word, instead of a model. fast: rilievo/small, the fastest that works offline.
    good: MoGe-2 small (141 MB, downloaded once; metres, normals, camera). best: MoGe-2 large (1,324
    MB).
    """
    model: Annotated[
        str,
        tyro.conf.arg(
            aliases=("-m",),
            metavar="NAME|FILE.onnx",
            help_behavior_hint=f"(default: {DEFAULT_MODEL}; of videos {FAST_MODEL})",
        ),
    ] = ""
    """Model to use: a name that 'rilievo models' lists, an ONNX file exported by rilievo, ORG/NAME
    of the Hugging Face hub (@REVISION may follow), or a folder that transformers saved.
    """
    save: Annotated[str, tyro.conf.arg(metavar="NAME,...")] = "colour"
    """Outputs to write, separated by commas: colour, png16, npy, npz, tiff, exr, normals,
    normals-npy, confidence, ply, glb, html, panel, stereo; or all; or package.module:NAME of an
    output of your own. A JSON file that describes them is always added.
    """
    camera: Annotated[str | None, tyro.conf.arg(metavar="F|FX,FY,CX,CY|FILE")] = None
    """Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY, the nine numbers
    of K, or a file of these; the centre of its top-left pixel is (0, 0). By default from EXIF, or
    else assumed; the JSON file says which.
    """
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view in degrees, instead of intrinsics."""
    vanishing_points: bool = False
    """Estimate an unknown focal length from straight edges at right angles (rooms, houses); it is
    assumed if they are not clear. Photographs only.
    """
    known: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="U,V,METRES|FILE.csv")
    ] = ()
    """Point of one photograph with known depth: column, row, metres along the axis (or
    U,V,METRES,ray for the straight distance from the camera); for several, repeat the option.
    Points of many photographs are read from a table with the header file,u,v,metres. Makes depth
    metric.
    """
    known_length: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="U1,V1,U2,V2,METRES|THING"),
    ] = ()
    """Known length in one photograph: column and row of both ends and the metres between them, or
    the name of a common object instead of the metres: a4, letter, card, door, brick, ... Makes
    depth metric, alone or with --known; for several, repeat the option.
    """
    markers: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Side of the black squares on a page that 'rilievo markers' wrote and that every photograph
    shows. Markers make depth metric, and several of them give an unknown focal length.
    """
    sparse: Annotated[Path | None, tyro.conf.arg(metavar="FILE|FOLDER")] = None
    """Depth from another instrument at some pixels (lidar, COLMAP, a phone's depth camera), which
    makes depth metric: a map as PNG, npy, npz, TIFF, EXR or PFM in which 0 is a gap, or a text with
    lines u v metres; for many photographs, a folder of files with their names.
    """
    sparse_unit: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Metres of one count of sparse depth: 0.001 for millimetres."""
    same_camera: bool = False
    """Treat all photographs as taken by one camera that does not move: facts about one (points,
    lengths or sparse depth) apply to all, at the same pixels.
    """
    own_depth: Literal["on", "off"] = "on"
    """Take metres from the depth map in a photograph's file (GDepth, Dynamic Depth, Apple's with
    absolute accuracy), if nothing else is known; off: ignore it.
    """
    camera_height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Height of the camera above the floor in metres; makes depth metric if the floor is visible.
    """
    tile: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """Side in pixels of overlapping tiles, for fine detail in large photographs."""
    sharp: Literal["on", "off"] = "on"
    """Enlarge the network's output along the edges of the photograph; off: smoothly."""
    trim: Literal["on", "off"] = "on"
    """Hide uniform borders (black bars, margins and frames of scans) from the network; they have no
    depth then. off: show it the whole picture.
    """
    batch_size: int = 1
    """Photographs that go through the network together; more than one is faster on a GPU."""
    colour_map: str = DEPTH_COLOURS
    """Colour map of depth pictures: viridis, turbo, magma, inferno, plasma, spectral, grey."""
    colour_range: Annotated[str | None, tyro.conf.arg(metavar="NEAR,FAR")] = None
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
    """Share of the photograph's width by which far surfaces continue behind near ones in glb and
    ply, in mirrored colours, for views from the side, such as 0.1; 0 for none.
    """
    stereo: Annotated[str | None, tyro.conf.arg(metavar="LAYOUT,...")] = None
    """Layout of stereo pictures: side-by-side, top-bottom or anaglyph; after commas, strength=SHARE
    of the width (0.03) and convergence=SHARE (0.5; at 1 nothing is in front of the screen).
    """
    sequence: bool = False
    """Take a folder of frames as one clip, in the order of their names."""
    fps: float = 30.0
    """Frames per second of a sequence."""
    independent: bool = False
    """Keep each frame's own scale; by default scales are aligned to avoid flicker."""
    resume: bool | Literal["hash"] = False
    """Make files of an earlier run anew also where their SHA-256 differs (--resume=hash). Without
    =hash it has no effect: every run skips what one with the same options has finished, adds
    missing formats, and makes anew what is missing, of another size, or begins or ends in zeros.
    """
    overwrite: bool = False
    """Replace what rilievo wrote before, with the same options or others. Files of other programs
    are never replaced.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, kinds, words in TYPES:
            if not isinstance(getattr(self, name), kinds):
                raise OptionError(f"{name} is {words}, got {getattr(self, name)!r}")
        if not all(isinstance(point, str) for point in self.known):
            raise OptionError("known is made of texts 'u,v,metres'; of a KnownPoint, str(point)")
        if not all(isinstance(length, str) for length in self.known_length):
            raise OptionError("known_length is made of texts 'u1,v1,u2,v2,metres'")
        object.__setattr__(self, "output", Path(self.output))
        if self.camera is not None and not _is_kept(self.camera):
            # In numbers, so that results record them and not the name of a file.
            named = read_camera(self.camera)
            assert named is not None, "it is given"
            object.__setattr__(self, "camera", text_of(named))
        if self.sparse is not None:
            object.__setattr__(self, "sparse", Path(self.sparse))
        object.__setattr__(self, "model", model_of(self.quality, self.model, default=""))
        check_rules(self, RULES)
        for name in ("sharp", "trim", "own_depth"):
            if getattr(self, name) not in ("on", "off"):
                raise OptionError(f"{_flag(name)} is on or off, got {getattr(self, name)!r}")
        if self.same_camera and not (self.known or self.known_length or self.sparse):
            raise OptionError(
                "--same-camera shares what is known, and nothing is: give --known, --known-length "
                "or --sparse"
            )
        if self.sparse_unit is not None and self.sparse is None:
            raise OptionError("--sparse-unit is the unit of --sparse FILE, which is not given")
        check_colour_map(self.colour_map)
        _ = self.formats, self.given_camera, self.known_facts, self.limits, self.model_settings
        _ = self.dropped, self.stereo_options
        for one, other in EXCLUSIVE:
            if getattr(self, one) and getattr(self, other):
                raise OptionError(f"{_flag(one)} and {_flag(other)} do not go together; give one")

    def model_for(self, *, video: bool) -> str:
        """Name of the model of photographs, or of videos, which have a faster default."""
        return self.model or (FAST_MODEL if video else DEFAULT_MODEL)

    @property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS``, in the table's order, each once; all of rilievo's for ``all``."""
        asked = [name.strip() for name in self.save.split(",") if name.strip()]
        asked = ["colour" if name == "color" else name for name in asked]
        if not asked:
            raise OptionError(f"--save names nothing; known: {', '.join(OUTPUTS)}, all")
        for name in asked:
            if is_place(name):
                OUTPUTS.find(name)
            elif name == "json":
                raise OptionError("--save json: leave it out, since a JSON is always written")
            elif name != ALL and name not in OUTPUTS:
                raise OptionError(
                    f"--save has no '{name}'; {unknown_output(name, [*OUTPUTS, ALL])}"
                )
        return OUTPUTS.ordered([*asked, *(OUTPUTS.own if ALL in asked else ())])

    @property
    def asks_for_all(self) -> bool:
        """Whether outputs that cannot be made are left out instead of refused."""
        return ALL in (name.strip() for name in self.save.split(","))

    @property
    def given_camera(self) -> Named | None:
        """Camera of ``--camera``; None if it is not given."""
        return None if self.camera is None else parse_numbers(self.camera)

    @property
    def knows(self) -> bool:
        """Whether a known size makes every kind of depth metric."""
        return bool(self.known or self.known_length or self.sparse or self.markers)

    @property
    def known_facts(self) -> tuple[Known, ...]:
        """Facts of ``--known`` and ``--known-length``; empty if ``--known`` names a table."""
        if self.known_table:
            return ()
        points = tuple(parse_known(text) for text in self.known)
        return (*points, *map(_length, self.known_length))

    @property
    def known_table(self) -> Path | None:
        """Table that ``--known`` names; None if it names none."""
        tables = [text for text in self.known if text.lower().endswith(".csv")]
        if tables and len(self.known) + len(self.known_length) > 1:
            raise OptionError("--known is one table, or points U,V,METRES: give one of the two")
        return Path(tables[0]) if tables else None

    @property
    def dropped(self) -> tuple[str, ...]:
        """Parts of ``--drop``."""
        if self.drop is None:
            return ()
        from rilievo.io.dropping import parse_drop

        return parse_drop(self.drop)

    @property
    def stereo_options(self) -> StereoOptions:
        """Parts of ``--stereo``."""
        return StereoOptions() if self.stereo is None else parse_stereo(self.stereo)

    @property
    def limits(self) -> tuple[float, float] | None:
        """Range (near, far) of ``--colour-range``."""
        if self.colour_range is None:
            return None
        near, far = _numbers("--colour-range", self.colour_range, ("NEAR", "FAR"))
        if not 0 < near < far:
            raise OptionError(f"--colour-range: 0 < NEAR < FAR, got {near:g},{far:g}")
        return near, far


def _is_kept(camera: object) -> bool:
    """Whether a camera is a text of numbers already, which is recorded as it was given."""
    return isinstance(camera, str) and bool(re.match(r"[\s\d.,eE+-]+$", camera))


def _length(text: str) -> KnownLength:
    known = parse_known(text)
    if not isinstance(known, KnownLength):
        raise OptionError(f"--known-length is U1,V1,U2,V2,METRES, got '{text}'")
    return known


def _numbers(flag: str, text: str, names: tuple[str, ...]) -> list[float]:
    parts = text.split(",")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = []
    if len(values) != len(names) or not all(math.isfinite(value) for value in values):
        raise OptionError(f"{flag} is {','.join(names)}, finite numbers, got '{text}'")
    return values


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
