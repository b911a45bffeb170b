"""Depth is converted to metres by known sizes, markers, a sensor or the file's own depth."""

from dataclasses import replace

from rilievo.alignment.sensor_depth import LEAST_SHARE, MEASURED, Filled, fill_measured_depth
from rilievo.alignment.turned_maps import how_turned
from rilievo.arrays.shapes import Field, Size
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
from rilievo.measure.expected_errors import with_expected_error
from rilievo.predicting.photographs.metric_references import MetricReferences
from rilievo.prediction import Prediction
from rilievo.prediction.surface_depth import with_normals
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth
from rilievo.records.instruments import DepthSource, Instrument

_MAX_CONTRADICTING_SHARE = 0.25
"""Largest share of the points of the file's own depth that may contradict the prediction."""
_USUAL_OUTLIER_SHARE = 0.005
"""Share of a sensor's pixels that are usually wrong. More are noted."""


def convert_to_metres(
    prediction: Prediction,
    references: MetricReferences,
    *,
    markers: float | None,
    own_depth: OwnDepth | None,
) -> tuple[Prediction, str | None]:
    """Convert depth to metres by markers and other references, or else by the file's own depth.

    Args:
        prediction: Prediction of the network.
        references: What is known about the photograph.
        markers: Side of printed markers [m]; None if they are not looked for.
        own_depth: Depth in the photograph's own file; None if there is none or it is not used.

    Returns:
        The prediction, and what may be wrong about its metres; None if nothing is.

    Raises:
        CalibrationError: If the references do not determine metres.
    """
    squares: tuple[Known, ...] = ()
    if markers is not None:
        prediction, squares = find_marker_squares(prediction, markers)
    prediction, known = _with_focal_of_rectangles(
        prediction, references.known, CameraSource.RECTANGLE
    )
    is_by_markers = bool(squares) and not known
    references = replace(
        references,
        known=(*squares, *known),
        method="markers" if is_by_markers else references.method,
    )
    prediction, fitted = convert_by_references(prediction, references)
    if fitted is None:
        return _convert_by_own_depth(prediction, own_depth)
    return prediction, fitted.warning


def find_marker_squares(
    prediction: Prediction, side: float
) -> tuple[Prediction, tuple[Known, ...]]:
    """Find printed markers, whose squares have a known side [m].

    They also give the focal length, if it was only assumed.
    """
    from rilievo.calibration.printed_markers import find_markers, known_squares_of_markers

    photo = prediction.photo
    assert photo is not None, "a prediction that has just been made has its photograph"
    squares = known_squares_of_markers(find_markers(photo.pixels), side)
    return _with_focal_of_rectangles(prediction, squares, CameraSource.MARKERS)


def _with_focal_of_rectangles(
    prediction: Prediction, sizes: tuple[Known, ...], source: CameraSource
) -> tuple[Prediction, tuple[Known, ...]]:
    """Replace an assumed focal length by that of known rectangles, and order their sides."""
    if not any(isinstance(size, KnownRectangle) for size in sizes):
        return prediction, sizes
    camera, ordered = camera_of_rectangles(sizes, prediction.known_camera, prediction.shape, source)
    return prediction.but(camera=camera), ordered


def convert_by_references(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated | None]:
    """Convert depth to metres by references, and return the fit too.

    Without references the prediction stays as it is, and the fit is None.

    Raises:
        CalibrationError: If the references do not determine metres.
    """
    if not references.give_metres:
        return prediction, None
    if prediction.depth_or_none is None:
        raise CalibrationError("this model gives no depth, so there is nothing to calibrate")
    is_affine = not prediction.depth.is_depth
    if is_affine and prediction.has("anchoring"):
        return _convert_affine_depth(prediction, references)
    if not (references.known or references.sparse_points):
        return _convert_by_camera_height(prediction, references)
    if references.known:
        _refuse_points_in_sky(prediction, references)
    if references.sparse_points:
        return _convert_by_sparse_points(prediction, references)

    fitted = calibrate(
        prediction.depth, references.known, camera=prediction.camera, smooth=references.smooth
    )
    return _finish_conversion(prediction, fitted, tuple(map(str, references.known)), references)


