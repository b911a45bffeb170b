"""``rilievo measure``: distances, sizes, areas and angles in photographs."""

import csv
import json
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, cast

from rilievo.calibration.size_files import find_sparse_file
from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing, say
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text, for_terminal, note_about
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import is_video
from rilievo.measure.measured_points import ASSUMED_FOCAL_REMARK
from rilievo.measure.measurement_records import (
    COVERAGE,
    measure_points,
    measurement_json,
    quantity_of_options,
    region_cells,
    region_record,
)
from rilievo.models import DEFAULT_MODEL
from rilievo.models.load_options import TrustOptions
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.depth_files import DepthFile
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import Refine
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.photographs.metric_references import calibration_words
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.region_runs import measure_regions
from rilievo.prediction import Prediction
from rilievo.prediction.from_depth import prediction_from_depth
from rilievo.records.sample import Photo
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Sizes(KnownSizes):
    known: Annotated[
        tuple[str, ...],
        option(in_short_help=True, repeats=True, metavar="U,V,METRES", recorded="never"),
    ] = ()
    """Point with known depth: column, row, metres along the axis (or U,V,METRES,ray for the
    straight distance from the camera); for several, repeat the option. Makes depth metric.
    """


@dataclass(frozen=True, kw_only=True)
class _Arguments(TrustOptions):
    photo: Annotated[str, option(positional=True, metavar="PHOTO")]
    """Photograph to measure in; of boxes and masks, a folder or a video too."""
    points: Annotated[tuple[str, ...], option(positional=True, metavar="U,V")] = ()
    """Column and row of points: two for a length, three or more around a surface for an area."""
    distance: Annotated[str | None, option(metavar="U,V")] = None
    """Point whose distance straight from the camera is measured."""
    height: Annotated[str | None, option(metavar="U,V")] = None
    """Point whose height above the visible floor is measured."""
    height_above_plane: Annotated[str | None, option(metavar="U,V")] = None
    """Point whose height above the plane of the known rectangle is measured; name its foot in the
    plane, straight below it, as another U,V, and the height needs no depth."""
    box: Annotated[tuple[str, ...], option(repeats=True, metavar="U1,V1,U2,V2|FILE|FOLDER")] = ()
    """Box around a thing whose distance and size are measured, or boxes of a detector: JSON (COCO),
    CSV, or a folder of YOLO's texts; for several, repeat the option.
    """
    mask: Annotated[tuple[Path, ...], option(repeats=True, metavar="FILE")] = ()
    """Mask of a thing that is measured like a box, or masks of several: PNG, or COCO's JSON."""
    angle: bool = False
    """Measure the angle between the surfaces at two points instead of the length between them."""
    in_plane: bool = False
    """Measure in the plane of the known rectangle, in which the points lie, without depth."""
    given: Annotated[DepthFile, option(name="")]
    sizes: Annotated[_Sizes, option(name="", without=("depth_error", "same_camera"))]
    view: Annotated[CameraOptions, option(name="")]
    refine: Annotated[Refine, option(name="", without=("flip", "confidence", "tile", "alpha"))]
    model: Annotated[str, option(aliases=("-m",), metavar="NAME|FILE.onnx")] = DEFAULT_MODEL
    """Name that 'rilievo models' lists, or a model's file or folder."""
    json: bool = False
    """Print the measurement as JSON."""


