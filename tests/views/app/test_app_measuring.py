"""Distances between points: worked out by hand, and in words that say what is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rilievo.errors import InputError
from rilievo.types import Camera, CameraSource, DepthKind, DepthMap, MadeBy, Prediction
from rilievo.views.app.measuring import measure, say_spot, spot

MADE_BY = MadeBy(model="m", weights_sha256="0", licence="MIT", settings={}, version="1")
K = np.array([[100.0, 0, 50], [0, 100.0, 40], [0, 0, 1]])


def flat(kind: DepthKind = DepthKind.METRIC, source: CameraSource = CameraSource.GIVEN):
    """A wall 2 away whose right half is at 3."""
    values = np.full((81, 101), 2.0, np.float32)
    values[:, 51:] = 3.0
    return Prediction(
        depth_or_none=DepthMap(values=values, kind=kind),
        camera=Camera(K=K, source=source),
        made_by=MADE_BY,
    )


def between(prediction: Prediction, one: tuple[float, float], other: tuple[float, float]):
    return measure(prediction, spot(prediction, *one), spot(prediction, *other))


def test_two_points_of_a_wall_seen_head_on_are_as_far_apart_as_similar_triangles_say():
    found = between(flat(), (10, 40), (30, 40))
    assert found.metres == pytest.approx(20 / 100 * 2)
    assert found.words[0].startswith("A and B are 0.40 m (")
    assert "8 in 10" in found.words[0]
    assert found.ratio == 1


def test_points_at_different_depths_are_apart_by_pythagoras():
    # A = (0, 0, 2) on the axis; B = (0.3, 0, 3): ten columns right of the axis, at 3.
    found = between(flat(), (50, 40), (60, 40))
    assert found.metres == pytest.approx(math.hypot(0.3, 1.0))
    assert found.ratio == pytest.approx(1.5)
    assert found.words[0].startswith("A and B are 1.0 m (")


def test_without_metres_only_ratios_are_said_and_how_to_get_metres():
    found = between(flat(DepthKind.UP_TO_SCALE), (50, 40), (60, 40))
    assert found.metres is None
    assert found.words[0] == "B is 1.50 times as deep as A."
    assert found.relative == pytest.approx(math.hypot(0.3, 1.0) / 2)
    assert "known distance" in found.words[-1]
    assert not any(" m " in word or "cm" in word for word in found.words)


@pytest.mark.parametrize(
    ("kind", "nearer"), [(DepthKind.AFFINE, "A"), (DepthKind.AFFINE_INVERSE, "B")]
)
def test_an_affine_kind_tells_the_order_and_nothing_else(kind: DepthKind, nearer: str):
    found = between(flat(kind), (50, 40), (60, 40))
    assert found.metres is found.ratio is found.relative is None
    assert found.words[0].startswith(f"{nearer} is nearer than")


def test_an_assumed_focal_length_is_said_where_lengths_are():
    assert not any("assumed" in word for word in between(flat(), (5, 5), (9, 9)).words)
    assumed = flat(source=CameraSource.ASSUMED)
    assert "assumed" in between(assumed, (5, 5), (9, 9)).words[-1]


def test_a_point_outside_and_one_without_depth_are_refused_in_words():
    with pytest.raises(InputError, match="columns go from 0 to 100, rows from 0 to 80"):
        spot(flat(), 101, 3)
    valid = np.ones((81, 101), bool)
    valid[3, 4] = False
    depth = flat().depth
    assert depth is not None
    holed = replace(flat(), depth_or_none=replace(depth, valid=valid))
    with pytest.raises(InputError, match="no depth at 4, 3"):
        spot(holed, 4, 3)


def test_one_stray_pixel_does_not_change_a_measurement():
    depth = flat().depth
    assert depth is not None
    values = depth.values.copy()
    values[40, 20] = 9.0
    stray = replace(flat(), depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC))
    assert spot(stray, 20, 40).value == 2.0
    assert "2.00 m deep" in say_spot(stray, "A", spot(stray, 20, 40))


@settings(deadline=None)
@given(
    a=st.tuples(st.integers(0, 100), st.integers(0, 80)),
    b=st.tuples(st.integers(0, 100), st.integers(0, 80)),
    scale=st.floats(0.1, 10),
)
def test_a_distance_is_the_same_both_ways_and_grows_with_the_scale(
    a: tuple[int, int], b: tuple[int, int], scale: float
):
    one = flat()
    assert one.depth is not None
    values = (one.depth.values * np.float32(scale)).astype(np.float32)
    other = replace(one, depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC))
    there, back = between(one, a, b).metres, between(one, b, a).metres
    assert there == pytest.approx(back)
    assert between(other, a, b).metres == pytest.approx(scale * (there or 0), rel=1e-5, abs=1e-9)
