"""Ranges where known sizes give metres to depth of an instrument, and where they contradict."""

import math
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.measure import angle
from rilievo.measure.measurements import Measurement
from rilievo.measure.scale_errors import _find_contradiction

pytestmark = pytest.mark.filterwarnings("ignore:.*known")
SIZE, FOCAL = (240, 320), 280.0
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
V, U = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
RAYS = np.stack([(U - 159.5) / FOCAL, (V - 119.5) / FOCAL, np.ones(SIZE)])
WALL, SIDE = 4.0, 1.2
"""Distance of a wall that faces the camera, and of one along its left [m]."""
with np.errstate(divide="ignore"):
    ROOM = np.minimum(WALL, np.where(RAYS[0] < 0, -SIDE / RAYS[0], np.inf))
NEAR, MIDDLE, FAR = (20, 120), (50, 120), (250, 100)
"""Points on the left wall, farther along it, and on the other one."""
BESIDE = (220, 150)
"""Another point of that wall."""
ENDS = (30, 60), (250, 180)


def place(point: tuple[int, int]) -> np.ndarray:
    u, v = point
    return RAYS[:, v, u] * ROOM[v, u]


def known_point(point: tuple[int, int], factor: float = 1.0) -> str:
    u, v = point
    return f"{u},{v},{factor * ROOM[v, u]:.5f}"


def known_length(first: tuple[int, int], second: tuple[int, int], factor: float = 1.0) -> str:
    metres = factor * math.dist(place(first), place(second))
    return f"{first[0]},{first[1]},{second[0]},{second[1]},{metres:.5f}"


def measured_room(
    kind: str, known: list[str], depth: np.ndarray | None = None
) -> rilievo.Prediction:
    maps = {"up_to_scale": ROOM / 7, "affine": 0.4 * ROOM + 1, "affine_inverse": 3 / ROOM - 0.2}
    values = maps[kind] if depth is None else depth
    return rilievo.Prediction.from_depth(
        PHOTO, values, FOCAL, kind=kind, known=known, depth_error="0.5%"
    )


def contains(measured: Measurement, true: float) -> bool:
    return measured.low <= true <= measured.high


def is_doubted(measured: Measurement) -> bool:
    return any("disagree by" in remark for remark in measured.remarks)


@pytest.mark.parametrize("factor", [0.7, 0.88, 1.12, 1.41])
@pytest.mark.parametrize("what", ["points", "lengths", "a point and a length"])
def test_a_range_contains_what_each_of_two_contradicting_sizes_says(
    what: str, factor: float
) -> None:
    across, other = known_length((150, 60), (260, 60)), known_length((150, 200), (290, 200), factor)
    known = {
        "points": [known_point(NEAR), known_point(FAR, factor)],
        "lengths": [across, other],
        "a point and a length": [known_point(NEAR), other],
    }[what]
    measured = measured_room("up_to_scale", known).measure(*ENDS)
    true = math.dist(*map(place, ENDS))
    assert contains(measured, true)
    assert contains(measured, factor * true)
    share = max(factor, 1 / factor) - 1
    assert is_doubted(measured)
    assert any(f"disagree by {share:.0%}" in remark for remark in measured.remarks)


def test_a_contradicting_size_that_is_measured_again_keeps_the_whole_range() -> None:
    ends = (150, 60), (260, 60)
    known = [known_length(*ends, 1.15), known_length((150, 200), (290, 200))]
    measured = measured_room("up_to_scale", known).measure(*ends)
    true = math.dist(*map(place, ends))
    assert contains(measured, true)
    assert contains(measured, 1.15 * true)
    assert is_doubted(measured)
    assert any("is known" in remark for remark in measured.remarks)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_one_of_three_sizes_may_be_wrong(wrong: int) -> None:
    known = [
        known_point(point, 1.2 if index == wrong else 1.0)
        for index, point in enumerate((NEAR, MIDDLE, FAR))
    ]
    measured = measured_room("up_to_scale", known).measure(*ENDS)
    true = math.dist(*map(place, ENDS))
    assert measured.value == pytest.approx(true, rel=2e-3)
    assert contains(measured, 1.2 * true)
    assert is_doubted(measured)


