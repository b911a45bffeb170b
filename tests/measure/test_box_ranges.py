"""Ranges of things in boxes drawn by hand, against scans of KITTI and rendered rooms."""

from pathlib import Path

import pytest

pytest.importorskip("numba", reason="lab's renderer needs it")
import rilievo
from lab.scenes import Kind
from rilievo.models.base import Model
from support.measured_boxes import Answer, answers, range_quality

LEAST, MOST = 0.70, 0.90
"""Bounds of the share of true values inside ranges that hold eight in ten."""
MOST_EXCESS = 1.2
"""Largest interval score, over that of a constant range fitted afterwards to the same errors.

It bounds the width by the errors themselves. A bound on the width alone would also be met by ranges
that hold too few of the true values.
"""


@pytest.fixture(scope="module")
def model() -> Model:
    assert Kind.ROOMS
    return rilievo.load_model()


def check(found: list[Answer], what: str) -> None:
    quality = range_quality(found, what)
    assert quality.count >= 30, what
    assert LEAST <= quality.inside <= MOST, (what, quality)
    assert quality.excess <= MOST_EXCESS, (what, quality)


@pytest.mark.slow
def test_the_distances_of_cars_lie_inside_their_ranges(data_folder: Path, model: Model) -> None:
    check([*answers("kitti", data_folder, model)], "distance")


@pytest.mark.slow
def test_distances_and_sizes_in_rendered_rooms_lie_inside_their_ranges(
    tmp_path: Path, model: Model
) -> None:
    found = [*answers("room", tmp_path, model)]
    for what in ("distance", "width", "height", "depth"):
        check(found, what)
