"""Known sizes in a photograph whose depth is a given map.

If the depth is that of an instrument and not metric, the known sizes scale it. Metric depth stays
as it is, and contradictions are noted, because the depth and the sizes may both be wrong. A
network's depth is fitted to the known sizes, because they are more exact than its metres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace
from rilievo.calibration.points import calibrate, calibration_record
from rilievo.calibration.readings import DepthReading, SizeReading, read_size
from rilievo.calibration.rectangle_depth import fit_log_ratio, sample_rectangle
from rilievo.calibration.rectangle_fit import fit_camera_to_rectangles, fit_rectangles
from rilievo.calibration.sizes import (
    Known,
    KnownCircle,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
)
from rilievo.errors import CalibrationError
from rilievo.errors.messages import Note, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.expected_errors import AnyPrediction, with_expected_error
from rilievo.measure.placing_errors import POINT_ERROR, circle_placing_error
from rilievo.measure.scale_errors import ScaleErrors, depth_weights, estimate_scale_errors
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import Calibration

METHOD = "depth map"
"""``Calibration.method`` of a prediction whose metres are those of the given map."""
_MAX_ERROR_RATIO = 2.0
"""Largest ratio of log(measured / known size) to log(1 + expected error) that is not noted as a
contradiction. The expected error is that of eight in ten."""
_MIN_FRACTION_IN_PLANE = 0.1
"""Fraction of a known rectangle that must lie in its plane for the depth to agree with it. Objects
may stand on the rest."""
_MEASURING_ERROR = 0.01
"""Relative error of a size that somebody measured. It matters only if a shift is fitted, because a
shift makes it many times larger at other depths."""
_DEPTH_QUANTILES = (0.1, 0.9)
"""Quantiles of depth at which the error of a fitted shift is judged."""
_MAX_SHIFT_ERROR = 0.1
"""Largest relative error of depth by a fitted scale and shift that is not noted."""
_MIN_FRACTION_FOR_SCALE = 0.8
"""Fraction of a known rectangle in one plane below which the scale by it is doubtful."""
_OCCLUSION_QUANTILE = 0.9
"""Quantile of the deviations from that plane that counts as the error if objects cover it."""


def with_known_sizes(prediction: AnyPrediction, known: Sequence[Known | str]) -> AnyPrediction:
    """Apply known sizes to a prediction that was made of a given depth map.

    Raises:
        CalibrationError: If depth is not metric and a size lies where there is no depth, or if the
            sizes do not determine metres.
        OptionError: If a text is no known size.
    """
    sizes = [parse_known(size) if isinstance(size, str) else size for size in known]
    if not sizes:
        return prediction
    camera, sizes = fit_camera_to_rectangles(
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
    """Scale an instrument's depth that is not metric by known sizes, with the error of that scale.

    The relative error of each size combines those of the depth, of placing its points by hand, of
    objects that cover it, and, if a shift is fitted, of the size itself.
    """
    relative_depth, camera = prediction.depth, prediction.known_camera
    fitted = calibrate(relative_depth, sizes, camera=camera, smooth=False)
    instrument = prediction.instrument
    assert instrument is not None, "a prediction without an instrument is fitted as a network's"
    instrument = replace(instrument, rounding=_rounding_in_metres(instrument, fitted.fit))

    has_shift = not relative_depth.is_depth
    measuring_error = _MEASURING_ERROR if has_shift else 0.0
    readings = [read_size(relative_depth, size, camera) for size in sizes]
    occlusions = [_find_occlusion(fitted.depth, size, camera) for size in sizes]
    size_errors = [
        math.hypot(
            _reading_error(reading, fitted.fit, instrument), occlusion.error, measuring_error
        )
        for reading, occlusion in zip(readings, occlusions, strict=True)
    ]
    scale_errors = estimate_scale_errors(readings, fitted.fit, size_errors, has_shift=has_shift)

    warnings = _scale_warnings(scale_errors, sizes, fitted.depth)
    most_exact_size = int(np.argmin(size_errors))
    notes = [*prediction.notes]
    for note in (fitted.warning, occlusions[most_exact_size].note, *warnings):
        if note is not None:
            notes.append(note)
    return prediction.but(
        depth_or_none=fitted.depth,
        calibration=calibration_record(fitted, tuple(map(str, sizes))),
        instrument=replace(
            instrument, scale_errors=scale_errors.parts, doubts=(*instrument.doubts, *warnings)
        ),
        notes=tuple(notes),
    )


def _rounding_in_metres(instrument: Instrument, fit: Fit) -> DepthError:
    """Convert the rounding error of a map's numbers to that of the fitted depth.

    A step s of inverse depth becomes a step s·z² of depth z, because |dz| = z² |d(1/z)|.
    """
    step = abs(fit.scale) * instrument.rounding.absolute
    if fit.space is FitSpace.INVERSE:
        return DepthError(growth=step)
    return DepthError(absolute=step, growth=instrument.rounding.growth / abs(fit.scale))


def _reading_error(reading: SizeReading, fit: Fit, instrument: Instrument) -> float:
    """Relative error of a known size as depth shows it, from errors of depth and of its points."""
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
    warnings: list[str] = []
    if errors.contradiction is not None:
        first = sizes[errors.contradiction.first]
        second = sizes[errors.contradiction.second]
        warnings.append(
            Note(
                f"the known {first.noun} {first} and the known {second.noun} {second} "
                f"disagree by {errors.contradiction.relative_difference:.0%}, which "
                "the error of the depth does not explain: one of them is probably wrong, or the "
                "depth is not of the stated kind, and the error ranges include both",
                hint="check their columns, rows and metres",
            )
        )
    near, far = np.quantile(depth.values[depth.valid], _DEPTH_QUANTILES)
    max_error = max(errors.relative_at(float(near)), errors.relative_at(float(far)))
    has_shift = len(errors.parts) > 1
    if has_shift and max_error > _MAX_SHIFT_ERROR:
        warnings.append(
            Note(
                "the known sizes hardly determine the shift of the depth, so the depth is "
                f"uncertain by up to {max_error:.0%}",
                hint="add a known size that is clearly nearer or farther than the others",
            )
        )
    return tuple(warnings)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Occlusion:
    """Whether objects may hide a known rectangle, so that the depth inside it is theirs.

    Attributes:
        error: Relative error of the scale if they do; 0 if hardly anything hides the rectangle.
        note: Note for the user; None if hardly anything hides the rectangle.
    """

    error: float = 0.0
    note: str | None = None


def _find_occlusion(depth: DepthMap, size: Known, camera: Camera) -> _Occlusion:
    """Check whether objects, such as plates on a table, may hide much of a known rectangle.

    Its depth then does not lie in one plane, and the fitted plane may be that of the objects. The
    error is the relative difference between the depth of the fitted plane and that of the rest.
    """
    if not isinstance(size, KnownRectangle):
        return _Occlusion()
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(depth, camera, pose)
    if samples is None:
        return _Occlusion()
    plane = fit_log_ratio(samples)
    fraction_in_plane = samples.weighted_fraction(plane.is_in_plane)
    if fraction_in_plane >= _MIN_FRACTION_FOR_SCALE:
        return _Occlusion()

    # The log ratio is that of the map's depth to the depth of the rectangle's plane.
    log_deviations = np.abs(samples.log_ratios - plane.at(samples.pixels))
    log_error = float(np.quantile(log_deviations[~plane.is_in_plane], _OCCLUSION_QUANTILE))
    note = Note(
        f"only {fraction_in_plane:.0%} of the depth inside the known rectangle {size} lies "
        "in one plane; the scale is right if this is the plane of the rectangle, but the "
        "error ranges also cover the case that it is not",
        hint="give a rectangle with few objects on it, or another known size",
    )
    return _Occlusion(error=math.expm1(log_error), note=note)


def _placing_error(size: Known) -> float:
    """Relative error of a known size because its points are placed by hand; 0 for a known point."""
    if isinstance(size, KnownPoint):
        return 0.0
    if isinstance(size, KnownLength):
        length = math.dist(*size.image_points)  # [px]
        return POINT_ERROR * math.sqrt(2) / length
    if isinstance(size, KnownCircle):
        return circle_placing_error(size)
    return size.error * POINT_ERROR * math.sqrt(2) / size.shortest_side


def _compare_with_sizes(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Keep metric depth as it is, and note which known sizes contradict it.

    The residuals, each the measured minus the known size [m], are stored as the calibration.
    """
    camera, instrument = prediction.known_camera, prediction.instrument
    assert instrument is not None, "depth that a network predicted is fitted"
    residuals: list[float] = []
    notes: list[str] = []
    for size in sizes:
        try:
            reading = read_size(prediction.depth, size, camera)
        except CalibrationError as error:
            notes.append(Note(Text("a known size is not compared with the depth map: ", error)))
            continue
        measured = reading.measure(lambda depth: depth)  # The depth is in metres already.
        residuals.append(measured - reading.metres)
        # Objects that hide a rectangle are nearer than its plane, so the measured size is smaller.
        may_be_hidden = measured < reading.metres
        if may_be_hidden and _has_depth_in_plane(prediction, size, instrument):
            continue
        note = _contradiction_note(size, reading, measured, instrument)
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


