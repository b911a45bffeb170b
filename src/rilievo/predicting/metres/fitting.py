"""Convert depth to metres by known sizes, markers, a sensor or the file's own depth."""

from dataclasses import replace

from rilievo.alignment.turned_maps import SWAPPED, detect_turn
from rilievo.arrays.shapes import Field, Size
from rilievo.calibration.floor import calibrate_height
from rilievo.calibration.points import Calibrated, calibrate, calibration_record
from rilievo.calibration.readings import known_point_pixel, pixel_index
from rilievo.calibration.rectangle_fit import fit_camera_to_rectangles
from rilievo.calibration.sizes import Known, KnownPoint, KnownRectangle
from rilievo.errors import CalibrationError, InputError, UndeterminedError
from rilievo.errors.messages import Note, OptionName, Text, count_text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.expected_errors import with_expected_error
from rilievo.predicting.metres.metric_references import MetricReferences
from rilievo.predicting.metres.sensor_depth import (
    MIN_MEASURED_FRACTION,
    FilledDepth,
    fill_measured_depth,
)
from rilievo.predicting.metres.sparse_direction import is_probably_distance
from rilievo.predicting.metres.sparse_points import (
    convert_map_to_lens_depth,
    convert_points_to_lens_depth,
    drop_implausible_points,
    known_points_of_embedded_depth,
    points_with_depth,
)
from rilievo.prediction import Prediction
from rilievo.prediction.surface_depth import with_normals
from rilievo.records.depth_map import DepthKind, DepthMap, OwnDepth
from rilievo.records.instruments import DepthSource, Instrument, make_instrument
from rilievo.records.prediction_record import MEASURED_PIXELS

_MAX_CONTRADICTING_FRACTION = 0.25
"""Largest fraction of the file's own depth that may contradict the prediction."""
_USUAL_OUTLIER_FRACTION = 0.005
"""Fraction of a sensor's pixels that is usually wrong. A larger one causes a note."""


def convert_to_metres(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, str | None]:
    """Convert depth to metres by markers and other references.

    Without these, the depth in the photograph's own file is used if there is any.

    Returns:
        The prediction, and a remark on what may be wrong about its metres, or None.

    Raises:
        CalibrationError: If the references do not determine metres.
    """
    prediction, references = _find_squares_and_camera(prediction, references)
    prediction, calibrated = convert_by_references(prediction, references)
    if calibrated is None:
        return _convert_by_own_depth(prediction, references.own_depth)
    return prediction, calibrated.warning


def _find_squares_and_camera(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, MetricReferences]:
    """Look for printed markers, and apply the camera that markers and known rectangles determine.

    Returns:
        The prediction with that camera, and the references with the markers as known squares.
    """
    marker_squares: tuple[Known, ...] = ()
    if references.marker_side is not None:
        prediction, marker_squares = find_marker_squares(prediction, references.marker_side)
    prediction, known_sizes = _apply_rectangle_camera(
        prediction, references.known, CameraSource.RECTANGLE
    )
    if marker_squares and not known_sizes:
        references = replace(references, method="markers")
    return prediction, replace(references, known=(*marker_squares, *known_sizes))


def convert_to_camera_heights(prediction: Prediction) -> Prediction:
    """Convert a prediction to heights of the camera above the floor.

    Raises:
        CalibrationError: If the depth is affine, or no floor is visible.
    """
    # With a camera height of 1 "m", the unit of lengths is one height of the camera.
    converted, _ = convert_to_metres(prediction, MetricReferences(camera_height=1.0))
    assert converted.calibration is not None, "it has just been calibrated"
    # The user did not state this height, so it must not appear as a known size.
    return converted.but(calibration=replace(converted.calibration, asked=()))


