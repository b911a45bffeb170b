"""Fits of depth to known sizes, markers and a file's own depth."""

from collections.abc import Callable
from dataclasses import replace

from rilievo.alignment.sensor_depth import LEAST_SHARE, MEASURED, Filled, fill_measured_depth
from rilievo.alignment.turned_maps import how_turned
from rilievo.arrays.shapes import Field
from rilievo.calibration.depth_errors import make_instrument
from rilievo.calibration.floor import calibrate_height
from rilievo.calibration.points import Calibrated, calibrate, calibration_record
from rilievo.calibration.readings import known_point_pixel, pixel_index
from rilievo.calibration.rectangle_fit import camera_of_rectangles
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.calibration.sparse_points import (
    drop_implausible_points,
    known_points_of_own_depth,
    map_at_depth_of_lens,
    points_at_depth_of_lens,
    points_with_depth,
)
from rilievo.errors import CalibrationError, InputError, UndeterminedError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.expectation import with_expected_error
from rilievo.options.photo_options import Refine
from rilievo.predicting.photographs.anchoring import anchorable
from rilievo.predicting.photographs.metres import Metres
from rilievo.prediction import Prediction
from rilievo.prediction.surface_depth import with_normals
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth
from rilievo.records.instruments import DepthSource, Instrument

_MOST_CONTRADICTING = 0.25
"""Share of points that may contradict a prediction."""
_USUAL_OUTLIERS = 0.005
"""Share of a sensor's pixels that are usually wrong."""


def with_scale(
    prediction: Prediction,
    metres: Metres,
    refine: Refine | None,
    markers: float | None,
    own: OwnDepth | None,
    tell: Callable[[str], None],
) -> tuple[Prediction, str | None]:
    """Make depth anchorable with ``refine``, if any; convert by ``in_metres``."""
    if refine is not None:
        prediction = anchorable(prediction, refine, tell)
    return in_metres(prediction, metres, markers=markers, own=own)


