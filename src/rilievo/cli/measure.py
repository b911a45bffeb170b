"""``rilievo measure``."""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing
from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import printable
from rilievo.measure.measured_record import asked_quantity, measure_points, measured_record
from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import TrustOptions
from rilievo.options.given_camera import GivenCamera
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.option_record import picked
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.photographs.metres import trust


@dataclass(frozen=True, kw_only=True)
class _Arguments(TrustOptions):
    photo: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PHOTO")]
    """Photograph to measure in."""
    points: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="U,V")]
    """Column and row of points: two for a length, three or more around a surface for an area."""
    distance: Annotated[str | None, tyro.conf.arg(metavar="U,V")] = None
    """Point whose distance straight from the camera is measured."""
    height: Annotated[str | None, tyro.conf.arg(metavar="U,V")] = None
    """Point whose height above the visible floor is measured."""
    angle: bool = False
    """Measure the angle between the surfaces at two points instead of the length between them."""
    known: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="U,V,METRES")
    ] = ()
    """Point with known depth: column, row, metres along the axis, or U,V,METRES,ray from the
    camera; for several, repeat the option.
    """
    known_length: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(metavar="U1,V1,U2,V2,METRES|THING"),
    ] = ()
    """Known length: both ends and the metres between them, or the name of a common object instead
    of the metres: a4, letter, card, door, brick, ...; for several, repeat the option.
    """
    markers: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Side of the black squares on a page that 'rilievo markers' wrote and the photograph shows."""
    camera_height: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Height of the camera above the floor in metres, if the floor is visible."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="F|24mm|FX,FY,CX,CY|FILE")] = None
    """Intrinsics in pixels of the upright photograph, or a focal length in millimetres: 24mm (35 mm
    equivalent) or 18mm/23.5mm (over the sensor's width); by default from EXIF, or else assumed.
    """
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view in degrees, instead of intrinsics."""
    projection: Annotated[str | None, tyro.conf.arg(metavar="LENS")] = None
    """Lens, as 'rilievo predict --projection' has it: equirect, fisheye:DEGREES, ..."""
    vanishing_points: bool = False
    """Estimate an unknown focal length from straight edges at right angles, if they are clear."""
    own_depth: Literal["on", "off"] = "on"
    """Take metres from the depth map in the photograph's file, if nothing else is known; off:
    ignore it.
    """
    alpha: Annotated[Literal["mask", "keep"], tyro.conf.arg(metavar="mask|keep")] = "mask"
    """Transparent pixels: without depth, so that nothing can be measured on them, or kept."""
    stretch: bool = False
    """Read a 16-bit grey picture with its 1st to 99th percentile as black to white."""
    trim: Literal["on", "off"] = "on"
    """Hide uniform borders (black bars, margins and frames of scans) from the network; nothing can
    be measured on them. off: show it the whole picture.
    """
    model: Annotated[str, tyro.conf.arg(aliases=("-m",), metavar="NAME|FILE.onnx")] = DEFAULT_MODEL
    """Name that 'rilievo models' lists, or a model's file or folder."""
    json: bool = False
    """Print the measurement as JSON."""


def main(arguments: Sequence[str]) -> int:
    """Measure a distance, length, height, area or angle in one photograph, with its range."""
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo measure",
        description="Distances, lengths, heights, areas and angles in a photograph, with ranges.",
        examples=(
            "rilievo measure photo.jpg --distance 250,300 --known 320,240,2.35",
            "rilievo measure photo.jpg 100,200 400,210 --known 320,240,2.35",
            "rilievo measure photo.jpg --height 320,80 --camera-height 1.5",
        ),
    )
    what, points = asked_quantity(
        given.points, angle=given.angle, distance=given.distance, height=given.height
    )
    # The same names, checks and refusals as those of 'rilievo predict'.
    sizes = picked(KnownSizes, vars(given))
    if sizes.table is not None:
        raise OptionError("--known is U,V,METRES here; a table is of 'rilievo predict'")
    view = picked(GivenCamera, vars(given))
    if Path(given.photo).is_dir():
        raise InputError(f"{printable(given.photo)}: is a folder; name the photograph itself")
    with _told(printable(given.photo)):
        prediction = predict(
            given.photo,
            model=given.model,
            camera=view.given_camera,  # or the lens of --projection
            fov=view.fov,
            vanishing_points=view.vanishing_points,
            known=sizes.facts,
            markers=sizes.markers,
            camera_height=sizes.camera_height,
            own_depth=sizes.own_depth,
            trim=given.trim,
            alpha=given.alpha,
            stretch=given.stretch,
            trust_code=given.trust_code,
        )
    measured = measure_points(prediction, points, what)
    calibration = prediction.calibration
    sources = () if calibration is None or calibration.own_depth is None else (trust(calibration),)
    for remark in (*sources, *measured.remarks):
        complain(f"{printable(given.photo)}: {remark}")
    with printing():
        text = json.dumps(measured_record(measured, prediction), indent=1)
        print(text if given.json else measured)
    return 0


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell the notes on a photograph on standard error, also where it cannot be predicted."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        try:
            yield
        finally:
            for each in notes:
                if issubclass(each.category, UserWarning):
                    complain(f"{name}: {each.message}")