def _convert_affine_depth(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated | None]:
    """Convert affine depth by its references alone, or if they do not suffice, anchored depth."""
    if references.camera_height is not None:
        reason: Text | str = "the camera's height gives one number"
    else:
        try:
            metric, fitted = convert_by_references(prediction.but(anchoring=None), references)
            return with_normals(metric), fitted
        except UndeterminedError as error:
            reason = Text(error)
    try:
        anchored = prediction.anchored
    except InputError as refusal:
        raise CalibrationError(problem=Text(reason, "; ", refusal)) from refusal
    return convert_by_references(anchored, references)


def _convert_by_camera_height(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated]:
    """Scale depth so that the camera has the stated height above the floor."""
    height = references.camera_height
    assert height is not None, "there are no other references"
    fitted = calibrate_height(
        prediction.depth, prediction.known_camera, height, normals=prediction.normals
    )
    return _finish_conversion(prediction, fitted, (f"{height:g} m",), references)


def _convert_by_sparse_points(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated]:
    """Fit depth to points of another instrument; a sensor's pixels then stand in the result."""
    camera = prediction.known_camera
    references = _at_depth_of_lens(references, camera)
    direction_note = _note_on_direction(references, camera)
    points, points_note = drop_implausible_points(
        prediction.depth,
        references.sparse_points,
        # A photograph states what its own depth is.
        may_be_inverse=references.method is None,
    )
    fitted = calibrate(
        prediction.depth, points, camera=prediction.camera, smooth=references.smooth, judge=False
    )
    notes = _join_notes(fitted.warning, points_note, direction_note)
    fitted = replace(fitted, warning=notes)
    texts = tuple(map(str, points))

    measured_depth, filling = references.measured_depth, None
    if measured_depth is not None and references.smooth:
        filling = fill_measured_depth(fitted.depth, measured_depth)
    if measured_depth is None or filling is None:
        return _finish_conversion(prediction, fitted, texts, references)
    metric = _with_calibration(prediction, fitted, texts, references)
    turned_note = _note_on_turn(measured_depth, prediction.depth)
    notes = _join_notes(turned_note, _note_on_outliers(filling), direction_note)
    return _with_measured_pixels(metric, filling, references), replace(fitted, warning=notes)


def _finish_conversion(
    prediction: Prediction,
    fitted: Calibrated,
    texts: tuple[str, ...],
    references: MetricReferences,
) -> tuple[Prediction, Calibrated]:
    """Make the metric prediction of a fit, with the error that is to be expected of it."""
    if references.depth_error is not None:
        note = Note(
            f"is about a sensor with more than {LEAST_SHARE:.0%} of the pixels, and this one has "
            "fewer: the ranges are those of the network's depth at known points",
            option="depth_error",
        )
        fitted = replace(fitted, warning=_join_notes(fitted.warning, note))
    metric = _with_calibration(prediction, fitted, texts, references)
    return with_expected_error(metric), fitted


def _with_calibration(
    prediction: Prediction,
    fitted: Calibrated,
    texts: tuple[str, ...],
    references: MetricReferences,
) -> Prediction:
    """Replace depth by that of a fit, and record how it was found; ``texts`` are the references."""
    calibration = calibration_record(fitted, texts)
    if references.method is not None:
        calibration = replace(calibration, method=references.method)
    return prediction.but(depth_or_none=fitted.depth, calibration=calibration)


def _refuse_points_in_sky(prediction: Prediction, references: MetricReferences) -> None:
    """Raise ``CalibrationError`` for a known point of the user that lies on the sky."""
    if prediction.sky is None or references.method is not None:
        return
    points = [size for size in references.known if isinstance(size, KnownPoint)]
    for point in points:
        if prediction.sky[pixel_index(prediction.depth, known_point_pixel(point))]:
            raise CalibrationError(
                f"known point {point} lies on the sky, which has no distance: choose one on "
                "something"
            )


def _at_depth_of_lens(references: MetricReferences, camera: Camera) -> MetricReferences:
    """Convert sparse depth to what a map of the lens holds: z of a pinhole, else distance."""
    along = references.sparse_along
    measured_depth = references.measured_depth
    if measured_depth is not None:
        measured_depth = map_at_depth_of_lens(measured_depth, camera, along)
    points = points_at_depth_of_lens(references.sparse_points, camera, along)
    return replace(references, sparse_points=points, measured_depth=measured_depth)


