"""``rilievo measure``: distances, sizes, areas, volumes and angles in photographs."""

import csv
import json
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from rilievo.calibration.sizes import Known, parse_object_sides
from rilievo.cli.parsing import parse
from rilievo.cli.streams import print_to_stderr, printing, say
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text, for_terminal, note_about
from rilievo.io.files.names import printable
from rilievo.io.files.numbered import is_numbered_pattern
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import is_video
from rilievo.measure import Measurement
from rilievo.measure.measurement_records import (
    COVERAGE,
    measure_points,
    measurement_json,
    parse_points,
    parse_quantity,
    region_cells,
    region_record,
    remarks_beyond_camera,
)
from rilievo.models import DEFAULT_MODEL
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.photo_options import DepthFile, Refine
from rilievo.options.run_options import TrustOptions
from rilievo.predicting.metres.size_files import find_sparse_file, read_photo_sizes
from rilievo.predicting.photographs.images import predict
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.predicting.regions.region_runs import MeasuredRegion, measure_regions
from rilievo.predicting.videos.followed_point import (
    followed_point_cells,
    followed_point_record,
    measure_followed_point,
)
from rilievo.prediction import Prediction
from rilievo.prediction.from_depth import prediction_from_depth
from rilievo.records.sample import Photo
from rilievo.schema.fields import FieldsByTitle, option


@dataclass(frozen=True, kw_only=True)
class _Arguments(TrustOptions):
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {"Model": ("model", "trust_code")}

    photo: Annotated[str, option(positional=True, metavar="PHOTO")]
    """Photograph to measure in; with boxes or masks, also a folder or a video, and with a distance
    also a video."""
    points: Annotated[tuple[str, ...], option(positional=True, metavar="U,V")] = ()
    """Points as column and row: two for a length, three or more around a surface for an area or
    around an object for a volume, four around an opening."""
    distance: Annotated[str | None, option(in_short_help=True, metavar="U,V")] = None
    """Measure the straight-line distance from the camera to this point. In a video, the point is
    followed, and the distance in each frame is a row of a CSV table."""
    frame: Annotated[int | None, option(metavar="NUMBER")] = None
    """Frame of a video in which the point lies, counted from 0. It is followed from there on. By
    default it is the first frame."""
    height: Annotated[str | None, option(in_short_help=True, metavar="U,V")] = None
    """Measure the height of this point above the visible floor."""
    height_above_plane: Annotated[str | None, option(in_short_help=True, metavar="U,V")] = None
    """Measure the height of this point above the plane of the known rectangle. Depth is not needed
    if you also give the point of the plane straight below it as U,V."""
    box: Annotated[
        tuple[str, ...],
        option(in_short_help=True, repeats=True, metavar="U1,V1,U2,V2|FILE|FOLDER"),
    ] = ()
    """Bounding box of an object to measure, or the boxes of a detector: JSON (COCO), CSV, or a
    folder of YOLO text files. Repeat the option for several boxes.
    """
    mask: Annotated[tuple[Path, ...], option(in_short_help=True, repeats=True, metavar="FILE")] = ()
    """Mask of an object to measure, or of several objects: PNG, or JSON (COCO)."""
    angle: Annotated[bool, option(in_short_help=True)] = False
    """Measure the angle between the surfaces at two points instead of the length between them."""
    volume: Annotated[bool, option(in_short_help=True)] = False
    """Measure the volume of the heap or the hollow inside of the outline instead of its area: above
    or below a plane that is fitted to the surface around the outline."""
    base: Annotated[tuple[str, ...], option(repeats=True, metavar="U,V")] = ()
    """Point of the plane of a volume, for example on the rim of a bowl. Repeat the option for three
    points or more, which then replace the surface around the outline."""
    fits: Annotated[str | None, option(in_short_help=True, metavar="SIDES")] = None
    """Tell whether an object with three sides, such as 80x60x200cm, fits through the opening whose
    four corners are given in order, such as a door."""
    in_plane: Annotated[bool, option(in_short_help=True)] = False
    """Measure in the plane of the known rectangle, where all points lie; depth is not needed."""
    depth_file: Annotated[DepthFile, option(inline=True)]
    sizes: Annotated[KnownSizes, option(inline=True, without=("depth_error", "same_camera"))]
    view: Annotated[CameraOptions, option(inline=True)]
    refine: Annotated[Refine, option(inline=True, without=("flip", "confidence", "tile", "alpha"))]
    model: Annotated[str, option(in_short_help=True, aliases=("-m",), metavar="NAME|FILE.onnx")] = (
        DEFAULT_MODEL
    )
    """Model to use: a name that 'rilievo models' lists, an ONNX file exported by rilievo, ORG/NAME
    from the Hugging Face hub (optionally with @REVISION), or a folder that transformers saved.
    """
    json: Annotated[bool, option(in_short_help=True)] = False
    """Print the measurement as JSON."""