def main(arguments: Sequence[str]) -> int:
    """Measure at points of one photograph, or things in boxes; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo measure",
        description="Distances, lengths, heights, areas and angles in a photograph, and the "
        "distances and sizes of things in boxes or masks, with ranges.",
        examples=(
            "rilievo measure photo.jpg --distance 250,300 --known 320,240,2.35",
            "rilievo measure photo.jpg 100,200 400,210 --known 320,240,2.35",
            "rilievo measure photo.jpg --height 320,80 --camera-height 1.5",
            "rilievo measure photo.jpg 100,200 400,210 --depth depth.png --camera 525",
            "rilievo measure photo.jpg --height-above-plane 310,120 305,240 --known-rectangle "
            "140,104,377,172,378,296,96,228,a4",
            "rilievo measure photo.jpg --box 100,80,300,260 --camera-height 1.5",
            "rilievo measure photos/ --box detections.json --camera-height 1.5",
        ),
    )
    if request.box or request.mask:
        _refuse_points_beside_regions(request)
        _refuse_table_of_sizes(request)
        return _measure_regions(request)
    return _measure_points(request)


def _refuse_points_beside_regions(arguments: _Arguments) -> None:
    """Refuse options of points, where things in boxes or masks are measured."""
    of_points = (
        arguments.points,
        arguments.angle,
        arguments.distance,
        arguments.height,
        arguments.height_above_plane,
    )
    if any(of_points):
        raise OptionError(
            problem=Text(
                OptionName("box"),
                " and ",
                OptionName("mask"),
                " stand alone: measure points by themselves",
            )
        )
    if arguments.in_plane:
        raise OptionError(option="in_plane", without="box" if arguments.box else "mask")


def _refuse_table_of_sizes(arguments: _Arguments) -> None:
    if arguments.sizes.table is not None:
        raise OptionError(
            option="known", expected="U,V,METRES here", hint="a table is of 'rilievo predict'"
        )


def _measure_points(request: _Arguments) -> int:
    """Measure at points of one photograph, and print the result."""
    quantity, points = quantity_of_options(
        request.points,
        angle=request.angle,
        distance=request.distance,
        height=request.height,
        height_above_plane=request.height_above_plane,
    )
    _refuse_table_of_sizes(request)
    if Path(request.photo).is_dir():
        raise InputError("is a folder; name the photograph itself", path=printable(request.photo))
    prediction = _predict_or_read_depth(request, request.photo)
    measured = measure_points(prediction, points, quantity, in_plane=request.in_plane)
    calibration = prediction.calibration
    remarks = list(measured.remarks)
    if calibration is not None and calibration.own_depth is not None:
        remarks.insert(0, calibration_words(calibration))
    if request.given.depth is not None and ASSUMED_FOCAL_REMARK in remarks:
        # A note on the depth map has said so already.
        remarks.remove(ASSUMED_FOCAL_REMARK)
    for remark in remarks:
        complain(for_terminal(note_about(printable(request.photo), remark)))
    with printing():
        record = measurement_json(measured, prediction, for_terminal)
        if request.json:
            print(json.dumps(record, indent=1))
        else:
            say(str(measured))
    return 0


def _predict_or_read_depth(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    """Predict a photograph, or read the depth map that the user gave."""
    given, sizes = arguments.given, arguments.sizes
    given.refuse_without_depth(error_is_used=sizes.sparse is not None)
    if given.depth is None:
        return _predict_with_options(arguments, photo)
    _refuse_options_of_network(arguments)
    return _read_depth(arguments, photo)


def _refuse_options_of_network(arguments: _Arguments) -> None:
    """Refuse options that have no effect where the user gives a depth map."""
    sizes, view, refine = arguments.sizes, arguments.view, arguments.refine
    names = {
        "sparse": sizes.sparse is not None,
        "camera_height": sizes.camera_height is not None,
        "markers": sizes.markers is not None,
        "own_depth": not sizes.own_depth,
        "vanishing_points": view.vanishing_points,
        "model": arguments.model != DEFAULT_MODEL,
        "trim": refine.trim != Refine().trim,
    }
    for name, is_set in names.items():
        if is_set:
            raise OptionError(
                option=name,
                problem=Text("does not go together with ", OptionName("depth")),
                hint="no network runs where depth is given; leave one of them out",
            )


def _read_depth(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    """Read the depth map that the user gave, in metres if there are known sizes."""
    given, view = arguments.given, arguments.view
    if not isinstance(photo, Photo):
        photo = read_photo(photo, own_depth=False, stretch=arguments.refine.stretch)
    photo = with_camera(photo, view.named_camera, view.fov)
    has_user_camera = view.named_camera is not None or view.fov is not None
    depth = given.require_depth()
    prediction = prediction_from_depth(
        Prediction,
        photo,
        depth,
        photo.camera if has_user_camera else None,
        **given.keywords,
        known=arguments.sizes.known_sizes,
    )
    instrument = prediction.instrument
    # Each measurement repeats these among its remarks.
    remarks = () if instrument is None else instrument.doubts
    for note in prediction.notes:
        if note not in remarks:
            complain(for_terminal(note_about(printable(depth), note)))
    return prediction


def _sparse_file(sparse: Path | None, photo: str | Path | Photo) -> Path | None:
    """File of sensor depth that the user names, or that of the photograph in a folder of them."""
    if sparse is None or isinstance(photo, Photo):
        return sparse
    return find_sparse_file(sparse, Path(Path(photo).stem))


def _predict_with_options(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    """Predict a photograph with the options of the command, and print warnings as notes."""
    sizes, view, refine = arguments.sizes, arguments.view, arguments.refine
    with _print_warnings(printable(photo.name if isinstance(photo, Photo) else photo)):
        return predict(
            photo,
            model=arguments.model,
            camera=view.named_camera,  # or the lens of --projection
            fov=view.fov,
            vanishing_points=view.vanishing_points,
            known=sizes.known_sizes,
            sparse=_sparse_file(sizes.sparse, photo),
            sparse_unit=sizes.sparse_unit,
            sparse_kind=sizes.sparse_kind,
            sparse_crop=sizes.sparse_crop,
            sparse_encoding=sizes.sparse_encoding,
            depth_error=arguments.given.depth_error,
            markers=sizes.markers,
            camera_height=sizes.camera_height,
            own_depth=sizes.own_depth,
            trim=refine.trim,
            stretch=refine.stretch,
            trust_code=arguments.trust_code,
        )


def _refuse_options_for_single_photographs(arguments: _Arguments) -> None:
    """Refuse options that belong to a single photograph, where there are several."""
    sizes = arguments.sizes
    if sizes.known_sizes:
        raise OptionError(
            option="known",
            expected="of one photograph",
            hint=Text("give ", OptionName("camera_height"), " or ", OptionName("markers")),
        )
    for name, file in (("depth", arguments.given.depth), ("sparse", sizes.sparse)):
        if file is not None:
            raise OptionError(
                option=name,
                expected="of one photograph",
                hint="measure each photograph with its own",
            )


def _measure_regions(arguments: _Arguments) -> int:
    """Measure things in boxes or masks, and print a line for each.

    Returns:
        The exit code: 1 if some boxes or masks failed, and 2 if all did.
    """
    source = Path(arguments.photo)
    is_single_photo = not (source.is_dir() or is_video(source))
    if not is_single_photo:
        _refuse_options_for_single_photographs(arguments)
    faults, records = list[str](), list[Any]()
    table = csv.writer(sys.stdout, lineterminator="\n")
    things = measure_regions(
        arguments.photo,
        arguments.box,
        arguments.mask,
        partial(_predict_or_read_depth, arguments),
        faults.append,
    )
    with printing():
        for thing in things:
            measured = region_record(thing.measured, for_terminal)
            records.append(
                {"file": thing.file, "frame": thing.frame, "measured": measured, **thing.origin}
            )
            if arguments.json:
                continue
            if is_single_photo:
                say(str(thing.measured))
                for remark in thing.measured.remarks:
                    complain(for_terminal(note_about(printable(thing.file), remark)))
            else:
                cells = region_cells(thing.measured, for_terminal)
                if len(records) == 1:
                    table.writerow(["file", "frame", *cells])
                table.writerow([thing.file, thing.frame, *cells.values()])
        if arguments.json:
            print(json.dumps({"things": records, "coverage": COVERAGE}, indent=1))
    for fault in faults:
        complain(f"rilievo: {for_terminal(fault)}")
    if not faults:
        return 0
    return 1 if records else 2


@contextmanager
def _print_warnings(name: str) -> Iterator[None]:
    """Print warnings of the block as notes about the photograph ``name``."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        try:
            yield
        finally:
            for note in notes:
                if issubclass(note.category, UserWarning):
                    text = cast(UserWarning, note.message).args[0]
                    complain(for_terminal(note_about(name, text)))
