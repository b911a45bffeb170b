"""Known sizes in a photograph whose depth is a given map.

Depth of an instrument without metres is scaled by them. Depth in metres stays as it is, and what
contradicts it is said, because either of them may be wrong. A network's depth is fitted to them,
because they are more exact than its metres.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

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
from rilievo.measure.expectation import with_expected_error
from rilievo.measure.instrument_ranges import POINT_ERROR
from rilievo.prediction.saving import AnyPrediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import Calibration

METHOD = "depth map"
"""Method of a calibration whose metres are those of the given map."""
_CONTRADICTION = 2.0
"""Difference from a known size, over its error of eight in ten, from which on it is said."""
_MIN_SHARE_IN_PLANE = 0.1
"""Share of a known rectangle whose depth is that of its plane, from which on the two agree. On the
rest may stand objects."""
_KNOWN_ERROR = 0.01
"""Relative error of a size that somebody measured, where it is extrapolated.

A scale follows from it without growing. A shift makes it many times larger at other depths."""
_USUAL_DEPTHS = (0.1, 0.9)
"""Quantiles of depth between which an unsure shift is said."""
_UNSURE_SHIFT = 0.1
"""Relative error of depth by the fit of a scale and a shift from which on it is said."""
_MIN_SHARE_FOR_SCALE = 0.8
"""Share of a known rectangle in one plane below which a scale that follows from it is doubtful."""


def with_known_sizes(prediction: AnyPrediction, known: Sequence[Known | str]) -> AnyPrediction:
    """Use known sizes in a prediction that was made of a given depth map.

    Args:
        prediction: Prediction with the record of its instrument.
        known: Points, lengths and rectangles, or their texts.

    Raises:
        CalibrationError: If depth has no metres and a size lies where no depth is, or if sizes
            contradict each other.
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
    """Fit a network's depth to known sizes, as ``rilievo.predict`` does."""
    fitted = calibrate(prediction.depth, sizes, camera=prediction.camera, smooth=True)
    notes = () if fitted.warning is None else (fitted.warning,)
    metric = prediction.but(
        depth_or_none=fitted.depth,
        calibration=calibration_record(fitted, tuple(map(str, sizes))),
        notes=(*prediction.notes, *notes),
    )
    return with_expected_error(metric)