def find_marker_squares(
    prediction: Prediction, side: float
) -> tuple[Prediction, tuple[Known, ...]]:
    """Find printed markers, whose squares have a known side [m].

    If the focal length of the camera was only assumed, the squares also determine it.

    Returns:
        The prediction with that camera, and the squares.
    """
    from rilievo.predicting.metres.printed_markers import find_markers, known_squares_from_markers

    photo = prediction.photo
    assert photo is not None, "a new prediction has its photograph"
    squares = known_squares_from_markers(find_markers(photo.pixels), side)
    return _apply_rectangle_camera(prediction, squares, CameraSource.MARKERS)


def _apply_rectangle_camera(
    prediction: Prediction, sizes: tuple[Known, ...], source: CameraSource
) -> tuple[Prediction, tuple[Known, ...]]:
    """Replace an assumed focal length by that which known rectangles determine.

    Returns:
        The prediction with that camera, and the sizes, with the sides of rectangles in order.
    """
    if not any(isinstance(size, KnownRectangle) for size in sizes):
        return prediction, sizes
    camera, ordered = fit_camera_to_rectangles(
        sizes, prediction.known_camera, prediction.shape, source
    )
    return prediction.but(camera=camera), ordered


def convert_by_references(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated | None]:
    """Convert depth to metres by references.

    Returns:
        The prediction and the fit. Without references, the prediction is unchanged and the fit is
        None.

    Raises:
        CalibrationError: If the references do not determine metres.
    """
    if not references.give_metres:
        return prediction, None
    if prediction.depth_or_none is None:
        raise CalibrationError("this model predicts no depth, so there is nothing to calibrate")
    is_affine = not prediction.depth.is_depth
    if is_affine and prediction.has("anchoring"):
        return _convert_affine_depth(prediction, references)
    if references.known:
        _check_no_points_in_sky(prediction, references)
    if references.sparse_points:
        return _convert_by_sparse_points(prediction, references)
    if references.known:
        return _convert_by_known_sizes(prediction, references)
    return _convert_by_camera_height(prediction, references)


def _convert_affine_depth(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated | None]:
    """Convert affine depth by its references alone, or if they do not suffice, anchored depth.

    Affine depth has two unknowns, scale and shift, and anchored depth only a scale.
    """
    if references.camera_height is not None:
        why_insufficient: Text | str = (
            "the camera's height determines the scale of the depth, but not its shift"
        )
    else:
        try:
            metric, calibrated = convert_by_references(prediction.but(anchoring=None), references)
            return with_normals(metric), calibrated
        except UndeterminedError as error:
            why_insufficient = Text(error)
    try:
        anchored = prediction.anchored
    except InputError as refusal:
        raise CalibrationError(problem=Text(why_insufficient, "; ", refusal)) from refusal
    return convert_by_references(anchored, references)


def _convert_by_known_sizes(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated]:
    """Fit depth to the known points, lengths and rectangles."""
    calibrated = calibrate(
        prediction.depth, references.known, camera=prediction.camera, smooth=references.smooth
    )
    reference_texts = tuple(map(str, references.known))
    return _finish_conversion(prediction, calibrated, reference_texts, references)


def _convert_by_camera_height(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated]:
    """Scale depth so that the camera has the stated height above the floor."""
    height = references.camera_height
    assert height is not None, "the caller has checked that there are no other references"
    calibrated = calibrate_height(
        prediction.depth, prediction.known_camera, height, normals=prediction.normals
    )
    return _finish_conversion(prediction, calibrated, (f"{height:g} m",), references)


