"""Lengths, heights, areas and angles of surfaces whose true sizes are known in closed form."""

import math

import numpy as np
import pytest

from rilievo.calibration.points import KNOWN_LENGTHS, calibrate, calibration_record
from rilievo.calibration.sizes import KnownLength
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.intrinsics import K_from_focal
from rilievo.measure import Measurement, angle, area, distance, height, length
from rilievo.measure.expected_errors import with_expected_error
from rilievo.measure.measurements import Quantity
from rilievo.measure.page_terms import page_terms
from rilievo.measure.ranges import (
    MAX_DOUBT,
    base_exponent,
    log_mean_log_error,
)
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring, Calibration, MadeBy
from support.sloping_plane import CAMERA, SIZE, length_on, map_of, place_on, plane_depth

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
FLOOR = np.array([0.0, 1 / 1.5, 0.0])
"""A floor 1.5 m below a level camera: y = 1.5."""


def prediction(depth: DepthMap, camera: Camera = CAMERA) -> Prediction:
    return Prediction(depth_or_none=depth, camera=camera, made_by=MADE_BY)


def metric(depth: np.ndarray) -> Prediction:
    return prediction(map_of(depth, DepthKind.METRIC))


def room() -> Prediction:
    """A floor below the horizon, and a wall 6 m away above it."""
    v = np.arange(SIZE[0])[:, None]
    floor = 1.5 * 140 / np.maximum(v - 59.5, 1e-3)
    return metric(np.broadcast_to(np.minimum(floor, 6.0), SIZE).copy())


def test_a_length_is_the_distance_in_space_and_its_range_holds_it() -> None:
    for a, b in (((20, 20), (140, 100)), ((80, 10), (80, 110)), ((5, 60), (150, 60))):
        measurement = length(metric(plane_depth()), a, b)
        assert measurement.value == pytest.approx(length_on(a, b), rel=1e-4)
        assert measurement.low < measurement.value < measurement.high
        assert measurement.value / measurement.low == pytest.approx(
            measurement.high / measurement.value
        )


def test_the_method_of_a_prediction_is_the_same() -> None:
    given = metric(plane_depth())
    assert given.measure((20, 20), (140, 100)) == length(given, (20, 20), (140, 100))
    corners = [(20, 20), (140, 20), (140, 100)]
    assert given.measure(*corners) == area(given, corners)


def test_pages_know_the_floor_and_which_focal_lengths_are_guessed() -> None:
    terms = page_terms(room())
    assert terms.floor is not None
    assert terms.floor.height == pytest.approx(1.5, rel=1e-2)
    assert terms.floor.normal == pytest.approx((0, -1, 0), abs=1e-2)
    assert page_terms(metric(plane_depth())).floor is None
    own = {
        source: page_terms(room().but(camera=Camera(K=CAMERA.K, source=source))).own
        for source in CameraSource
    }
    assert own[CameraSource.VANISHING_POINTS] == own[CameraSource.ASSUMED]
    assert own[CameraSource.ASSUMED] >= own[CameraSource.EXIF_35MM]


def test_an_area_is_that_of_the_triangles_it_is_made_of() -> None:
    corners = [(20, 20), (140, 25), (120, 100), (30, 90)]
    a, b, c, d = (place_on(*corner) for corner in corners)
    true = (np.linalg.norm(np.cross(b - a, c - a)) + np.linalg.norm(np.cross(c - a, d - a))) / 2
    measurement = area(metric(plane_depth()), corners)
    assert measurement.value == pytest.approx(true, rel=1e-4)
    assert measurement.remarks == ()
    assert area(metric(plane_depth()), corners[::-1]).value == pytest.approx(measurement.value)