@pytest.mark.parametrize("wrong", [0, 1, 2])
@pytest.mark.parametrize("kind", ["affine", "affine_inverse"])
def test_one_of_three_sizes_for_a_scale_and_a_shift_may_be_wrong(kind: str, wrong: int) -> None:
    known = [
        known_point(point, 1.2 if index == wrong else 1.0)
        for index, point in enumerate((NEAR, MIDDLE, FAR))
    ]
    measured = measured_room(kind, known).distance(*BESIDE)
    assert contains(measured, float(np.linalg.norm(place(BESIDE))))
    assert is_doubted(measured)


@pytest.mark.parametrize("kind", ["up_to_scale", "affine", "affine_inverse"])
def test_sizes_that_agree_give_a_narrow_range_and_no_doubt(kind: str) -> None:
    known = [known_point(NEAR, 1.002), known_point(FAR, 0.998)]
    measured = measured_room(kind, known).measure(*ENDS)
    assert contains(measured, math.dist(*map(place, ENDS)))
    assert measured.high / measured.low < 1.05
    assert measured.remarks == ()


@pytest.mark.parametrize("kind", ["affine", "affine_inverse"])
def test_a_shift_by_two_sizes_at_nearly_one_depth_is_uncertain_and_said(kind: str) -> None:
    """A hundredth of error in one of them makes the other end of the room a third too far."""
    neighbour = (23, 120)
    room = measured_room(kind, [known_point(NEAR, 1.01), known_point(neighbour)])
    measured = room.distance(*BESIDE)
    assert abs(measured.value / np.linalg.norm(place(BESIDE)) - 1) > 0.05
    assert contains(measured, float(np.linalg.norm(place(BESIDE))))
    assert any("hardly determine the shift" in remark for remark in measured.remarks)
    corner = angle(room, (30, 120), BESIDE)
    assert contains(corner, 90)


def test_most_of_many_sizes_decide() -> None:
    points = [NEAR, MIDDLE, FAR, (100, 60), (200, 200), (280, 180)]
    known = [known_point(point, 1.2 if point == MIDDLE else 1.0) for point in points]
    measured = measured_room("up_to_scale", known).measure(*ENDS)
    assert contains(measured, math.dist(*map(place, ENDS)))
    assert measured.high / measured.low < 1.05
    assert is_doubted(measured)


def test_the_ranges_of_known_sizes_are_saved(tmp_path: Path) -> None:
    room = measured_room("affine", [known_point(NEAR), known_point(FAR)])
    room.save(tmp_path / "room", ["npz"])
    again = rilievo.read_prediction(tmp_path / "room.npz")
    assert again.instrument == room.instrument
    assert again.measure(*ENDS) == room.measure(*ENDS)


@pytest.mark.parametrize(
    ("errors", "contradict"),
    [((0.3, 0.3), True), ((0.36, 0.36), False), ((0.1, 0.48), True), ((0.1, 0.52), False)],
)
def test_two_sizes_contradict_beyond_twice_the_error_of_their_difference(
    errors: tuple[float, float], contradict: bool
) -> None:
    """The logarithms differ by 1, and the fit has no error; the larger one is named first."""
    for order in (1, -1):
        found = _find_contradiction(
            np.array([0.0, 1.0])[::order],
            np.array(errors)[::order],
            np.ones((2, 1)),
            np.zeros((1, 1)),
        )
        assert (found is not None) == contradict == (2 * math.hypot(*errors) < 1)
        if found is not None:
            assert (found.first, found.second) == ((1, 0) if order == 1 else (0, 1))
            assert found.relative_difference == pytest.approx(math.e - 1)