def main(arguments: Sequence[str]) -> int:
    """Measure at points of one photograph, or objects in boxes or masks; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo measure",
        description="Measure distances, lengths, heights, areas, volumes and angles in a "
        "photograph, and the distances and sizes of objects in boxes or masks, with error ranges.",
        examples=(
            "rilievo measure photo.jpg --distance 250,300 --known 320,240,2.35",
            "rilievo measure photo.jpg 100,200 400,210 --known 320,240,2.35",
            "rilievo measure photo.jpg --height 320,80 --camera-height 1.5",
            "rilievo measure photo.jpg 100,200 400,210 --depth depth.png --camera 525",
            "rilievo measure photo.jpg 100,200 400,210 400,300 100,290 --markers 0.06",
            "rilievo measure heap.jpg 100,200 300,180 420,300 80,310 --volume --known 320,240,2.35",
            "rilievo measure photo.jpg 100,40 200,40 200,300 100,300 --fits 80x60x200cm --known "
            "320,240,2.35",
            "rilievo measure photo.jpg --height-above-plane 310,120 305,240 --known-rectangle "
            "140,104,377,172,378,296,96,228,a4",
            "rilievo measure photo.jpg --box 100,80,300,260 --camera-height 1.5",
            "rilievo measure clip.mp4 --distance 250,300 --camera-height 1.5",
            "rilievo measure photos/ --box detections.json --camera-height 1.5",
        ),
    )
    if request.box or request.mask:
        _check_no_point_options(request)
        return _measure_regions(request)
    return _measure_points(request)


def _check_no_point_options(arguments: _Arguments) -> None:
    """Raise OptionError for options about points, because boxes or masks are measured."""
    point_options = (
        arguments.points,
        arguments.angle,
        arguments.volume,
        arguments.base,
        arguments.fits,
        arguments.frame is not None,
        arguments.distance,
        arguments.height,
        arguments.height_above_plane,
    )
    if any(point_options):
        raise OptionError(
            problem=Text(
                OptionName("box"),
                " and ",
                OptionName("mask"),
                " cannot be combined with points: measure the points in a separate call",
            )
        )
    if arguments.in_plane:
        raise OptionError(option="in_plane", without="box" if arguments.box else "mask")


def _read_known_sizes(sizes: KnownSizes, photo: str | Path | Photo) -> tuple[Known, ...]:
    """Known sizes of a photograph, from the options or from its rows of a table."""
    if sizes.table is None:
        return sizes.known_sizes
    if isinstance(photo, Photo):
        raise OptionError(
            option="known",
            problem="cannot be a table for a video, because a table has sizes of photographs only",
            hint=Text("use ", OptionName("camera_height"), " or ", OptionName("markers")),
        )
    return read_photo_sizes(Path(photo), sizes.table)


def _measure_points(request: _Arguments) -> int:
    """Measure at points of one photograph, print the result, and return the exit code."""
    quantity, points = parse_quantity(
        request.points,
        angle=request.angle,
        volume=request.volume,
        distance=request.distance,
        height=request.height,
        height_above_plane=request.height_above_plane,
        fits=request.fits,
    )
    if is_video(Path(request.photo)):
        return _follow_point(request, quantity, points)
    if request.frame is not None:
        raise OptionError(option="frame", problem="applies only to a video")
    base = parse_points(request.base)
    object_sides = parse_object_sides(request.fits) if request.fits else ()
    if Path(request.photo).is_dir():
        raise InputError(
            "is a folder; to measure at points, give a single photograph",
            path=printable(request.photo),
        )
    prediction = _predict_or_read_depth(request, request.photo)
    measurement = measure_points(
        prediction,
        points,
        quantity,
        in_plane=request.in_plane,
        base=base,
        object_sides=object_sides,
    )
    for remark in _remarks_to_print(request, prediction, measurement):
        print_to_stderr(for_terminal(note_about(printable(request.photo), remark)))
    with printing():
        record = measurement_json(measurement, prediction, for_terminal)
        if request.json:
            print(json.dumps(record, indent=1))
        else:
            say(str(measurement))
    return 0


def _check_followable(request: _Arguments, quantity: str) -> None:
    """Raise an error for what cannot be measured in a video."""
    if quantity != "distance":
        raise InputError(
            problem=Text(
                "is a video, in which rilievo follows a single point: give ",
                OptionName("distance", "U,V"),
            ),
            path=printable(request.photo),
        )
    if request.frame is not None and request.frame < 0:
        raise OptionError(option="frame", problem=f"must be at least 0, got {request.frame}")
    if request.in_plane:
        raise OptionError(option="in_plane", problem="does not apply to a video")
    _check_no_single_photograph_options(request)


def _follow_point(request: _Arguments, quantity: str, points: Sequence[tuple[float, float]]) -> int:
    """Measure the distance of a point in each frame of a video, and return the exit code.

    The code is 0, or 1 if the point was lost or had no distance in some frames, or 2 if in all.
    """
    _check_followable(request, quantity)
    followed_points = measure_followed_point(
        Path(request.photo), points[0], request.frame or 0, partial(_predict_or_read_depth, request)
    )
    csv_table = csv.writer(sys.stdout, lineterminator="\n")
    records: list[dict[str, Any]] = []
    faults: list[str] = []
    with printing():
        for followed in followed_points:
            if followed.fault:
                faults.append(f"frame {followed.frame}: {followed.fault}")
            records.append(followed_point_record(followed, for_terminal))
            if request.json:
                continue
            cells = followed_point_cells(followed)
            is_first_row = len(records) == 1
            if is_first_row:
                csv_table.writerow(["file", *cells])
            csv_table.writerow([request.photo, *cells.values()])
        if request.json:
            print(json.dumps({"points": records, "coverage": COVERAGE}, indent=1))
    if not faults:
        return 0
    video = printable(request.photo)
    if len(faults) == len(records):
        print_to_stderr(f"rilievo: {video}: {faults[0]}")
        return 2
    text = f"there is no distance in {len(faults)} of {len(records)} frames; {faults[0]}"
    print_to_stderr(note_about(video, text))
    return 1


def _remarks_to_print(
    request: _Arguments, prediction: Prediction, measurement: Measurement
) -> list[str]:
    """Remarks on a measurement, after the source of metres if that is the photograph's own depth.

    If the user gave a depth map, its notes were printed already, among them the one about an
    assumed focal length.
    """
    has_depth_map = request.depth_file.depth is not None
    remarks = remarks_beyond_camera(measurement) if has_depth_map else list(measurement.remarks)
    calibration = prediction.calibration
    if calibration is not None and calibration.own_depth is not None:
        return [calibration.describe(), *remarks]
    return remarks


def _predict_or_read_depth(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    depth_file = arguments.depth_file
    depth_file.require_depth_for_options(allow_depth_error=arguments.sizes.sparse is not None)
    if depth_file.depth is None:
        return _predict_with_options(arguments, photo)
    _check_no_network_options(arguments)
    return _read_depth(arguments, photo)


def _check_no_network_options(arguments: _Arguments) -> None:
    """Raise OptionError for options without effect, because a depth map replaces the network."""
    sizes, view, refine = arguments.sizes, arguments.view, arguments.refine
    is_set_by_option = {
        "sparse": sizes.sparse is not None,
        "camera_height": sizes.camera_height is not None,
        "markers": sizes.markers is not None,
        "own_depth": not sizes.own_depth,
        "vanishing_points": view.vanishing_points,
        "model": arguments.model != DEFAULT_MODEL,
        "trim": refine.trim != Refine().trim,
        "valid_mask": refine.valid_mask is not None,
        "manhattan": refine.manhattan != Refine().manhattan,
    }
    for name, is_set in is_set_by_option.items():
        if is_set:
            raise OptionError(
                option=name,
                problem=Text(
                    "cannot be combined with ",
                    OptionName("depth"),
                    ", because no network runs if the depth is given",
                ),
                hint="leave one of them out",
            )


def _read_depth(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    """Read the depth map that the user gave, in metres if there are known sizes."""
    depth_file, view = arguments.depth_file, arguments.view
    # A table of known sizes finds the photograph by its path.
    known_sizes = _read_known_sizes(arguments.sizes, photo)
    if not isinstance(photo, Photo):
        photo = read_photo(photo, own_depth=False, stretch=arguments.refine.stretch)
    photo = with_camera(photo, view.named_camera, view.fov)
    has_user_camera = view.named_camera is not None or view.fov is not None
    depth_path = depth_file.require_depth()
    prediction = prediction_from_depth(
        Prediction,
        photo,
        depth_path,
        photo.camera if has_user_camera else None,
        **depth_file.keywords,
        known=known_sizes,
    )
    # Each measurement has the doubts about the instrument among its own remarks.
    instrument = prediction.instrument
    doubts = () if instrument is None else instrument.doubts
    for note in prediction.notes:
        if note not in doubts:
            print_to_stderr(for_terminal(note_about(printable(depth_path), note)))
    return prediction


def _sparse_file(sparse: Path | None, photo: str | Path | Photo) -> Path | None:
    """File of sensor depth: the one that the user names, or the photograph's in a named folder."""
    if sparse is None or isinstance(photo, Photo):
        return sparse
    return find_sparse_file(sparse, Path(Path(photo).stem))