@pytest.mark.parametrize(
    "corners",
    [
        [(20, 20), (140, 90), (140, 20), (20, 90)],
        [(20, 20), (140, 20), (20, 90), (140, 90)],
        # Two triangles that meet at a corner, or at a corner of one on a side of the other.
        [(20, 20), (80, 60), (140, 20), (140, 90), (80, 60), (20, 90)],
        [(20, 20), (80, 60), (140, 20), (140, 90), (20, 30)],
        # A star of five points, and a side that runs back along another.
        [(80, 20), (110, 100), (25, 50), (135, 50), (50, 100)],
        [(20, 20), (140, 20), (140, 90), (100, 90), (100, 20), (40, 20), (20, 90)],
    ],
)
def test_an_outline_that_crosses_itself_is_refused(corners: list[tuple[float, float]]) -> None:
    """Its parts have opposite signs, so the area was far too small without a word."""
    given = metric(plane_depth())
    for turn in range(len(corners)):
        turned = [*corners[turn:], *corners[:turn]]
        for points in (turned, turned[::-1], [*turned, turned[0]]):
            with pytest.raises(OptionError, match=r"itself.*in order around"):
                area(given, points)


@pytest.mark.parametrize(
    ("corners", "same"),
    [
        ([(20, 20), (140, 20), (140, 90), (20, 90), (20, 20)], [0, 1, 2, 3]),
        ([(20, 20), (20, 20), (140, 20), (140, 90), (20, 90)], [1, 2, 3, 4]),
        ([(20, 20), (80, 20), (140, 20), (140, 90), (20, 90)], [0, 2, 3, 4]),
    ],
)
def test_outlines_that_are_closed_or_have_corners_on_a_side_are_measured(
    corners: list[tuple[float, float]], same: list[int]
) -> None:
    given = metric(plane_depth())
    expected = area(given, [corners[index] for index in same])
    assert area(given, corners).value == pytest.approx(expected.value, rel=1e-6)


def test_the_area_of_an_outline_with_a_notch_is_that_without_the_notch() -> None:
    given = metric(plane_depth())
    notched = [(20, 20), (140, 20), (140, 90), (100, 90), (100, 50), (60, 50), (60, 90), (20, 90)]
    whole = area(given, [(20, 20), (140, 20), (140, 90), (20, 90)])
    notch = area(given, [(100, 90), (100, 50), (60, 50), (60, 90)])
    assert area(given, notched).value == pytest.approx(whole.value - notch.value, rel=1e-4)


def test_the_range_of_an_area_is_that_of_two_lengths_with_one_error() -> None:
    corners = [(20, 20), (140, 20), (140, 100), (20, 100)]
    measurement = area(metric(plane_depth()), corners)
    sides = [
        length(metric(plane_depth()), one, other)
        for one, other in zip(corners, [*corners[1:], corners[0]], strict=True)
    ]
    spread = np.median([math.log(side.high / side.value) for side in sides])
    assert math.log(measurement.high / measurement.value) == pytest.approx(2 * spread, rel=0.05)


def test_an_outline_around_no_plane_is_said_to_be_none() -> None:
    u = np.arange(SIZE[1])[None, :]
    depth = np.broadcast_to(2 + 1.5 * np.abs(np.sin(u / 9)), SIZE).copy()
    measurement = area(metric(depth), [(20, 20), (140, 20), (140, 100), (20, 100)])
    assert any("not flat" in remark for remark in measurement.remarks)


def test_a_height_is_above_the_floor() -> None:
    # The wall is 6 m away, so row 59.5 is at the camera's height and each row 6 / 140 m.
    for row in (10, 40, 59):
        measurement = height(room(), (80, row))
        assert measurement.value == pytest.approx(1.5 + (59.5 - row) * 6 / 140, rel=2e-3)


@pytest.mark.parametrize("degrees", [0, 35, 60, 90, 120])
def test_an_angle_is_between_the_surfaces(degrees: float) -> None:
    # Two walls that meet 3 m away in the upright line x = 0, each turned by half of the angle.
    half = math.radians(degrees / 2)
    right = np.array([-math.sin(half), 0, math.cos(half)]) / (3 * math.cos(half))
    left = right * [-1, 1, 1]
    u = np.arange(SIZE[1])[None, :]
    depth = np.where(u < 79.5, plane_depth(left), plane_depth(right))
    ends = (40, 60), (110, 60)
    measurement = angle(metric(depth), *ends)
    assert measurement.value == pytest.approx(degrees, abs=0.2)
    assert 0 <= measurement.low <= measurement.value < measurement.high <= 180
    up_to_scale = prediction(map_of(depth, DepthKind.UP_TO_SCALE))
    assert angle(up_to_scale, *ends).value == pytest.approx(degrees, abs=0.2)


