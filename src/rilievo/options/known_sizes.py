"""Options of known sizes: points, lengths, rectangles, sparse depth, markers, camera height."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from rilievo.arrays.shapes import Transform
from rilievo.calibration.sizes import (
    Known,
    KnownCircle,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_circle,
    parse_known,
    parse_length,
    parse_rectangle,
)
from rilievo.errors import OptionError
from rilievo.errors.messages import AnyOf, OptionName, Text
from rilievo.options.sensor_transform import (
    SensorTransformLike,
    read_sensor_transform,
    transform_text,
)
from rilievo.records.instruments import DepthError, parse_depth_error
from rilievo.schema.fields import Interface, Record, Switch, SwitchLike, option

_OPTIONS_OF_SPARSE_DEPTH = (
    "cam_T_sensor",
    "sparse_unit",
    "sparse_kind",
    "sparse_crop",
    "sparse_encoding",
    "depth_error",
)
"""Options that say something about ``sparse``."""

KnownLike = Known | str | tuple[float, float, float] | tuple[float, float, float, float, float]
"""What users may pass as an item of ``known`` in Python."""

_EXPECTED = (
    "a list whose items are rilievo.KnownPoint, rilievo.KnownLength, rilievo.KnownRectangle, "
    'rilievo.KnownCircle, (u, v, metres), (u1, v1, u2, v2, metres) or strings such as "u,v,metres"'
)


@dataclass(frozen=True, kw_only=True)
class KnownSizes(Record):
    """What the user measured in a photograph, or has from another instrument."""

    # In ``option``, ``request`` is the help text of the HTTP server, ``available_in`` limits the
    # interfaces that offer an option, and ``recorded`` says when results state its value.
    HELP_TITLE: ClassVar[str] = "Camera and metres"
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("known", "camera_height"),
        ("known_length", "camera_height"),
        ("known_rectangle", "camera_height"),
        ("known_circle", "camera_height"),
        ("sparse", "camera_height"),
        ("markers", "camera_height"),
        ("markers", "sparse"),
        ("sparse", "known"),
        ("sparse", "known_length"),
        ("sparse", "known_rectangle"),
        ("sparse", "known_circle"),
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
            "straight from the camera. Repeat the parameter for several points.",
        ),
    ] = ()
    """Known depth at one point of a photograph: column, row and metres along the optical axis. For
    the straight-line distance from the camera, write U,V,METRES,ray. Makes depth metric. Repeat the
    option for several points. For many photographs, give a CSV table with the header
    file,u,v,metres.
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
            request="Known length: U1,V1,U2,V2,METRES, or a common object such as a4 or door in "
            "place of the metres. Repeat the parameter for several lengths.",
        ),
    ] = ()
    """Known length in a photograph: column and row of both ends, then metres or the name of an
    object (a4, letter, card, door, brick, ...). Makes depth metric. Repeat the option for several
    lengths; you can combine it with --known.
    """
    known_rectangle: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            metavar="U1,V1,U2,V2,U3,V3,U4,V4,WHAT",
            available_in=Interface.COMMAND | Interface.HTTP,
            recorded="never",
            python_type=Sequence[str],
            request="Known rectangle: column and row of the corners, in order around it, and then "
            "a4, a5, letter, card, euro-pallet or the sides, such as 90cm x 2.1m (from corner 1 to "
            "2, then from 2 to 3). Repeat the parameter for several rectangles.",
        ),
    ] = ()
    """Known rectangle in a photograph: column and row of its four corners, in order around it, then
    a4, a5, letter, card, euro-pallet, or both sides such as "90cm x 2.1m" (first from corner 1 to
    2, then from 2 to 3). Makes depth metric. If the rectangle is seen at a slant, it also
    determines an unknown focal length. Lengths in its plane need no network. Repeat the option for
    several.
    """
    known_circle: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            metavar="U1,V1,...,U5,V5,DIAMETER",
            available_in=Interface.COMMAND | Interface.HTTP,
            recorded="never",
            python_type=Sequence[str],
            request="Known circle: column and row of five or more points of its rim, or its "
            "ellipse (U,V,WIDTH,HEIGHT,ANGLE), or its box (U1,V1,U2,V2), and then its diameter, "
            "such as 23mm. Repeat the parameter for several circles.",
        ),
    ] = ()
    """Known circle in a photograph, such as a coin or a plate: column and row of five or more
    points of its rim, then its diameter (23.25mm, or 1-euro, 2-euro, us-quarter, cd). In place of
    the points, you can give the ellipse (U,V,WIDTH,HEIGHT,ANGLE) or, if it is not tilted, its box
    (U1,V1,U2,V2). Makes depth metric, also of a circle that is seen at a slant. Repeat the option
    for several.
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
    """Depth that a sensor measured at some of the pixels, for example a lidar or a phone. Makes
    depth metric. Give a map (PNG, npy, npz, TIFF, EXR or PFM) in which 0 means no depth, a text
    file with lines u v metres, or a point cloud (PCD or PLY). For many photographs, give a folder
    of files with the same names. For COLMAP, see 'rilievo example colmap'.
    """
    cam_T_sensor: Annotated[
        str | None,
        option(
            metavar="FILE|NUMBERS",
            available_in=Interface.LOCAL,
            python_type=SensorTransformLike | None,
        ),
    ] = None
    """Pose of the sensor whose points --sparse states, if it stands beside the camera: the
    transform that takes its points (x, y, z in metres) to the frame of the camera (x right, y down,
    z forward). Give 12 or 16 numbers row by row (3x4 or 4x4), or a text file with them. The camera
    must be known. A text file of --sparse then has lines x y z.
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
    """Unit of the sparse depth: metres per stored value (0.001, 1/256) or a name (mm, cm, m, in).
    """
    depth_error: Annotated[
        str | None,
        option(metavar="1%|10mm|0.3%/m", available_in=Interface.LOCAL, recorded="changed"),
    ] = None
    """Error that 8 in 10 depths of the sensor (--sparse) do not exceed. It determines the ranges of
    measurements. Write a percentage of depth (1%), a length (10mm), a percentage per metre of depth
    (0.3%/m, for stereo cameras), or a sum of these (5mm+0.5%). By default 2%.
    """
    sparse_kind: Annotated[
        Literal["metric", "distance"] | None, option(available_in=Interface.LOCAL, recorded="never")
    ] = None
    """Meaning of the sparse depth: metric (along the optical axis) or distance (along the ray, as
    many time-of-flight sensors, laser scanners and simulators give it). By default what the file
    states, otherwise metric, or distance for a fisheye or panorama.
    """
    sparse_crop: Annotated[
        str | None,
        option(
            metavar="TOP,LEFT,HEIGHT,WIDTH|WORD", available_in=Interface.LOCAL, recorded="never"
        ),
    ] = None
    """Part of the photograph that the sparse depth map covers, in pixels, or 'resized' if it covers
    all of it at another size. You do not need this if the sizes are equal or whole multiples.
    """
    sparse_encoding: Annotated[
        str | None, option(metavar="KEY=VALUE...", available_in=Interface.LOCAL, recorded="never")
    ] = None
    """How the values of the sparse depth encode depth, as KEY=VALUE pairs such as "bits=3,13
    scale=0.001 invalid=0,65535". The keys are scale, offset, invalid, bits, channels, min_depth,
    max_depth and array.
    """
    camera_height: Annotated[
        float | None,
        option(in_short_help=True, metavar="METRES", above=0, unit="metres", recorded="always"),
    ] = None
    """Height of the camera above the floor in metres. Makes depth metric if the floor is visible.
    """
    markers: Annotated[
        float | None,
        option(
            in_short_help=True, metavar="METRES", above=0, below=10, unit="metres (0.06 for 60 mm)"
        ),
    ] = None
    """Side of the black squares on the page that 'rilievo markers' writes. Every photograph must
    show the page. Makes depth metric, and several markers determine an unknown focal length.
    """
    same_camera: Annotated[bool, option(available_in=Interface.COMMAND, recorded="never")] = False
    """Assume that all photographs were taken by one camera that did not move, so that the known
    points, lengths or sparse depth apply to all of them at the same pixels.
    """
    own_depth: Annotated[Switch, option(python_type=SwitchLike)] = Switch.ON
    """Use the depth map inside the photograph's file for metres, if nothing else is known (GDepth,
    Dynamic Depth, and Apple's with absolute accuracy). off: ignore it.
    """

    def __post_init__(self) -> None:
        if self.cam_T_sensor is not None:
            # Results record the numbers, as those of a camera, and not the name of a file.
            transform = read_sensor_transform(self.cam_T_sensor)
            object.__setattr__(self, "cam_T_sensor", transform_text(transform))
        super().__post_init__()
        self._check_same_camera()
        self._check_options_of_sparse_depth()

    def _check_same_camera(self) -> None:
        """Check that ``same_camera`` comes with sizes that then apply to all photographs."""
        has_known_sizes = bool(self.known or self.known_sizes) or self.sparse is not None
        if self.same_camera and not has_known_sizes:
            names = ("known", "known_length", "known_rectangle", "known_circle", "sparse")
            raise OptionError(
                option="same_camera",
                problem="needs known sizes that all photographs share, but none are given",
                hint=Text("give ", AnyOf(*map(OptionName, names))),
            )

    def _check_options_of_sparse_depth(self) -> None:
        """Check that there is sparse depth if there are options about it."""
        if self.sparse is not None:
            return
        for name in _OPTIONS_OF_SPARSE_DEPTH:
            if getattr(self, name) is not None:
                raise OptionError(
                    option=name,
                    problem=Text("only applies to ", OptionName("sparse"), ", which is not given"),
                    hint=Text("also give ", OptionName("sparse", "FILE")),
                )

    @cached_property
    def stated_depth_error(self) -> DepthError | None:
        """Error of the sensor as ``depth_error`` states it; None if the user does not."""
        return None if self.depth_error is None else parse_depth_error(self.depth_error)

    @cached_property
    def sensor_transform(self) -> Transform | None:
        """``cam_T_sensor`` as a 4x4 matrix [m]; None if the user does not state it."""
        return None if self.cam_T_sensor is None else read_sensor_transform(self.cam_T_sensor)

    @cached_property
    def table(self) -> Path | None:
        """CSV table of the points of many photographs; None if ``known`` names no table.

        Raises:
            OptionError: If ``known`` names a table together with other sizes.
        """
        csv_names = [
            item for item in self.known if isinstance(item, str) and item.lower().endswith(".csv")
        ]
        if not csv_names:
            return None
        all_sizes = (*self.known, *self.known_length, *self.known_rectangle, *self.known_circle)
        if len(all_sizes) > 1:
            raise OptionError(
                option="known",
                problem="cannot combine a table with other known sizes",
                hint="give either one table or single sizes",
            )
        return Path(csv_names[0])

    @cached_property
    def known_sizes(self) -> tuple[Known, ...]:
        """Known points, lengths, rectangles and circles; empty if they are in a table."""
        if self.table is not None:
            return ()
        points_and_lengths = [_read_known(item) for item in self.known]
        lengths = [_parse_known_length(text) for text in self.known_length]
        rectangles = [_parse_known_rectangle(text) for text in self.known_rectangle]
        circles = [_parse_known_circle(text) for text in self.known_circle]
        return (*points_and_lengths, *lengths, *rectangles, *circles)

    def with_rows(self, rows: tuple[Known, ...]) -> "KnownSizes":
        """Return the same options, with rows of a table in place of its name."""
        known: Any = rows  # Only Python takes records here; the declared type is that of commands.
        return replace(self, known=known)

    @property
    def makes_metric(self) -> bool:
        """Whether something other than the camera height makes depth metric."""
        has_known_sizes = self.known or self.known_sizes or self.markers
        return bool(has_known_sizes) or self.sparse is not None

    @property
    def reads_own_depth(self) -> bool:
        """Whether the file's own depth map may give metres, because nothing else does."""
        return bool(self.own_depth) and not self.makes_metric and self.camera_height is None


def _read_known(item: KnownLike) -> Known:
    """Read an item of ``known``: a text, a record, or a tuple of numbers.

    Three numbers are (u, v, metres) of a point, and five (u1, v1, u2, v2, metres) of a length.
    """
    if isinstance(item, str):
        return parse_known(item)
    if isinstance(item, KnownPoint | KnownLength | KnownRectangle | KnownCircle):
        return item
    elements = item if isinstance(item, tuple | list) else ()
    are_all_numbers = all(isinstance(element, float | int | np.number) for element in elements)
    match [float(element) for element in elements] if are_all_numbers else []:
        case [u, v, metres]:
            return KnownPoint(u=u, v=v, metres=metres)
        case [u1, v1, u2, v2, metres]:
            return KnownLength(u1=u1, v1=v1, u2=u2, v2=v2, metres=metres)
    raise OptionError(option="known", expected=_EXPECTED, value=item)


def _parse_known_length(text: str) -> KnownLength:
    return parse_length(text) if isinstance(text, str) else text


def _parse_known_rectangle(text: str) -> KnownRectangle:
    return parse_rectangle(text) if isinstance(text, str) else text


def _parse_known_circle(text: str) -> KnownCircle:
    return parse_circle(text) if isinstance(text, str) else text
