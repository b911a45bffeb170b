"""Options of sizes that the user knows, which make depth metric."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, TypedDict

import numpy as np
import tyro

from rilievo.calibration.lengths import Known, KnownLength, KnownPoint, parse_known
from rilievo.errors import OptionError
from rilievo.options.on_off import Switch, SwitchLike
from rilievo.options.option_marks import ALWAYS_RECORDED, LOCAL, UNRECORDED, InRequests
from rilievo.options.option_record import Record, Rule

KnownLike = Known | str | tuple[float, float, float] | tuple[float, float, float, float, float]
"""A known point or length, or its numbers."""

_KNOWN = (
    "a list of rilievo.KnownPoint, rilievo.KnownLength, (u, v, metres) or "
    '(u1, v1, u2, v2, metres), or texts "u,v,metres"'
)
_KNOWN_LENGTH = "a list of texts 'u1,v1,u2,v2,metres'"


class KnownArguments(TypedDict, total=False):
    """Arguments of ``rilievo.predict`` that ``KnownSizes`` holds."""

    known: Sequence[KnownLike]
    sparse: str | Path | np.ndarray | None
    sparse_unit: float | None
    markers: float | None
    camera_height: float | None
    own_depth: SwitchLike


class KnownOptions(KnownArguments, total=False):
    """All that ``KnownSizes`` holds; some of it is for runs over files alone."""

    known_length: Sequence[str]
    same_camera: bool


@dataclass(frozen=True, kw_only=True)
class KnownSizes(Record):
    """Sizes that the user knows: points, lengths, markers, sparse depth, the camera's height.

    ``known`` may hold records and numbers too, and ``sparse`` an array, where Python gives them.
    """

    GROUP: ClassVar[str] = "Camera and metres"
    RULES: ClassVar[tuple[Rule, ...]] = (
        ("camera_height", lambda value: 0 < value < math.inf, "a positive number of metres"),
        ("markers", lambda value: 0 < value < 10, "the side in metres, below 10 (0.06 for 60 mm)"),
        ("sparse_unit", lambda value: 0 < value < math.inf, "a positive number of metres"),
    )
    TYPES: ClassVar[tuple[tuple[str, type | tuple[type, ...], str], ...]] = (
        ("known", (tuple, list), _KNOWN),
        ("known_length", (tuple, list), _KNOWN_LENGTH),
    )
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("known", "camera_height"),
        ("known_length", "camera_height"),
        ("sparse", "camera_height"),
        ("markers", "camera_height"),
        ("markers", "sparse"),
        ("sparse", "known"),
        ("sparse", "known_length"),
    )

    known: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="U,V,METRES|FILE.csv"),
        UNRECORDED,
        InRequests(
            "Point whose depth is known: U,V,METRES, or U,V,METRES,ray for a distance straight "
            "from the camera; repeat it for several."
        ),
    ] = ()
    """Point of one photograph with known depth: column, row, metres along the axis (or
    U,V,METRES,ray for the straight distance from the camera); for several, repeat the option.
    Points of many photographs are read from a table with the header file,u,v,metres. Makes depth
    metric.
    """
    known_length: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="U1,V1,U2,V2,METRES|THING"),
        UNRECORDED,
        InRequests(
            "Length that is known: U1,V1,U2,V2,METRES, or a usual thing such as a4 or door in "
            "place of the metres; repeat it for several."
        ),
    ] = ()
    """Known length in one photograph: column and row of both ends and the metres between them, or
    the name of a common object instead of the metres: a4, letter, card, door, brick, ... Makes
    depth metric, alone or with --known; for several, repeat the option.
    """
    sparse: Annotated[Path | None, tyro.conf.arg(metavar="FILE|FOLDER"), LOCAL, UNRECORDED] = None
    """Depth from another instrument at some pixels (lidar, a phone's depth camera), which makes
    depth metric: a map as PNG, npy, npz, TIFF, EXR or PFM in which 0 is a gap, or a text with lines
    u v metres; for many photographs, a folder of files with their names. A model of COLMAP is for
    'rilievo example colmap'.
    """
    sparse_unit: Annotated[float | None, tyro.conf.arg(metavar="METRES"), LOCAL, UNRECORDED] = None
    """Metres of one count of sparse depth: 0.001 for millimetres."""
    camera_height: Annotated[float | None, tyro.conf.arg(metavar="METRES"), ALWAYS_RECORDED] = None
    """Height of the camera above the floor in metres; makes depth metric if the floor is visible.
    """
    markers: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Side of the black squares on a page that 'rilievo markers' wrote and that every photograph
    shows. Markers make depth metric, and several of them give an unknown focal length.
    """
    same_camera: Annotated[bool, LOCAL, UNRECORDED] = False
    """Treat all photographs as taken by one camera that does not move: facts about one (points,
    lengths or sparse depth) apply to all, at the same pixels.
    """
    own_depth: Switch = Switch.ON
    """Take metres from the depth map in a photograph's file (GDepth, Dynamic Depth, Apple's with
    absolute accuracy), if nothing else is known; off: ignore it.
    """

    def __post_init__(self) -> None:
        sparse: object = self.sparse
        if isinstance(sparse, str):
            object.__setattr__(self, "sparse", Path(sparse))
        elif not isinstance(sparse, Path | np.ndarray | None):
            raise OptionError("sparse is an array (h, w) in metres, or a file as --sparse takes it")
        super().__post_init__()
        if self.same_camera and not (self.known or self.known_length or self.sparse is not None):
            raise OptionError(
                "--same-camera shares what is known, and nothing is: give --known, --known-length "
                "or --sparse"
            )
        if self.sparse_unit is not None and self.sparse is None:
            raise OptionError("--sparse-unit is the unit of --sparse FILE, which is not given")

    @cached_property
    def table(self) -> Path | None:
        """Table that ``known`` names; None if it names none."""
        texts = [each for each in self.known if isinstance(each, str)]
        tables = [text for text in texts if text.lower().endswith(".csv")]
        if tables and len(self.known) + len(self.known_length) > 1:
            raise OptionError("--known is one table, or points U,V,METRES: give one of the two")
        return Path(tables[0]) if tables else None

    @cached_property
    def facts(self) -> tuple[Known, ...]:
        """Known points and lengths; empty if ``known`` names a table."""
        if self.table is not None:
            return ()
        return (*map(_read, self.known), *map(_length, self.known_length))

    @cached_property
    def text(self) -> str:
        """Known points and lengths as they were written, in one line; empty if of a table."""
        if self.table is not None:
            return ""
        pairs = zip((*self.known, *self.known_length), self.facts, strict=True)
        return " ".join(each if isinstance(each, str) else str(fact) for each, fact in pairs)

    @property
    def makes_metric(self) -> bool:
        """Whether a known size makes every kind of depth metric."""
        return bool(self.known or self.known_length or self.markers) or self.sparse is not None


def _read(known: KnownLike) -> Known:
    if isinstance(known, str):
        return parse_known(known)
    if isinstance(known, KnownPoint | KnownLength):
        return known
    parts = known if isinstance(known, tuple | list) else ()
    numbers = [float(each) for each in parts if isinstance(each, float | int | np.number)]
    if len(numbers) == len(parts) == 3:
        u, v, metres = numbers
        return KnownPoint(u=u, v=v, metres=metres)
    if len(numbers) == len(parts) == 5:
        u1, v1, u2, v2, metres = numbers
        return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    raise OptionError(f"known is {_KNOWN}; found {known!r}")


def _length(text: str) -> KnownLength:
    known = parse_known(text) if isinstance(text, str) else text
    if not isinstance(known, KnownLength):
        raise OptionError(f"--known-length is U1,V1,U2,V2,METRES, got '{text}'")
    return known
