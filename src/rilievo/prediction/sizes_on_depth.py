"""Known sizes in a photograph whose depth is a given map.

If the depth is that of an instrument and not metric, the known sizes scale it. Metric depth stays
as it is, and contradictions are noted, because the depth and the sizes may both be wrong. A
network's depth is fitted to the known sizes, because they are more exact than its metres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.alignment import Fit, FitSpace
from rilievo.calibration.points import calibrate, calibration_record
from rilievo.calibration.readings import DepthReading, SizeReading, read_size
from rilievo.calibration.rectangle_depth import fit_log_ratio, sample_rectangle
from rilievo.calibration.rectangle_fit import camera_of_rectangles, fit_rectangles
from rilievo.calibration.scale_errors import ScaleErrors, depth_weights, scale_errors_of
from rilievo.calibration.sizes import (
    Known,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
)
from rilievo.errors import CalibrationError
from rilievo.errors.messages import Note, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.expected_errors import with_expected_error
from rilievo.measure.placing_errors import POINT_ERROR
from rilievo.prediction.surface_depth import AnyPrediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import Calibration

METHOD = "depth map"
"""``Calibration.method`` of a prediction whose metres are those of the given map."""
_MAX_ERROR_RATIO = 2.0
"""Largest ratio of a known size's difference to its expected error (eight in ten) that is not
noted as a contradiction. Both are logarithms."""
_MIN_SHARE_IN_PLANE = 0.1
"""Share of a known rectangle that must lie in its plane for the depth to agree with it. Objects may
stand on the rest."""
_MEASURING_ERROR = 0.01
"""Relative error of a size that somebody measured. It matters only if a shift is fitted, which
makes it many times larger at other depths."""
_DEPTH_QUANTILES = (0.1, 0.9)
"""Quantiles of depth at which the error of a fitted shift is judged."""
_MAX_SHIFT_ERROR = 0.1
"""Largest relative error of depth by a fitted scale and shift that is not noted."""
_MIN_SHARE_FOR_SCALE = 0.8
"""Share of a known rectangle in one plane below which the scale by it is doubtful."""


def with_known_sizes(prediction: AnyPrediction, known: Sequence[Known | str]) -> AnyPrediction:
    """Apply known sizes to a prediction that was made of a given depth map.

    Args:
        prediction: Prediction whose ``instrument`` says where its depth came from.
        known: Known points, lengths and rectangles, or their texts.

    Raises:
        CalibrationError: If depth is not metric and a size lies where there is no depth, or if the
            sizes do not determine metres.
        OptionError: If a text is no known size.
    """
    sizes = [parse_known(size) if isinstance(size, str) else size for size in known]
    if not sizes:
        return prediction
    camera, sizes = camera_of_rectangles(
        sizes, prediction.known_camera, prediction.shape, CameraSource.RECTANGLE
    )
    prediction = prediction.but(camera=camera)
    if prediction.instrument is None:
        return _fit_network_depth(prediction, sizes)
    if prediction.depth.kind is DepthKind.METRIC:
        return _compare_with_sizes(prediction, sizes)
    return _scale_by_sizes(prediction, sizes)


def _fit_network_depth(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Calibrate a network's depth by known sizes, as ``rilievo.predict`` does."""
    fitted = calibrate(prediction.depth, sizes, camera=prediction.camera, smooth=True)
    notes = () if fitted.warning is None else (fitted.warning,)
    metric = prediction.but(
        depth_or_none=fitted.depth,
        calibration=calibration_record(fitted, tuple(map(str, sizes))),
        notes=(*prediction.notes, *notes),
    )
    return with_expected_error(metric)