def _note_on_direction(references: MetricReferences, camera: Camera) -> str | None:
    """Note that sparse depth of a wide lens is taken for a distance, if nobody says what it is."""
    is_own_depth = references.method is not None
    if references.sparse_along is not None or is_own_depth or not camera.lens.has_unit_rays:
        return None
    return Note(
        f"sparse depth is taken for the distance along the ray, as the camera is a "
        f"{camera.lens.name}",
        hint=Text(OptionName("sparse_kind", "metric"), " says that it is along the optical axis"),
    )


def _note_on_turn(measured: Field, network: DepthMap) -> str | None:
    """Note if a sensor's map seems to be mirrored or turned against the network's depth."""
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


def _note_on_outliers(filling: Filled) -> str | None:
    """Note if more of a sensor's pixels are outliers than usual."""
    if filling.outliers <= _USUAL_OUTLIER_SHARE * filling.points:
        return None
    return (
        f"{filling.outliers} of {filling.points} measured pixels contradict those around them and "
        "were left out"
    )


def _join_notes(*notes: str | None) -> str | None:
    """Join notes with semicolons; None if there are none."""
    present = [note for note in notes if note is not None]
    if not present:
        return None
    joined: str = present[0]
    for note in present[1:]:
        joined = Note(Text(joined, "; ", note))
    return joined


def _with_measured_pixels(
    metric: Prediction, filling: Filled, references: MetricReferences
) -> Prediction:
    """Put a sensor's pixels into metric depth, and record how they were filled."""
    calibration = metric.calibration
    assert calibration is not None, "it has just been calibrated"
    calibration = replace(
        calibration,
        method=MEASURED,
        bend=None,
        expected_error=None if filling.error is None else round(filling.error, 4),
        measured_pixels=filling.points - filling.outliers,
        outliers=filling.outliers,
        warning=_note_on_outliers(filling),
    )
    sky = metric.sky
    if sky is not None and (sky & filling.measured).any():
        metric = metric.but(sky=sky & ~filling.measured)
    return metric.but(
        depth_or_none=filling.depth,
        network_depth=metric.depth,
        instrument=_instrument_of_sensor(references, metric.depth.shape),
        measured=filling.measured,
        calibration=calibration,
    )


def _instrument_of_sensor(references: MetricReferences, shape: Size) -> Instrument:
    """The sensor with its error: the one that the user states, that of its record, or a guess.

    ``shape`` is the size of the photograph.
    """
    instrument = references.recorded_instrument
    if instrument is None or references.depth_error is not None:
        instrument = make_instrument(DepthSource.SENSOR, references.depth_error)
    pixel = instrument.pixel
    if references.measured_depth is not None:
        sizes = zip(shape, references.measured_depth.shape, strict=True)
        pixel = max(pixel, *(new / old for new, old in sizes))
    return replace(
        instrument.with_rounding(references.sensor_rounding),
        source=DepthSource.SENSOR,
        doubts=(*instrument.doubts, *references.sensor_doubts),
        pixel=pixel,
    )


def _convert_by_own_depth(
    prediction: Prediction, own: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert depth to metres by the depth in the photograph's own file, if that is usable.

    Returns the prediction, and a note if the file's depth is not used or may be wrong.
    """
    if own is None or prediction.depth_or_none is None:
        return prediction, None
    not_used = f"its own depth ({own.source}) is not used"
    if own.metres is None:
        return prediction, f"{not_used}: {own.unused}"
    try:
        points = known_points_of_own_depth(own, prediction.shape, prediction.known_camera)
        references = MetricReferences(sparse_points=points, method="own depth")
        metric, fitted = convert_by_references(prediction, references)
    except CalibrationError as error:
        return prediction, Note(Text(f"{not_used}: ", error))
    assert fitted is not None, "there are points to fit"
    assert metric.calibration is not None, "it has just been calibrated"

    point_count = len(points_with_depth(prediction.depth, points))
    dropped = point_count - len(metric.calibration.asked)
    if own.is_matched and dropped > _MAX_CONTRADICTING_SHARE * point_count:
        reason = f"{dropped} of its {point_count} points contradict the prediction"
        return prediction, Note(f"{not_used}: {reason}")
    calibration = replace(metric.calibration, own_depth=own.source)
    return metric.but(calibration=calibration), fitted.warning