def _scale_by_sizes(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Scale depth without metres by known sizes."""
    given, camera = prediction.depth, prediction.known_camera
    fitted = calibrate(given, sizes, camera=camera, smooth=False)
    instrument = prediction.instrument
    assert instrument is not None, "the prediction was made of a depth map"

    instrument = replace(instrument, rounding=_rounding_in_metres(instrument, fitted.fit))

    readings = [read_size(given, size, camera) for size in sizes]
    known_error = 0.0 if given.is_depth else _KNOWN_ERROR
    covers = [_error_by_cover(fitted.depth, size, camera) for size in sizes]
    errors = [
        math.hypot(_reading_error(reading, fitted.fit, instrument), cover.error, known_error)
        for reading, cover in zip(readings, covers, strict=True)
    ]
    scale_errors = scale_errors_of(readings, fitted.fit, errors, has_shift=not given.is_depth)
    doubts = _doubts_about_scale(scale_errors, sizes, fitted.depth)
    best = covers[int(np.argmin(errors))]
    notes = [text for text in (fitted.warning, best.note, *doubts) if text is not None]
    return prediction.but(
        depth_or_none=fitted.depth,
        calibration=calibration_record(fitted, tuple(map(str, sizes))),
        instrument=replace(
            instrument, scale_errors=scale_errors.parts, doubts=(*instrument.doubts, *doubts)
        ),
        notes=(*prediction.notes, *notes),
    )


def _rounding_in_metres(instrument: Instrument, fit: Fit) -> DepthError:
    """Rounding of depth to which a fit gave metres.

    A step of inverse depth is one of depth that grows with its square.
    """
    step = abs(fit.scale) * instrument.rounding.absolute
    if fit.space is FitSpace.INVERSE:
        return DepthError(growth=step)
    return DepthError(absolute=step, growth=instrument.rounding.growth / abs(fit.scale))


def _reading_error(reading: SizeReading, fit: Fit, instrument: Instrument) -> float:
    """Relative error of a known size by that of the depth and by placing its points."""
    by_depth = [
        weight * instrument.relative_error_at(abs(fit.metres(value)))
        for value, weight in zip(reading.values, depth_weights(reading, fit), strict=True)
    ]
    return math.hypot(*by_depth, _placing_error(reading.known))


def _doubts_about_scale(
    errors: ScaleErrors, sizes: Sequence[Known], depth: DepthMap
) -> tuple[str, ...]:
    """Doubts about known sizes that contradict each other, or that hardly determine a shift."""
    doubts = list[str]()
    if errors.contradiction is not None:
        first, second = sizes[errors.contradiction.first], sizes[errors.contradiction.second]
        doubts.append(
            Note(
                f"the known {first.noun} {first} and the known {second.noun} {second} disagree by "
                f"{errors.contradiction.share:.0%}, which the error of the depth does not explain, "
                "so one of them is probably wrong, or the depth is not of the kind that is stated; "
                "the ranges contain what each of them says",
                hint="check their columns, rows and metres",
            )
        )
    nearest, farthest = np.quantile(depth.values[depth.valid], _USUAL_DEPTHS)
    worst = max(errors.relative_at(float(nearest)), errors.relative_at(float(farthest)))
    if len(errors.parts) > 1 and worst > _UNSURE_SHIFT:
        doubts.append(
            Note(
                "the known sizes hardly determine the shift of the depth, which is therefore "
                f"uncertain by up to {worst:.0%}",
                hint="give one that is clearly nearer or farther than the others",
            )
        )
    return tuple(doubts)


class _Cover(NamedTuple):
    """Error of a rectangle's size by what covers it, and a note if this is much."""

    error: float = 0.0
    note: str | None = None


def _error_by_cover(depth: DepthMap, size: Known, camera: Camera) -> _Cover:
    """Relative error of a known rectangle whose depth is no plane in much of it.

    Where an object may cover most of the rectangle, the range reaches to what else is seen of it.
    """
    if not isinstance(size, KnownRectangle):
        return _Cover()
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(depth, camera, pose)
    if samples is None:
        return _Cover()
    fitted = fit_log_ratio(samples)
    share = samples.share_of(fitted.is_in_plane)
    if share >= _MIN_SHARE_FOR_SCALE:
        return _Cover()
    off_plane = np.abs(samples.log_ratios - fitted.at(samples.places))[~fitted.is_in_plane]
    note = Note(
        f"only {share:.0%} of the depth inside of known rectangle {size} lies in one plane, and "
        "the scale is right if this is the plane of the rectangle; the ranges contain that it is "
        "the rest",
        hint="give a rectangle on which little stands, or another known size",
    )
    return _Cover(math.expm1(float(np.quantile(off_plane, 0.9))), note)


def _placing_error(size: Known) -> float:
    """Relative error of a known size by placing its points by hand; 0 of a single point."""
    if isinstance(size, KnownPoint):
        return 0.0
    if isinstance(size, KnownLength):
        pixels = math.dist(*size.places)
        return POINT_ERROR * math.sqrt(2) / pixels
    return size.error * POINT_ERROR * math.sqrt(2) / size.shortest


def _compare_with_sizes(prediction: AnyPrediction, sizes: Sequence[Known]) -> AnyPrediction:
    """Keep depth in metres, and say which known sizes contradict it."""
    camera, instrument = prediction.known_camera, prediction.instrument
    assert instrument is not None, "a network's depth is fitted"
    residuals, notes = list[float](), list[str]()
    for size in sizes:
        try:
            reading = read_size(prediction.depth, size, camera)
        except CalibrationError as error:
            notes.append(Note(Text("it is not compared with the depth map: ", error)))
            continue
        metres = reading.measure(lambda depth: depth)
        residuals.append(metres - reading.metres)
        note = _contradiction_note(size, reading, metres, instrument)
        # What hides a rectangle stands nearer than its plane.
        may_be_hidden = metres < reading.metres
        if may_be_hidden and _agrees_in_part(prediction, size, instrument):
            continue
        if note is not None:
            notes.append(note)
    notes_with_earlier = (*prediction.notes, *notes)
    if instrument.source is DepthSource.SENSOR:
        # Its calibration says how well the gaps were filled.
        return prediction.but(notes=notes_with_earlier)
    calibration = Calibration(
        method=METHOD,
        asked=tuple(map(str, sizes)),
        space="depth",
        scale=1.0,
        shift=0.0,
        residuals=tuple(residuals) if len(residuals) == len(sizes) else (),
        warning="; ".join(notes) or None,
    )
    return prediction.but(calibration=calibration, notes=notes_with_earlier)


def _agrees_in_part(prediction: AnyPrediction, size: Known, instrument: Instrument) -> bool:
    """Whether depth shows the plane of a known rectangle in a part of it, beside an object."""
    if not isinstance(size, KnownRectangle):
        return False
    camera = prediction.known_camera
    [pose] = fit_rectangles((size,), camera).poses
    samples = sample_rectangle(prediction.depth, camera, pose, sky=prediction.sky)
    if samples is None:
        return False
    depth = float(np.median(samples.plane_depths))
    error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    return samples.share_within(_CONTRADICTION * math.log1p(error)) >= _MIN_SHARE_IN_PLANE


def _contradiction_note(
    size: Known, reading: SizeReading, metres: float, instrument: Instrument
) -> str | None:
    """Note that a known size and the depth map contradict each other; None if they agree."""
    depth = metres if isinstance(reading, DepthReading) else float(np.mean(reading.values))
    error = math.hypot(instrument.relative_error_at(depth), _placing_error(size))
    if abs(math.log(metres / reading.metres)) <= _CONTRADICTION * math.log1p(error):
        return None
    what = "the middle of the known rectangle is" if isinstance(size, KnownRectangle) else "it is"
    return Note(
        Text(
            f"known {size.noun} {size} and the depth map contradict each other: by the depth map "
            f"{what} {metres:.4g} m, and {reading.metres:.4g} m is known"
        ),
        hint=_what_to_check(size),
    )


def _what_to_check(size: Known) -> str:
    checked = "the unit of the depth, the camera and the known size"
    if not isinstance(size, KnownRectangle):
        return f"check {checked}; the depth map is used"
    return (
        f"check {checked}, and whether an object covers the rectangle; the depth map is used, "
        "except in the plane of the rectangle, which follows from the known size"
    )