def _predict_with_options(arguments: _Arguments, photo: str | Path | Photo) -> Prediction:
    """Predict a photograph with the options of the command, and print warnings as notes."""
    sizes, view, refine = arguments.sizes, arguments.view, arguments.refine
    with _warnings_as_photo_notes(printable(photo.name if isinstance(photo, Photo) else photo)):
        return predict(
            photo,
            model=arguments.model,
            camera=view.named_camera,  # or the lens of --projection
            fov=view.fov,
            vanishing_points=view.vanishing_points,
            known=_read_known_sizes(sizes, photo),
            sparse=_sparse_file(sizes.sparse, photo),
            cam_T_sensor=sizes.cam_T_sensor,
            sparse_unit=sizes.sparse_unit,
            sparse_kind=sizes.sparse_kind,
            sparse_crop=sizes.sparse_crop,
            sparse_encoding=sizes.sparse_encoding,
            depth_error=arguments.depth_file.depth_error,
            markers=sizes.markers,
            camera_height=sizes.camera_height,
            own_depth=sizes.own_depth,
            trim=refine.trim,
            valid_mask=refine.valid_mask,
            manhattan=refine.manhattan,
            stretch=refine.stretch,
            trust_code=arguments.trust_code,
        )


def _check_no_single_photograph_options(arguments: _Arguments) -> None:
    """Raise OptionError for options that describe one photograph, because there are several."""
    sizes = arguments.sizes
    if sizes.known_sizes:
        raise OptionError(
            option="known",
            problem="describes one photograph, but there are several",
            hint=Text(
                "give a table with ",
                OptionName("known", "FILE.csv"),
                " (header: file,u,v,metres), or use ",
                OptionName("camera_height"),
                " or ",
                OptionName("markers"),
            ),
        )
    for name, file in (("depth", arguments.depth_file.depth), ("sparse", sizes.sparse)):
        if file is not None:
            raise OptionError(
                option=name,
                problem="describes one photograph, but there are several",
                hint="measure each photograph separately",
            )


