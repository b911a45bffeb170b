"""Ranges of things in boxes drawn by hand, against scans of KITTI and rendered rooms."""

from pathlib import Path

import pytest

pytest.importorskip("numba", reason="lab's renderer needs it")
import rilievo
from lab.scenes import Kind
from rilievo.models.base import Model
from support.measured_boxes import Answer, answers, judged

LEAST, MOST = 0.70, 0.90
"""Bounds of the share of true values inside ranges that hold eight in ten."""
WIDEST = 0.45
"""Largest median half-width of a range, as a share of the value."""


@pytest.fixture(scope="module")
def model() -> Model:
    assert Kind.ROOMS
    return rilievo.load_model()


def check(found: list[Answer], what: str, widest: float = WIDEST) -> None:
    count, inside, half, _ = judged(found, what)
    assert count >= 30, what
    assert LEAST <= inside <= MOST, (what, inside)
    assert half <= widest, (what, half)


@pytest.mark.slow
def test_the_distances_of_cars_lie_inside_their_ranges(data_folder: Path, model: Model) -> None:
    check([*answers("kitti", data_folder, model)], "distance")


@pytest.mark.slow
def test_distances_and_sizes_in_rendered_rooms_lie_inside_their_ranges(
    tmp_path: Path, model: Model
) -> None:
    """Ranges of depth alone are wide: how deep a thing is hides behind it."""
    found = [*answers("room", tmp_path, model)]
    for what in ("distance", "width", "height"):
        check(found, what)
    check(found, "depth", widest=1.1)