def _has_depth_in_plane(prediction: AnyPrediction, size: Known, instrument: Instrument) -> bool:
    """Whether enough of a known rectangle's depth lies in its true plane, within the errors."""
    if not isinstance(size, KnownRectangle):
        return False
    camera = prediction.known_camera
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(prediction.depth, camera, pose, sky=prediction.sky)
    if samples is None:
        return False
    depth = float(np.median(samples.plane_depths))
    error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    # Depths are compared by their logarithms, and log(1 + error) is a relative error there.
    max_log_error = _MAX_ERROR_RATIO * math.log1p(error)
    return samples.fraction_within(max_log_error) >= _MIN_FRACTION_IN_PLANE


def _contradiction_note(
    size: Known, reading: SizeReading, measured: float, instrument: Instrument
) -> str | None:
    """Note that a known size and the depth map contradict each other; None if they agree.

    ``measured`` is the size as the depth map shows it [m].
    """
    depth = measured if isinstance(reading, DepthReading) else float(np.mean(reading.values))
    expected_error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    log_ratio = math.log(measured / reading.metres)
    if abs(log_ratio) <= _MAX_ERROR_RATIO * math.log1p(expected_error):
        return None
    if isinstance(size, KnownPoint):
        subject = "the depth there is"
    elif isinstance(size, KnownRectangle):
        subject = "the depth of the middle of the rectangle is"
    elif isinstance(size, KnownCircle):
        subject = "the depth of the middle of the circle is"
    else:
        subject = "the length is"
    return Note(
        Text(
            f"known {size.noun} {size} and the depth map contradict each other: {subject} "
            f"{measured:.4g} m according to the depth map, and {reading.metres:.4g} m "
            f"according to the known {size.noun}"
        ),
        hint=_advice_on_contradiction(size),
    )


def _advice_on_contradiction(size: Known) -> str:
    """What to check after a contradiction, and which of the two numbers is used."""
    if not isinstance(size, KnownRectangle):
        return (
            "check the unit of the depth, the camera and the known size; rilievo uses the depth map"
        )
    return (
        "check the unit of the depth, the camera and the known size, and whether an object covers "
        "the rectangle; rilievo uses the depth map, except in the plane of the rectangle, which "
        "follows from the known size"
    )