def _convert_by_sparse_points(
    prediction: Prediction, references: MetricReferences
) -> tuple[Prediction, Calibrated]:
    """Fit depth to points of another instrument.

    If the points are the pixels of a dense sensor, they replace the predicted depth.
    """
    camera = prediction.known_camera
    map_camera = _map_camera(references, camera, prediction.shape)
    direction_note = _direction_note(references, camera, map_camera)
    references = _convert_to_lens_depth(references, camera, map_camera)
    points, points_note = drop_implausible_points(
        prediction.depth,
        references.sparse_points,
        # The kind of a photograph's own depth is known.
        may_be_inverse=references.method is None,
    )
    calibrated = calibrate(
        prediction.depth, points, camera=prediction.camera, smooth=references.smooth, judge=False
    )
    fit_notes = _join_notes(calibrated.warning, points_note, direction_note)
    calibrated = replace(calibrated, warning=fit_notes)
    reference_texts = tuple(map(str, points))

    # A map with enough pixels of a sensor stays as it is, and the network only fills its gaps. In
    # videos, the measured pixels of the first frame say nothing about the others.
    filled: FilledDepth | None = None
    measured_depth = references.measured_depth
    if measured_depth is not None and references.smooth:
        filled = fill_measured_depth(calibrated.depth, measured_depth)
    if measured_depth is None or filled is None:
        return _finish_conversion(prediction, calibrated, reference_texts, references)
    metric_prediction = _with_calibration(prediction, calibrated, reference_texts, references)
    orientation_note = _orientation_note(measured_depth, prediction.depth)
    map_notes = _join_notes(orientation_note, _outlier_note(filled), direction_note)
    calibrated = replace(calibrated, warning=map_notes)
    return _with_measured_pixels(metric_prediction, filled, references), calibrated


def _finish_conversion(
    prediction: Prediction,
    calibrated: Calibrated,
    reference_texts: tuple[str, ...],
    references: MetricReferences,
) -> tuple[Prediction, Calibrated]:
    """Make the metric prediction of a fit, with the expected error of the network's depth.

    A sensor's error that the user states has no effect on it, which is noted.
    """
    if references.depth_error is not None:
        note = Note(
            "has no effect, because the sensor measured less than "
            f"{MIN_MEASURED_FRACTION:.0%} of the pixels, so the error ranges are those of "
            "predicted depth with known points",
            option="depth_error",
        )
        calibrated = replace(calibrated, warning=_join_notes(calibrated.warning, note))
    metric_prediction = _with_calibration(prediction, calibrated, reference_texts, references)
    return with_expected_error(metric_prediction), calibrated


def _with_calibration(
    prediction: Prediction,
    calibrated: Calibrated,
    reference_texts: tuple[str, ...],
    references: MetricReferences,
) -> Prediction:
    """Replace depth by that of a fit, and record the calibration with its references as texts."""
    calibration = calibration_record(calibrated, reference_texts)
    if references.method is not None:
        calibration = replace(calibration, method=references.method)
    return prediction.but(depth_or_none=calibrated.depth, calibration=calibration)


def _check_no_points_in_sky(prediction: Prediction, references: MetricReferences) -> None:
    """Raise ``CalibrationError`` if a known point of the user lies on the sky."""
    if prediction.sky is None or references.method is not None:
        return
    points = [size for size in references.known if isinstance(size, KnownPoint)]
    for point in points:
        if prediction.sky[pixel_index(prediction.depth, known_point_pixel(point))]:
            raise CalibrationError(
                f"known point {point} is in the sky, which has no distance: choose a point "
                "on an object"
            )


def _map_camera(references: MetricReferences, camera: Camera, shape: Size) -> Camera:
    """Return the camera for the pixels of a sensor's map, which may be smaller than the picture.

    ``shape`` is the size of the photograph.
    """
    if references.measured_depth is None:
        return camera
    return camera.resized(size=shape, new_size=references.measured_depth.shape)


def _convert_to_lens_depth(
    references: MetricReferences, camera: Camera, map_camera: Camera
) -> MetricReferences:
    """Convert sparse depth to the convention of the lens: z, or distance for wide lenses."""
    along = references.sparse_along
    measured_depth = references.measured_depth
    if measured_depth is not None:
        measured_depth = convert_map_to_lens_depth(measured_depth, map_camera, along)
    points = convert_points_to_lens_depth(references.sparse_points, camera, along)
    return replace(references, sparse_points=points, measured_depth=measured_depth)


