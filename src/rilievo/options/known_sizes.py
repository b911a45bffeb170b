"""Options of known sizes: points, lengths, rectangles, sparse depth, markers, camera height."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np

from rilievo.calibration.depth_errors import parse_depth_error
from rilievo.calibration.sizes import (
    Known,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
    parse_rectangle,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.records.instruments import DepthError
from rilievo.schema.fields import Interface, Record, Switch, SwitchLike, option

KnownLike = Known | str | tuple[float, float, float] | tuple[float, float, float, float, float]
"""What users may pass as an item of ``known`` in Python."""

_EXPECTED = (
    "a list of rilievo.KnownPoint, rilievo.KnownLength, rilievo.KnownRectangle, (u, v, metres) or "
    '(u1, v1, u2, v2, metres), or texts "u,v,metres"'
)


@dataclass(frozen=True, kw_only=True)
class KnownSizes(Record):
    """What the user measured in a photograph, or has from another instrument."""

    GROUP: ClassVar[str] = "Camera and metres"
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("known", "camera_height"),
        ("known_length", "camera_height"),
        ("known_rectangle", "camera_height"),
        ("sparse", "camera_height"),
        ("markers", "camera_height"),
        ("markers", "sparse"),
        ("sparse", "known"),
        ("sparse", "known_length"),
        ("sparse", "known_rectangle"),
    )

    known: Annotated[
        tuple[str, ...],
        option(
            in_short_help=True,
            repeats=True,
            metavar="U,V,METRES|FILE.csv",
            expected=_EXPECTED,
            recorded="never",
            python_type=Sequence[KnownLike],
            request="Point whose depth is known: U,V,METRES, or U,V,METRES,ray for a distance "
            "straight from the camera; repeat it for several.",
        ),
    ] = ()
    """Point of one photograph with known depth: column, row, metres along the axis (U,V,METRES,ray:
    from the camera). Makes depth metric. Repeat the option for several; those of many photographs
    are in a table with the header file,u,v,metres.
    """
    known_length: Annotated[
        tuple[str, ...],
        option(
            in_short_help=True,
            repeats=True,
            metavar="U1,V1,U2,V2,METRES|THING",
            available_in=Interface.COMMAND | Interface.HTTP,
            recorded="never",
            python_type=Sequence[str],
            request="Length that is known: U1,V1,U2,V2,METRES, or a usual thing such as a4 or "
            "door in place of the metres; repeat it for several.",
        ),
    ] = ()
    """Known length in one photograph: column and row of both ends, and metres or an object: a4,
    letter, card, door, brick, ... Makes depth metric, alone or with --known. Repeat the option for
    several.
    """
    known_rectangle: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            metavar="U1,V1,U2,V2,U3,V3,U4,V4,WHAT",
            available_in=Interface.COMMAND | Interface.HTTP,
            recorded="never",
            python_type=Sequence[str],
            request="Rectangle that is known: column and row of its corners, in order around it, "
            "and a4, a5, letter, card, euro-pallet or its sides, such as 90cm x 2.1m (from corner "
            "1 to 2, then 2 to 3); repeat it for several.",
        ),
    ] = ()
    """Known rectangle in one photograph: column and row of four corners, in order around it, and
    a4, a5, letter, card, euro-pallet, or sides such as "90cm x 2.1m" (from corner 1 to 2, then 2 to
    3). Makes depth metric and, seen at a slant, gives an unknown focal length; lengths in its plane
    need no network. Repeat the option for several.
    """
    sparse: Annotated[
        Path | None,
        option(
            in_short_help=True,
            metavar="FILE|FOLDER",
            expected="an array (h, w) in metres, or a file",
            available_in=Interface.LOCAL,
            recorded="never",
            python_type=str | Path | np.ndarray | None,
        ),
    ] = None
    """Depth from another instrument at some pixels (lidar, a phone), which makes depth metric: a
    map as PNG, npy, npz, TIFF, EXR or PFM in which 0 is a gap, or a text with lines u v metres; for
    many photographs, a folder of files with their names. COLMAP: see 'rilievo example colmap'.
    """
    sparse_unit: Annotated[
        float | None,
        option(
            metavar="METRES",
            above=0,
            unit="metres",
            names_unit=True,
            available_in=Interface.LOCAL,
            recorded="never",
        ),
    ] = None
    """Metres of one count of sparse depth (0.001, 1/256), or its unit (mm, cm, m, in)."""
    depth_error: Annotated[
        str | None,
        option(metavar="1%|10mm|0.3%/m", available_in=Interface.LOCAL, recorded="changed"),
    ] = None
    """Error that 8 in 10 depths of the sensor (--sparse) stay below, for the ranges of
    measurements: a share of depth (1%), a length (10mm), a share for each metre of depth (0.3%/m,
    as of stereo cameras), or a sum of these (5mm+0.5%). By default 2 % is assumed.
    """
    sparse_kind: Annotated[
        Literal["metric", "distance"] | None, option(available_in=Interface.LOCAL, recorded="never")
    ] = None
    """Meaning of sparse depth: metric (along the optical axis) or distance (along the ray, as many
    time-of-flight sensors, laser scanners and simulators give it). By default what the file states,
    else metric, and distance of a fisheye or panorama.
    """
    sparse_crop: Annotated[
        str | None,
        option(
            metavar="TOP,LEFT,HEIGHT,WIDTH|WORD", available_in=Interface.LOCAL, recorded="never"
        ),
    ] = None
    """Part of the photograph that a map of sparse depth is of [px], or resized: all of it, in
    another size. Equal sizes and whole multiples need none.
    """
    sparse_encoding: Annotated[
        str | None, option(metavar="KEY=VALUE...", available_in=Interface.LOCAL, recorded="never")
    ] = None
    """What the numbers of sparse depth hold besides depth: pairs of scale, offset, invalid, bits,
    channels, min_depth, max_depth and array, such as "bits=3,13 scale=0.001 invalid=0,65535".
    """
    camera_height: Annotated[
        float | None,
        option(in_short_help=True, metavar="METRES", above=0, unit="metres", recorded="always"),
    ] = None
    """Height of the camera above the floor in metres; makes depth metric if the floor is visible.
    """
    markers: Annotated[
        float | None,
        option(
            in_short_help=True, metavar="METRES", above=0, below=10, unit="metres (0.06 for 60 mm)"
        ),
    ] = None
    """Side of the black squares on a page of 'rilievo markers' that every photograph shows. They
    make depth metric, and several give an unknown focal length.
    """
    same_camera: Annotated[bool, option(available_in=Interface.COMMAND, recorded="never")] = False
    """Treat all photographs as of one camera that does not move: points, lengths or sparse depth of
    one apply to all, at the same pixels.
    """
    own_depth: Annotated[Switch, option(python_type=SwitchLike)] = Switch.ON
    """Take metres from the depth map in a photograph's file (GDepth, Dynamic Depth, Apple's with
    absolute accuracy), if nothing else is known; off: ignore it.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_same_camera()
        self._check_options_of_sparse_depth()

    def _check_same_camera(self) -> None:
        """Refuse ``same_camera`` if there is nothing that applies to all photographs."""
        has_something_to_share = self.known or self.known_sizes or self.sparse is not None
        if self.same_camera and not has_something_to_share:
            raise OptionError(
                option="same_camera",
                problem="shares what is known, and nothing is",
                hint=Text(
                    "give ",
                    OptionName("known"),
                    ", ",
                    OptionName("known_length"),
                    ", ",
                    OptionName("known_rectangle"),
                    " or ",
                    OptionName("sparse"),
                ),
            )

    def _check_options_of_sparse_depth(self) -> None:
        """Refuse options about sparse depth if there is none."""
        if self.sparse is not None:
            return
        for name, beginning in (
            ("sparse_unit", "the unit of "),
            ("sparse_kind", "the meaning of "),
            ("sparse_crop", "a part of "),
            ("sparse_encoding", "the numbers of "),
            ("depth_error", "the error of "),
        ):
            if getattr(self, name) is not None:
                raise OptionError(
                    option=name,
                    expected=Text(beginning, OptionName("sparse")),
                    hint=Text("give ", OptionName("sparse"), " FILE too"),
                )

    @cached_property
    def stated_depth_error(self) -> DepthError | None:
        """Error of the sensor that ``depth_error`` states; None if the user states none."""
        return None if self.depth_error is None else parse_depth_error(self.depth_error)

    @cached_property
    def table(self) -> Path | None:
        """Table of the points of many photographs, if ``known`` names one."""
        texts = [item for item in self.known if isinstance(item, str)]
        tables = [text for text in texts if text.lower().endswith(".csv")]
        all_items = (*self.known, *self.known_length, *self.known_rectangle)
        if tables and len(all_items) > 1:
            raise OptionError(
                option="known",
                expected="one table, or points U,V,METRES",
                hint="give one of the two",
            )
        return Path(tables[0]) if tables else None

    @cached_property
    def known_sizes(self) -> tuple[Known, ...]:
        """Known points, lengths and rectangles; none if they are in a table."""
        if self.table is not None:
            return ()
        return (
            *map(_read_known, self.known),
            *map(_parse_known_length, self.known_length),
            *map(_parse_known_rectangle, self.known_rectangle),
        )

    @property
    def makes_metric(self) -> bool:
        """Whether something other than the camera height makes depth metric."""
        is_anything_measured = self.known or self.known_sizes or self.markers
        return bool(is_anything_measured) or self.sparse is not None

    @property
    def reads_own_depth(self) -> bool:
        """Whether the file's own depth map may give metres, because nothing else does."""
        return bool(self.own_depth) and not self.makes_metric and self.camera_height is None


def _read_known(item: KnownLike) -> Known:
    if isinstance(item, str):
        return parse_known(item)
    if isinstance(item, KnownPoint | KnownLength | KnownRectangle):
        return item
    parts = item if isinstance(item, tuple | list) else ()
    numbers = [float(part) for part in parts if isinstance(part, float | int | np.number)]
    are_all_numbers = len(numbers) == len(parts)
    if are_all_numbers and len(numbers) == 3:
        u, v, metres = numbers
        return KnownPoint(u=u, v=v, metres=metres)
    if are_all_numbers and len(numbers) == 5:
        u1, v1, u2, v2, metres = numbers
        return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    raise OptionError(option="known", expected=_EXPECTED, value=item)


def _parse_known_length(text: str) -> KnownLength:
    length = parse_known(text) if isinstance(text, str) else text
    if not isinstance(length, KnownLength):
        raise OptionError(option="known_length", expected="U1,V1,U2,V2,METRES", value=text)
    return length


def _parse_known_rectangle(text: str) -> KnownRectangle:
    return parse_rectangle(text) if isinstance(text, str) else text