def _measure_regions(arguments: _Arguments) -> int:
    """Measure objects in boxes or masks, and print a line for each.

    Returns:
        The exit code: 0, or 1 if some boxes or masks failed, or 2 if all of them did.
    """
    source = Path(arguments.photo)
    has_many_photos = source.is_dir() or is_numbered_pattern(source)
    is_single_photo = not (has_many_photos or is_video(source))
    if not is_single_photo:
        _check_no_single_photograph_options(arguments)
    faults: list[str] = []
    measured_regions = measure_regions(
        arguments.photo,
        arguments.box,
        arguments.mask,
        partial(_predict_or_read_depth, arguments),
        faults.append,
    )
    with printing():
        if arguments.json:
            num_measured = _print_regions_as_json(measured_regions)
        elif is_single_photo:
            num_measured = _print_regions_as_text(measured_regions)
        else:
            num_measured = _print_regions_as_csv(measured_regions)
    for fault in faults:
        print_to_stderr(f"rilievo: {for_terminal(fault)}")
    if not faults:
        return 0
    return 1 if num_measured else 2


def _print_regions_as_json(regions: Iterable[MeasuredRegion]) -> int:
    """Print one JSON object with all measured objects; return their number."""
    records = [
        {
            "file": region.file,
            "frame": region.frame,
            "measured": region_record(region.measured, for_terminal),
            **region.origin,
        }
        for region in regions
    ]
    print(json.dumps({"things": records, "coverage": COVERAGE}, indent=1))
    return len(records)


def _print_regions_as_text(regions: Iterable[MeasuredRegion]) -> int:
    """Print a paragraph for each measured object, and its remarks; return their number."""
    num_measured = 0
    for region in regions:
        num_measured += 1
        say(str(region.measured))
        for remark in region.measured.remarks:
            print_to_stderr(for_terminal(note_about(printable(region.file), remark)))
    return num_measured


def _print_regions_as_csv(regions: Iterable[MeasuredRegion]) -> int:
    """Print a table with a row for each measured object; return the number of rows."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    num_measured = 0
    for region in regions:
        cells = region_cells(region.measured, for_terminal)
        if num_measured == 0:
            table.writerow(["file", "frame", *cells])
        table.writerow([region.file, region.frame, *cells.values()])
        num_measured += 1
    return num_measured


@contextmanager
def _warnings_as_photo_notes(name: str) -> Iterator[None]:
    """Capture UserWarnings that the block raises, and print them as notes on photograph ``name``.

    Other warnings of the block are dropped.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, UserWarning):
                    # A note keeps its options, which ``str`` would spell for Python.
                    note = cast(UserWarning, warning.message).args[0]
                    print_to_stderr(for_terminal(note_about(name, note)))