def _direction_note(references: MetricReferences, camera: Camera, map_camera: Camera) -> str | None:
    """Return a note on the assumed direction of sparse depth, unless the direction is stated.

    It says that sparse depth of a wide lens is assumed to be distance, or that a pinhole's map is
    probably distance.
    """
    is_from_own_depth = references.method is not None
    if references.sparse_along is not None or is_from_own_depth:
        return None
    if not camera.lens.has_unit_rays:
        return _distance_warning(references, map_camera)
    return Note(
        "sparse depth is read as distance along the ray, because the lens of the camera is of the "
        f"kind '{camera.lens.name}'",
        hint=Text(
            "if it is depth along the optical axis, give ", OptionName("sparse_kind", "metric")
        ),
    )


def _distance_warning(references: MetricReferences, map_camera: Camera) -> str | None:
    """Return a warning if a sensor's map read as depth along the axis is probably distance.

    The map alone does not tell distances to a flat wall from depth of a round surface that fills
    the picture, so the note names both.
    """
    measured = references.measured_depth
    if measured is None or not is_probably_distance(measured, map_camera):
        return None
    return Note(
        "sparse depth is read as depth along the optical axis, but its surfaces look curved, as "
        "flat surfaces do in a map of distances along the rays",
        hint=Text(
            "if these surfaces are really flat, the metres towards the border of the picture are "
            "too large: give ",
            OptionName("sparse_kind", "distance"),
        ),
    )


def sparse_points_note(prediction: Prediction, references: MetricReferences) -> str | None:
    """Return a note if points of an instrument set the metres of a prediction but are not kept.

    It says why no measured pixel is kept, and how many of the points were fitted. It is None if
    measured pixels are kept, and without an instrument.
    """
    calibration = prediction.calibration
    count = references.sparse_count
    if count is None or calibration is None or calibration.measured_pixels is not None:
        return None
    if references.measured_depth is None:
        covers = "covers" if count == 1 else "cover"
        coverage = f"{100 * references.sparse_coverage:.2g}%"
        extent = f"the {count_text(count, 'point')} of sparse depth {covers} {coverage}"
    else:
        extent = (
            f"of the {count:,} points of sparse depth, those that agree with their neighbours "
            f"cover at most {MIN_MEASURED_FRACTION:.0%}"
        )
    fitted_count = len(references.sparse_points)
    selection = ""
    if fitted_count < count:
        selection = f" (it uses {fitted_count} of them, spread over the picture)"
    return (
        f"{extent} of the picture; up to {MIN_MEASURED_FRACTION:.0%}, rilievo fits the prediction "
        f"to sparse depth but does not keep its values{selection}"
    )


def _orientation_note(measured: Field, predicted: DepthMap) -> str | None:
    """Return a note if a sensor's map seems to be mirrored or rotated against the prediction."""
    is_inverse = predicted.kind is DepthKind.AFFINE_INVERSE
    transformation = detect_turn(
        measured, measured > 0, predicted.values, predicted.valid, is_inverse=is_inverse
    )
    # Sparse depth whose near and far are swapped is rejected by its fit.
    if transformation is None or transformation == SWAPPED:
        return None
    return (
        f"the sparse depth seems to be {transformation}, because its near and far parts agree much "
        "better with the predicted depth when this is undone; check how the file was saved"
    )


def _outlier_note(filled: FilledDepth) -> str | None:
    """Return a note if more of a sensor's pixels are outliers than usual."""
    if filled.outlier_count <= _USUAL_OUTLIER_FRACTION * filled.measured_count:
        return None
    are_left_out = (
        "contradicts its neighbours and is left out"
        if filled.outlier_count == 1
        else "contradict their neighbours and are left out"
    )
    return f"{filled.outlier_count:,} of {filled.measured_count:,} measured pixels {are_left_out}"