def in_metres(
    prediction: Prediction, metres: Metres, *, markers: float | None, own: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert by sizes and markers [m], else ``own``, with a remark."""
    squares: tuple[Known, ...] = ()
    if markers is not None:
        prediction, printed = read_markers(prediction, markers)
        squares = printed.known
    prediction, references = with_rectangles(prediction, metres.known, CameraSource.RECTANGLE)
    metres = replace(
        metres,
        known=(*squares, *references),
        method="markers" if squares and not references else metres.method,
    )
    prediction, fitted = with_metres(prediction, metres)
    return with_own_depth(prediction, own) if fitted is None else (prediction, fitted.warning)


def read_markers(prediction: Prediction, side: float) -> tuple[Prediction, Metres]:
    """Sizes of printed markers, and their focal length."""
    from rilievo.calibration.printed_markers import find_markers, known_squares_of_markers

    photo = prediction.photo
    assert photo is not None, "a prediction that has just been made has its photograph"
    squares = known_squares_of_markers(find_markers(photo.pixels), side)
    prediction, references = with_rectangles(prediction, squares, CameraSource.MARKERS)
    return prediction, Metres(known=references, method="markers")


def with_rectangles(
    prediction: Prediction, sizes: tuple[Known, ...], source: CameraSource
) -> tuple[Prediction, tuple[Known, ...]]:
    """Take a guessed focal length from rectangles, and order their sides."""
    if not any(isinstance(size, KnownRectangle) for size in sizes):
        return prediction, sizes
    camera, ordered = camera_of_rectangles(sizes, prediction.known_camera, prediction.shape, source)
    return prediction.but(camera=camera), ordered


def with_metres(prediction: Prediction, metres: Metres) -> tuple[Prediction, Calibrated | None]:
    """Convert by known sizes, if any; return the fit too."""
    if not metres:
        return prediction, None
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so there is nothing to calibrate")
    affine = not prediction.depth.is_depth
    if affine and prediction.has("anchoring"):
        return _calibrate_affine(prediction, metres)
    direction_note = None
    if metres.known or metres.sparse:
        _refuse_points_in_sky(prediction, metres)
        references, remark = metres.known, None
        if metres.sparse:
            metres = _sparse_at_depth_of_lens(metres, prediction.known_camera)
            direction_note = _note_on_direction(metres, prediction.known_camera)
            references, remark = drop_implausible_points(
                prediction.depth,
                metres.sparse,
                # A photograph states what its own depth is.
                may_be_inverse=metres.method is None,
            )
        fitted = calibrate(
            prediction.depth,
            references,
            camera=prediction.camera,
            smooth=metres.smooth,
            judge=not metres.sparse,
        )
        fitted = replace(fitted, warning=_joined_notes(fitted.warning, remark, direction_note))
        sizes = tuple(map(str, references))
    else:
        assert metres.camera_height is not None, "checked above"
        fitted = calibrate_height(
            prediction.depth,
            prediction.known_camera,
            metres.camera_height,
            normals=prediction.normals,
        )
        sizes = (f"{metres.camera_height:g} m",)
    calibration = calibration_record(fitted, sizes)
    calibration = replace(calibration, method=metres.method or calibration.method)
    metric = prediction.but(depth_or_none=fitted.depth, calibration=calibration)
    if metres.measured is not None and metres.smooth:
        filling = fill_measured_depth(fitted.depth, metres.measured)
        if filling is not None:
            measured = _set_measured_calibration(metric, filling, metres)
            turned_note = _note_on_turn(metres.measured, prediction.depth)
            notes = _joined_notes(turned_note, _outliers_note(filling), direction_note)
            return measured, replace(fitted, warning=notes)
    if metres.depth_error is not None:
        remark = Note(
            f"is about a sensor with more than {LEAST_SHARE:.0%} of the pixels, and this one has "
            "fewer: the ranges are those of the network's depth at known points",
            option="depth_error",
        )
        fitted = replace(fitted, warning=_joined_notes(fitted.warning, remark))
    return with_expected_error(metric), fitted


def _note_on_turn(measured: Field, network: DepthMap) -> str | None:
    """Note that a sensor's map seems to be mirrored or turned against the network's depth."""
    is_inverse = network.kind is DepthKind.AFFINE_INVERSE
    turned = how_turned(
        measured, measured > 0, network.values, network.valid, is_inverse=is_inverse
    )
    if turned is None:
        return None
    return (
        f"sparse depth seems to be {turned}: turned back, it would be in the order of the "
        "network's depth"
    )


def _sparse_at_depth_of_lens(metres: Metres, camera: Camera) -> Metres:
    """Sparse depth as a map of the lens has it: z of a pinhole, else the distance along the ray."""
    points = points_at_depth_of_lens(metres.sparse, camera, metres.sparse_along)
    measured = metres.measured
    if measured is not None:
        measured = map_at_depth_of_lens(measured, camera, metres.sparse_along)
    return replace(metres, sparse=points, measured=measured)


def _note_on_direction(metres: Metres, camera: Camera) -> str | None:
    """Note that sparse depth of a wide lens is taken for a distance, if nobody says what it is."""
    is_own_depth = metres.method is not None
    if metres.sparse_along is not None or is_own_depth or not camera.lens.has_unit_rays:
        return None
    return Note(
        f"sparse depth is taken for the distance along the ray, as the camera is a "
        f"{camera.lens.name}",
        hint=Text(OptionName("sparse_kind", "metric"), " says that it is along the optical axis"),
    )


def _joined_notes(*notes: str | None) -> str | None:
    """Notes in one sentence; None if there is none."""
    said = [note for note in notes if note is not None]
    if not said:
        return None
    joined: str = said[0]
    for note in said[1:]:
        joined = Note(Text(joined, "; ", note))
    return joined


def _outliers_note(filling: Filled) -> str | None:
    if filling.outliers <= _USUAL_OUTLIERS * filling.points:
        return None
    return (
        f"{filling.outliers} of {filling.points} measured pixels contradict those around them and "
        "were left out"
    )


def _set_measured_calibration(metric: Prediction, filling: Filled, metres: Metres) -> Prediction:
    calibration = metric.calibration
    assert calibration is not None, "it has just been calibrated"
    calibration = replace(
        calibration,
        method=MEASURED,
        bend=None,
        expected_error=None if filling.error is None else round(filling.error, 4),
        measured_pixels=filling.points - filling.outliers,
        outliers=filling.outliers,
        warning=_outliers_note(filling),
    )
    sky = metric.sky
    if sky is not None and (sky & filling.measured).any():
        metric = metric.but(sky=sky & ~filling.measured)
    return metric.but(
        depth_or_none=filling.depth,
        network_depth=metric.depth,
        instrument=_instrument_of_sensor(metres, metric.depth.shape),
        measured=filling.measured,
        calibration=calibration,
    )


def _instrument_of_sensor(metres: Metres, shape: tuple[int, int]) -> Instrument:
    """The sensor with its error: the one stated now, of the map's record, or assumed.

    ``shape`` is the size of the photograph.
    """
    recorded = metres.instrument
    if recorded is None or metres.depth_error is not None:
        recorded = make_instrument(DepthSource.SENSOR, metres.depth_error)
    doubts = (*recorded.doubts, *metres.sensor_doubts)
    pixel = recorded.pixel
    if metres.measured is not None:
        enlarged = (new / old for new, old in zip(shape, metres.measured.shape, strict=True))
        pixel = max(pixel, *enlarged)
    recorded = recorded.with_rounding(metres.sensor_rounding)
    return replace(recorded, source=DepthSource.SENSOR, doubts=doubts, pixel=pixel)


def _refuse_points_in_sky(prediction: Prediction, metres: Metres) -> None:
    sky = prediction.sky if metres.known and metres.method is None else None
    if sky is None:
        return
    for point in metres.known:
        if (
            isinstance(point, KnownPoint)
            and sky[pixel_index(prediction.depth, known_point_pixel(point))]
        ):
            raise CalibrationError(
                f"known point {point} lies on the sky, which has no distance: choose one on "
                "something"
            )


def _calibrate_affine(
    prediction: Prediction, metres: Metres
) -> tuple[Prediction, Calibrated | None]:
    if metres.camera_height is None:
        try:
            metric, fitted = with_metres(prediction.but(anchoring=None), metres)
            return with_normals(metric), fitted
        except UndeterminedError as error:
            why: Text | str = Text(error)
    else:
        why = "the camera's height gives one number"
    try:
        surface = prediction.anchored
    except InputError as refused:
        raise CalibrationError(problem=Text(why, "; ", refused)) from refused
    return with_metres(surface, metres)


def with_own_depth(prediction: Prediction, own: OwnDepth | None) -> tuple[Prediction, str | None]:
    """Convert by the file's depth, if usable, with a remark."""
    if own is None or prediction.depth_or_none is None:
        return prediction, None
    whose = f"its own depth ({own.source}) is not used"
    if own.metres is None:
        return prediction, f"{whose}: {own.unused}"
    try:
        points = known_points_of_own_depth(own, prediction.shape, prediction.known_camera)
        metric, fitted = with_metres(prediction, Metres(sparse=points, method="own depth"))
    except CalibrationError as error:
        return prediction, Note(Text(f"{whose}: ", error))
    assert fitted is not None, "there are points to fit"
    assert metric.calibration is not None, "it has just been calibrated"
    inside = len(points_with_depth(prediction.depth, points))
    left = inside - len(metric.calibration.asked)
    if own.is_matched and left > _MOST_CONTRADICTING * inside:
        why = f"{left} of its {inside} points contradict the prediction"
        return prediction, Note(f"{whose}: {why}")
    calibration = replace(metric.calibration, own_depth=own.source)
    return metric.but(calibration=calibration), fitted.warning
