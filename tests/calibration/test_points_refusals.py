"""Known points that say nothing, contradict or are no points: one line each."""

import re

import numpy as np
import pytest

from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import KnownPoint, parse_known
from rilievo.errors import CalibrationError, OptionError
from rilievo.records.depth_map import DepthKind
from support.known_ramps import AFFINE_KINDS, SIZE, depth_map, points, ramp


@pytest.mark.parametrize(("u", "v"), [(-0.6, 5), (59.6, 5), (5, -1), (5, 39.51), (900, 900)])
def test_a_point_outside_the_image_is_refused(u: float, v: float) -> None:
    known = [KnownPoint(u=u, v=v, metres=1.0)]
    expected = f"{u:g},{v:g},1 lies outside the image: columns go from 0 to 59, rows from 0 to 39"
    with pytest.raises(CalibrationError, match=re.escape(expected)):
        calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), known)


def test_a_point_without_depth_is_refused() -> None:
    valid = np.ones(SIZE, bool)
    valid[5, 7] = False
    with pytest.raises(CalibrationError, match="7,5,2 lies on a pixel without depth"):
        calibrate(
            depth_map(ramp(), DepthKind.UP_TO_SCALE, valid), [KnownPoint(u=7, v=5, metres=2.0)]
        )


def test_two_points_on_one_pixel_are_refused() -> None:
    known = [KnownPoint(u=7, v=5, metres=2.0), KnownPoint(u=7.3, v=4.8, metres=3.0)]
    with pytest.raises(CalibrationError, match=r"7,5,2 and 7.3,4.8,3 lie on the same pixel"):
        calibrate(depth_map(ramp(), DepthKind.UP_TO_SCALE), known)


@pytest.mark.parametrize("kind", list(DepthKind))
def test_no_point_is_refused(kind: DepthKind) -> None:
    with pytest.raises(CalibrationError, match="no known point or length"):
        calibrate(depth_map(ramp(), kind), [])


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_one_point_for_a_scale_and_a_shift_is_refused(kind: DepthKind) -> None:
    with pytest.raises(CalibrationError, match=f"kind '{kind}': give a second one"):
        calibrate(depth_map(ramp(), kind), points(ramp(), (5, 5)))


@pytest.mark.parametrize("kind", AFFINE_KINDS)
def test_points_at_one_predicted_depth_do_not_determine_a_shift(kind: DepthKind) -> None:
    known = [KnownPoint(u=7, v=5, metres=2.0), KnownPoint(u=7, v=30, metres=3.0)]
    alike = ramp()
    alike[20:] += 1e-4
    for values in (ramp(), alike):
        with pytest.raises(CalibrationError, match="has the same value at all known points"):
            calibrate(depth_map(values, kind), known)


@pytest.mark.parametrize(
    ("kind", "near", "far"), [(DepthKind.AFFINE, 3.0, 2.0), (DepthKind.AFFINE_INVERSE, 2.0, 3.0)]
)
def test_points_that_contradict_the_order_of_the_map_are_refused(
    kind: DepthKind, near: float, far: float
) -> None:
    known = [KnownPoint(u=7, v=5, metres=near), KnownPoint(u=50, v=30, metres=far)]
    with pytest.raises(CalibrationError, match="not positive: points that you state to be nearer"):
        calibrate(depth_map(ramp(), kind), known)


@pytest.mark.parametrize("metres", [0.0, -2.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(metres: float) -> None:
    with pytest.raises(OptionError, match="the distance must be between"):
        KnownPoint(u=1, v=1, metres=metres)


@pytest.mark.parametrize("place", [float("nan"), float("inf"), -float("inf")])
def test_a_place_that_is_none_is_refused(place: float) -> None:
    with pytest.raises(OptionError, match="must be finite numbers"):
        KnownPoint(u=1, v=place, metres=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 1 value"),
        ("1,2", "found 2 values"),
        ("1,2,3,ray,5", "the first four must be numbers"),
        ("1,2,3,4,5,6,7", "found 7 values"),
        ("1,2,3,4,a6", "a4"),
        ("1,2,3,4,0", "the length must be between"),
        ("1,2,3,4,nan", "the length must be between"),
        ("1,2,inf,4,1", "must be finite numbers"),
        ("1,2,1,2,3", "same pixel"),
        ("a,2,3", "the first three must be numbers"),
        ("1,2,3q", "the first three must be numbers"),
        ("1,2,", "the first three must be numbers"),
        ("1,2,3,up", "'up' is neither axis nor ray"),
        ("1,2,3,25", "write decimals with a point"),
        ("1,2,0", "the distance must be between"),
        ("1,2,-3", "the distance must be between"),
        ("1,2,nan", "the distance must be between"),
        ("1,inf,3", "must be finite numbers"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as refusal:
        parse_known(text)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).startswith("known ")