def _join_notes(*notes: str | None) -> str | None:
    """Join the notes that are not None with semicolons; None if all are."""
    joined: str | None = None
    for note in notes:
        if note is None:
            continue
        joined = note if joined is None else Note(Text(joined, "; ", note))
    return joined


def _with_measured_pixels(
    metric_prediction: Prediction, filled: FilledDepth, references: MetricReferences
) -> Prediction:
    """Replace metric depth by the sensor's pixels and the filled gaps, and record that."""
    calibration = metric_prediction.calibration
    assert calibration is not None, "metric depth has a calibration"
    calibration = replace(
        calibration,
        method=MEASURED_PIXELS,
        bend=None,
        expected_error=None if filled.relative_error is None else round(filled.relative_error, 4),
        measured_pixels=filled.measured_count - filled.outlier_count,
        outliers=filled.outlier_count,
        warning=_outlier_note(filled),
    )
    sky = metric_prediction.sky
    if sky is not None and (sky & filled.measured).any():
        # A sensor cannot measure the sky, so the network was wrong there.
        metric_prediction = metric_prediction.but(sky=sky & ~filled.measured)
    return metric_prediction.but(
        depth_or_none=filled.depth,
        network_depth=metric_prediction.depth,
        instrument=_sensor_instrument(references, metric_prediction.depth.shape),
        measured=filled.measured,
        calibration=calibration,
    )


def _sensor_instrument(references: MetricReferences, shape: Size) -> Instrument:
    """Return the sensor with its error: stated by the user, from its record, or assumed.

    ``shape`` is the size of the photograph.
    """
    instrument = references.recorded_instrument
    if instrument is None or references.depth_error is not None:
        instrument = make_instrument(DepthSource.SENSOR, references.depth_error)
    pixel = instrument.pixel
    if references.measured_depth is not None:
        # One pixel of the sensor covers several pixels of a larger photograph.
        sides = zip(shape, references.measured_depth.shape, strict=True)
        pixel = max(pixel, *(photo_side / sensor_side for photo_side, sensor_side in sides))
    return replace(
        instrument.with_rounding(references.sensor_rounding),
        source=DepthSource.SENSOR,
        doubts=(*instrument.doubts, *references.sensor_doubts),
        pixel=pixel,
    )


def _convert_by_own_depth(
    prediction: Prediction, own_depth: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert depth to metres by the depth in the photograph's own file, if that is usable.

    Returns:
        The prediction, and a remark if the file's depth is not used or may be wrong.
    """
    if own_depth is None or prediction.depth_or_none is None:
        return prediction, None
    if own_depth.metres is None:
        assert own_depth.unused is not None, "depth without metres says why it has none"
        return prediction, _unused_depth_note(own_depth, own_depth.unused)
    try:
        points = known_points_of_embedded_depth(
            own_depth, prediction.shape, prediction.known_camera
        )
        references = MetricReferences(sparse_points=points, method="own depth")
        metric, calibrated = convert_by_references(prediction, references)
    except CalibrationError as error:
        return prediction, _unused_depth_note(own_depth, error)
    assert calibrated is not None, "the references have points"
    assert metric.calibration is not None, "metric depth has a calibration"

    point_count = len(points_with_depth(prediction.depth, points))
    dropped_count = point_count - len(metric.calibration.asked)
    if own_depth.is_matched and dropped_count > _MAX_CONTRADICTING_FRACTION * point_count:
        reason = f"{dropped_count:,} of its {point_count:,} points contradict the prediction"
        return prediction, _unused_depth_note(own_depth, reason)
    calibration = replace(metric.calibration, own_depth=own_depth.source)
    return metric.but(calibration=calibration), calibrated.warning


def _unused_depth_note(own_depth: OwnDepth, reason: str | CalibrationError) -> Note:
    """Return a note on why depth in the photograph's own file gives no metres."""
    return Note(
        Text(f"the depth map in this photograph's file ({own_depth.source}) is not used: ", reason)
    )
