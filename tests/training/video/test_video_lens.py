import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.data.clips.undistortion import shrink_mask, undistort, undistortion_map
from rilievo.geometry.cameras.distorted import Distorted

K = np.array([[90.0, 0, 47.0], [0, 85.0, 33.0], [0, 0, 1]])
SHAPE = (64, 96)


def bent(k: tuple[float, ...], p: tuple[float, float]) -> Distorted:
    return Distorted(fx=90.0, fy=85.0, cx=47.0, cy=33.0, k=k, p=p)


BARREL = bent(k=(-0.3, 0.08, 0.01, 0.0, 0.0, 0.0), p=(0.002, -0.001))
RATIONAL = bent(k=(0.4, -0.1, 0.02, 0.6, -0.05, 0.01), p=(-0.001, 0.003))


def as_opencv(lens: Distorted) -> np.ndarray:
    k1, k2, k3, k4, k5, k6 = lens.k
    return np.array([k1, k2, *lens.p, k3, k4, k5, k6])


@pytest.mark.parametrize("lens", [BARREL, RATIONAL])
def test_points_are_distorted_as_opencv_projects_them(lens: Distorted) -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 50))
    on_plane = np.concatenate([points, np.ones((1, 50))]).T
    expected, _ = cv2.projectPoints(on_plane, np.zeros(3), np.zeros(3), np.eye(3), as_opencv(lens))
    np.testing.assert_allclose(lens.distort(*points), expected[:, 0].T, atol=1e-12)


@pytest.mark.parametrize("lens", [BARREL, RATIONAL])
def test_frames_are_straightened_by_the_map_of_opencv(lens: Distorted) -> None:
    how = undistortion_map(lens, K, SHAPE)
    x, y = cv2.initUndistortRectifyMap(K, as_opencv(lens), np.eye(3), K, SHAPE[::-1], cv2.CV_32FC1)
    np.testing.assert_allclose(how.x, x, atol=1e-3)
    np.testing.assert_allclose(how.y, y, atol=1e-3)


def test_a_line_that_the_lens_bends_becomes_straight_again() -> None:
    """Each pixel of the bent frame is drawn where its ray, by bisection, meets the plane."""
    wide = np.array([[60.0, 0, 47.0], [0, 60.0, 33.0], [0, 0, 1]])
    lens = bent(k=(-0.4, 0.0, 0.0, 0.0, 0.0, 0.0), p=(0.0, 0.0))
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    seen = np.hypot(columns - 47, rows - 33) / 60
    low, high = np.zeros_like(seen), np.full_like(seen, 0.9)
    for _ in range(60):
        middle = (low + high) / 2
        below = middle * (1 - 0.4 * middle**2) < seen
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    y = (rows - 33) / 60 * low / np.maximum(seen, 1e-12)
    frame = (127 + 100 * np.tanh(40 * (y - 0.35))).clip(0, 255).astype(np.uint8)
    how = undistortion_map(lens, wide, SHAPE)
    result = undistort(np.repeat(frame[..., None], 3, axis=2), how)[..., 0]
    assert _bend(result) <= 1
    assert _bend(frame) > 2


def _bend(frame: np.ndarray) -> int:
    crossings = [np.argmax(frame[40:, column] > 127) for column in range(17, 78)]
    return int(max(crossings) - min(crossings))


def test_what_the_lens_did_not_see_is_not_valid() -> None:
    pincushion = bent(k=(0.5, 0.0, 0.0, 0.0, 0.0, 0.0), p=(0.0, 0.0))
    how = undistortion_map(pincushion, K, SHAPE)
    assert how.valid[32, 47]
    assert not how.valid[0, 0]
    assert not how.valid[-1, -1]


def test_what_lies_beyond_a_fold_of_the_polynomial_is_not_valid() -> None:
    # x (1 - 2 x²) turns back at x = 1 / √6, which is 36.7 px from the middle.
    how = undistortion_map(bent(k=(-2.0, 0.0, 0.0, 0.0, 0.0, 0.0), p=(0.0, 0.0)), K, SHAPE)
    valid = np.flatnonzero(how.valid[33])
    assert valid.max() == pytest.approx(47 + 36.7, abs=1)
    assert valid.min() == pytest.approx(47 - 36.7, abs=1)


@given(st.floats(-0.2, 0.2), st.floats(-0.05, 0.05))
def test_the_middle_of_a_lens_stays_where_it_is(k1: float, k2: float) -> None:
    lens = bent(k=(k1, k2, 0.0, 0.0, 0.0, 0.0), p=(0.001, 0.002))
    how = undistortion_map(lens, K, SHAPE)
    assert how.x[33, 47] == pytest.approx(47, abs=1e-4)
    assert how.y[33, 47] == pytest.approx(33, abs=1e-4)
    assert how.valid[33, 47]


def test_a_pixel_of_a_smaller_mask_is_valid_where_all_under_it_are() -> None:
    valid = np.ones((64, 96), bool)
    valid[0, 0] = valid[31, 48] = False
    small = shrink_mask(valid, (32, 48))
    assert np.argwhere(~small).tolist() == [[0, 0], [15, 24]]