def test_noise_hardly_changes_an_angle_in_a_large_picture() -> None:
    """The surface is fitted to a disc that grows with the picture, here of 40 pixels' radius."""
    size, f, half = (200, 1000), 800.0, math.radians(30)
    _, u = np.indices(size)
    across = (u - 499.5) / f
    # Two walls that meet 3 m away in the upright line x = 0, each turned by half of 60 degrees.
    depth = 3 / (1 - np.tan(half) * abs(across))
    noisy = depth * np.random.default_rng(0).normal(1, 0.01, size)
    camera = Camera(K=K_from_focal(f, f, size))
    given = prediction(
        DepthMap(values=noisy.astype(np.float32), kind=DepthKind.METRIC), camera=camera
    )
    assert angle(given, (200, 100), (800, 100)).value == pytest.approx(60, abs=2)


def test_nothing_has_a_size_before_metres_are_known() -> None:
    given = prediction(map_of(plane_depth(), DepthKind.UP_TO_SCALE))
    for refused in (
        lambda: length(given, (1, 1), (50, 50)),
        lambda: height(given, (1, 1)),
        lambda: area(given, [(1, 1), (50, 1), (50, 50)]),
    ):
        with pytest.raises(CalibrationError, match=r"known=\[\(u1, v1, u2, v2, metres\)\]"):
            refused()
    with pytest.raises(InputError):
        angle(prediction(map_of(plane_depth(), DepthKind.AFFINE)), (1, 1), (50, 50))