def _scale_by_sizes(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Scale an instrument's depth that is not metric by known sizes."""
    original, camera = prediction.depth, prediction.known_camera
    fitted = calibrate(original, sizes, camera=camera, smooth=False)
    instrument = prediction.instrument
    assert instrument is not None, "the prediction was made of a depth map"
    instrument = replace(instrument, rounding=_rounding_in_metres(instrument, fitted.fit))

    has_shift = not original.is_depth
    measuring_error = _MEASURING_ERROR if has_shift else 0.0
    readings = [read_size(original, size, camera) for size in sizes]
    covers = [_cover_of_rectangle(fitted.depth, size, camera) for size in sizes]
    errors = [
        math.hypot(_reading_error(reading, fitted.fit, instrument), cover.error, measuring_error)
        for reading, cover in zip(readings, covers, strict=True)
    ]
    scale_errors = scale_errors_of(readings, fitted.fit, errors, has_shift=has_shift)
    warnings = _scale_warnings(scale_errors, sizes, fitted.depth)
    cover_of_most_exact = covers[int(np.argmin(errors))]
    candidates = (fitted.warning, cover_of_most_exact.note, *warnings)
    notes = [note for note in candidates if note is not None]
    return prediction.but(
        depth_or_none=fitted.depth,
        calibration=calibration_record(fitted, tuple(map(str, sizes))),
        instrument=replace(
            instrument, scale_errors=scale_errors.parts, doubts=(*instrument.doubts, *warnings)
        ),
        notes=(*prediction.notes, *notes),
    )


def _rounding_in_metres(instrument: Instrument, fit: Fit) -> DepthError:
    """Convert the rounding of a map's numbers to that of the fitted depth.

    A step of inverse depth becomes a step of depth that grows with the square of depth.
    """
    step = abs(fit.scale) * instrument.rounding.absolute
    if fit.space is FitSpace.INVERSE:
        return DepthError(growth=step)
    return DepthError(absolute=step, growth=instrument.rounding.growth / abs(fit.scale))


def _reading_error(reading: SizeReading, fit: Fit, instrument: Instrument) -> float:
    """Relative error of a known size as read from depth: by the depth and by its points' places."""
    weights = depth_weights(reading, fit)
    depth_errors = [
        weight * instrument.relative_error_at(abs(fit.metres(value)))
        for value, weight in zip(reading.values, weights, strict=True)
    ]
    return math.hypot(*depth_errors, _placing_error(reading.known))


def _scale_warnings(
    errors: ScaleErrors, sizes: Sequence[Known], depth: DepthMap
) -> tuple[str, ...]:
    """Warnings if known sizes contradict each other, or if they hardly determine a shift."""
    warnings = list[str]()
    if errors.contradiction is not None:
        first, second = sizes[errors.contradiction.first], sizes[errors.contradiction.second]
        warnings.append(
            Note(
                f"the known {first.noun} {first} and the known {second.noun} {second} disagree by "
                f"{errors.contradiction.share:.0%}, which the error of the depth does not explain, "
                "so one of them is probably wrong, or the depth is not of the kind that is stated; "
                "the ranges contain what each of them says",
                hint="check their columns, rows and metres",
            )
        )
    near, far = np.quantile(depth.values[depth.valid], _DEPTH_QUANTILES)
    worst = max(errors.relative_at(float(near)), errors.relative_at(float(far)))
    has_shift = len(errors.parts) > 1
    if has_shift and worst > _MAX_SHIFT_ERROR:
        warnings.append(
            Note(
                "the known sizes hardly determine the shift of the depth, which is therefore "
                f"uncertain by up to {worst:.0%}",
                hint="give one that is clearly nearer or farther than the others",
            )
        )
    return tuple(warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cover:
    """Objects that may hide a known rectangle.

    Attributes:
        error: Relative error of the scale if depth is that of the objects; 0 if there are few.
        note: Note on them; None if there are few.
    """

    error: float = 0.0
    note: str | None = None


def _cover_of_rectangle(depth: DepthMap, size: Known, camera: Camera) -> _Cover:
    """Find out whether objects may hide much of a known rectangle, whose depth is then no plane.

    The error reaches from the plane to what else is seen of the rectangle.
    """
    if not isinstance(size, KnownRectangle):
        return _Cover()
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(depth, camera, pose)
    if samples is None:
        return _Cover()
    plane = fit_log_ratio(samples)
    share = samples.share_of(plane.is_in_plane)
    if share >= _MIN_SHARE_FOR_SCALE:
        return _Cover()

    log_distances = np.abs(samples.log_ratios - plane.at(samples.pixels))
    log_error = float(np.quantile(log_distances[~plane.is_in_plane], 0.9))
    note = Note(
        f"only {share:.0%} of the depth inside of known rectangle {size} lies in one plane, and "
        "the scale is right if this is the plane of the rectangle; the ranges contain that it is "
        "the rest",
        hint="give a rectangle on which little stands, or another known size",
    )
    return _Cover(error=math.expm1(log_error), note=note)


def _placing_error(size: Known) -> float:
    """Relative error of a known size because its points are placed by hand; 0 for one point."""
    if isinstance(size, KnownPoint):
        return 0.0
    if isinstance(size, KnownLength):
        length = math.dist(*size.image_points)  # [px]
        return POINT_ERROR * math.sqrt(2) / length
    return size.error * POINT_ERROR * math.sqrt(2) / size.shortest_side


def _compare_with_sizes(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Keep metric depth as it is, and note which known sizes contradict it."""
    camera, instrument = prediction.known_camera, prediction.instrument
    assert instrument is not None, "a network's depth is fitted"
    residuals, notes = list[float](), list[str]()
    for size in sizes:
        try:
            reading = read_size(prediction.depth, size, camera)
        except CalibrationError as error:
            notes.append(Note(Text("it is not compared with the depth map: ", error)))
            continue
        measured = reading.measure(lambda depth: depth)
        residuals.append(measured - reading.metres)
        note = _contradiction_note(size, reading, measured, instrument)
        # Objects that hide a rectangle stand nearer than its plane.
        may_be_hidden = measured < reading.metres
        if may_be_hidden and _agrees_in_part(prediction, size, instrument):
            continue
        if note is not None:
            notes.append(note)

    all_notes = (*prediction.notes, *notes)
    if instrument.source is DepthSource.SENSOR:
        # Its calibration says how well the gaps were filled, and stays.
        return prediction.but(notes=all_notes)
    calibration = Calibration(
        method=METHOD,
        asked=tuple(map(str, sizes)),
        space="depth",
        scale=1.0,
        shift=0.0,
        residuals=tuple(residuals) if len(residuals) == len(sizes) else (),
        warning="; ".join(notes) or None,
    )
    return prediction.but(calibration=calibration, notes=all_notes)


def _agrees_in_part(prediction: AnyPrediction, size: Known, instrument: Instrument) -> bool:
    """Whether at least a part of a known rectangle has the depth of its plane."""
    if not isinstance(size, KnownRectangle):
        return False
    camera = prediction.known_camera
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(prediction.depth, camera, pose, sky=prediction.sky)
    if samples is None:
        return False
    depth = float(np.median(samples.plane_depths))
    error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    max_log_error = _MAX_ERROR_RATIO * math.log1p(error)
    return samples.share_within(max_log_error) >= _MIN_SHARE_IN_PLANE


def _contradiction_note(
    size: Known, reading: SizeReading, measured: float, instrument: Instrument
) -> str | None:
    """Note that a known size and the depth map contradict each other; None if they agree.

    ``measured`` is the same size by the depth map [m].
    """
    depth = measured if isinstance(reading, DepthReading) else float(np.mean(reading.values))
    error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    if abs(math.log(measured / reading.metres)) <= _MAX_ERROR_RATIO * math.log1p(error):
        return None
    subject = "it is"
    if isinstance(size, KnownRectangle):
        subject = "the middle of the known rectangle is"
    return Note(
        Text(
            f"known {size.noun} {size} and the depth map contradict each other: by the depth map "
            f"{subject} {measured:.4g} m, and {reading.metres:.4g} m is known"
        ),
        hint=_advice_on_contradiction(size),
    )


def _advice_on_contradiction(size: Known) -> str:
    """Advice after a contradiction, and which of the two numbers is used."""
    checked = "the unit of the depth, the camera and the known size"
    if not isinstance(size, KnownRectangle):
        return f"check {checked}; the depth map is used"
    return (
        f"check {checked}, and whether an object covers the rectangle; the depth map is used, "
        "except in the plane of the rectangle, which follows from the known size"
    )