@pytest.mark.parametrize(
    ("points", "error", "said"),
    [
        (((1, 1), (1, 1)), OptionError, "same pixel"),
        (((1, 1), (500, 1)), CalibrationError, "outside"),
        (((1, 1), (50, 1), (900, 50)), CalibrationError, "outside"),
        (((1, 1), (2, 1), (2, 2)), CalibrationError, "a plane needs"),
        (((1, 1),), OptionError, "one point"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    points: tuple[tuple[int, int], ...], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        metric(np.full(SIZE, 3.0)).measure(*points)


def known_here(camera: Camera = CAMERA, confidence: float | None = None) -> Prediction:
    ends = KnownLength(u1=30, v1=100, u2=60, v2=100, metres=length_on((30, 100), (60, 100)))
    given = prediction(map_of(plane_depth(), DepthKind.UP_TO_SCALE), camera)
    fitted = calibrate(given.depth, [ends], camera=camera)
    calibrated = Prediction(
        depth_or_none=fitted.depth,
        confidence=None if confidence is None else np.full(SIZE, confidence, np.float32),
        camera=camera,
        calibration=calibration_record(fitted, [str(ends)]),
        made_by=MADE_BY,
    )
    return with_expected_error(calibrated)


def test_ranges_widen_away_from_what_was_known() -> None:
    given = known_here()
    widths = [
        measurement.high / measurement.low
        for measurement in (
            length(given, (u, v), (u + 30, v)) for u, v in ((32, 95), (60, 60), (120, 5))
        )
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


@pytest.mark.parametrize("factor", [3, 1 / 3])
def test_ranges_are_as_wide_as_known_points_miss_by(factor: float) -> None:
    """Five points at 2 m, where the fitted depth is a third of that or three times as much."""
    asked = tuple(f"{u},60,2" for u in (20, 50, 80, 110, 140))
    calibration = Calibration(
        method="known points",
        asked=asked,
        space="depth",
        scale=1.0,
        shift=0.0,
        residuals=(2 * factor - 2,) * 5,
    )
    given = metric(np.full(SIZE, 2.0)).but(calibration=calibration)
    for measurement in (length(given, (30, 30), (60, 30)), distance(given, (80, 30))):
        assert measurement.high / measurement.value == pytest.approx(3)
        assert measurement.value / measurement.low == pytest.approx(3)


def test_a_known_length_measured_again_is_the_known_one() -> None:
    given, metres = known_here(), length_on((30, 100), (60, 100))
    for ends in (((30, 100), (60, 100)), ((60, 100), (30, 100)), ((30.5, 99.5), (60, 100))):
        measurement = length(given, *ends)
        assert measurement.low == pytest.approx(metres, rel=0.05)
        assert measurement.high == pytest.approx(metres, rel=0.05)
        assert "known" in measurement.remarks[0]
    assert (
        str(length(given, (30, 100), (60, 100)))
        == f"length: {metres:.3f} m ({metres:.3f} to {metres:.3f})"
    )


def test_ranges_widen_where_the_focal_length_is_assumed() -> None:
    assumed = Camera(K=CAMERA.K, source=CameraSource.ASSUMED)
    sure, unsure = known_here(), known_here(assumed)
    narrow, wide = (length(each, (30, 20), (90, 60)) for each in (sure, unsure))
    assert wide.high / wide.low > narrow.high / narrow.low
    assert any("focal" in remark for remark in wide.remarks)


def test_ranges_widen_where_the_model_is_less_confident() -> None:
    widths = []
    for confidence in (0.95, 0.6):
        prediction = known_here(confidence=confidence)
        measurement = length(prediction, (30, 20), (90, 60))
        widths.append(measurement.high / measurement.low)
        terms = page_terms(prediction)
        assert terms.known_length - base_exponent("length", KNOWN_LENGTHS) == pytest.approx(
            log_mean_log_error(1 - confidence), abs=1e-6
        )
    assert widths[0] < widths[1]


def test_ranges_of_anchored_depth_widen_where_its_order_fits_worse() -> None:
    widths, errors, bases = [], [], []
    for order in (0.95, 0.75):
        fit = Anchoring(model="rilievo/base", residual=0.05, rank_correlation=order)
        prediction = with_expected_error(known_here().but(anchoring=fit))
        measurement = length(prediction, (30, 20), (90, 60))
        widths.append(measurement.high / measurement.low)
        assert prediction.calibration is not None
        errors.append(prediction.calibration.expected_error)
        bases.append(page_terms(prediction).known_length)
    assert widths[0] < widths[1]
    assert errors[0] < errors[1]
    # The page draws the range by its terms, of which the fit is one factor.
    assert widths[1] / widths[0] > 1
    ratio = math.log(widths[1]) / math.log(widths[0])
    assert ratio == pytest.approx(math.exp(bases[1] - bases[0]), rel=1e-6)


def test_depth_that_was_not_anchored_keeps_its_ranges() -> None:
    measurement = length(known_here(confidence=0.9), (30, 20), (90, 60))
    fit = Anchoring(model="rilievo/base", residual=0.1, rank_correlation=0.9)
    anchored = length(known_here(confidence=0.9).but(anchoring=fit), (30, 20), (90, 60))
    assert measurement.value == anchored.value
    assert measurement.high != anchored.high


def test_a_calibration_says_the_error_to_expect() -> None:
    calibration = known_here().calibration
    assert calibration is not None
    assert calibration.method == "known lengths"
    assert calibration.expected_error is not None
    assert 0.01 < calibration.expected_error < 1


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.8213, 0.7123, 0.9512, "0.82 m (0.71 to 0.95)"),
        (12.34, 9.1, 16.2, "12 m (9 to 16)"),
        (0.02134, 0.01872, 0.02441, "0.021 m (0.019 to 0.024)"),
    ],
)
def test_a_measurement_is_written_with_digits_that_mean_something(
    value: float, low: float, high: float, text: str
) -> None:
    measurement = Measurement(what=Quantity.LENGTH, value=value, low=low, high=high)
    assert (measurement.text, str(measurement)) == (text, f"length: {text}")


def test_the_spread_of_errors_is_that_whose_share_within_a_quarter_is_the_confidence() -> None:
    chance = np.random.default_rng(0)
    for doubt in (0.05, 0.2, 0.45):
        errors = chance.laplace(scale=math.exp(log_mean_log_error(doubt)), size=200_000)
        assert (abs(errors) > math.log(1.25)).mean() == pytest.approx(doubt, abs=5e-3)
    assert log_mean_log_error(0.9) == log_mean_log_error(MAX_DOUBT)
